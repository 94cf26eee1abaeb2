"""How fast a large folder is listed, beside a glob that looks for every label by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rein.data.domains import find
from rein.data.listing import samples

FILES = 50_000


@pytest.mark.benchmark
def test_50000_images_and_their_labels_are_listed_in_two_seconds(tmp_path: Path) -> None:
    images, labels = tmp_path / "gta" / "images", tmp_path / "gta" / "labels"
    for folder in (images, labels):
        folder.mkdir(parents=True)
        for index in range(FILES):
            (folder / f"{index:05}.png").touch()

    def label_of(image: Path) -> Path:
        converted = labels / f"{image.stem}_labelTrainIds.png"
        return converted if converted.exists() else labels / image.name

    def plain() -> list[tuple[Path, Path]]:
        return [(image, label) for image in sorted(images.glob("*.png")) if (label := label_of(image)).exists()]

    def ours() -> list[tuple[Path, Path]]:
        return [(file.image, file.label) for file in samples(find("gta"), "train", tmp_path)]

    assert ours() == plain()
    quick, slow = best(ours), best(plain)
    print(f"{FILES} files: {quick:.2f} s, glob and exists {slow:.2f} s, {slow / quick:.1f} times as long")
    assert quick < 2


def best(call: Callable[[], object]) -> float:
    """Seconds of the fastest of three calls."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
