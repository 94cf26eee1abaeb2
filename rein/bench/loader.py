"""`rein bench loader`: training crops from large PNG files, our loader and one of Pillow and numpy, in turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from rein import seeds
from rein.bench import loader_peer as peer
from rein.bench.made_photographs import draw
from rein.config import Data
from rein.data import transforms
from rein.data.domain import Sample
from rein.data.loaders import training_batches
from rein.data.reading import read_image
from rein.data.selection import training_files
from rein.data.whole import whole_label, whole_size

#: Files that are drawn; crops come from them in turn.
FILES = 12
STAGES = ("decode image", "decode label", "choose window", "resize", "photometric", "collate")
PEER = "PIL + numpy"

Batches = Iterator[tuple[Any, ...]]


@dataclass(frozen=True)
class Case:
    """What is measured: `images` crops a turn from files of `size` (width, height), by the default recipe."""

    images: int = 64
    workers: int = 2
    size: tuple[int, int] = (1914, 1052)
    #: `data.cache` of a third side.
    cache: int | None = None
    repeats: int = 3

    def __str__(self) -> str:
        return f"{self.size[0]}x{self.size[1]} -> {Data().crop_size}, workers {self.workers}"


def measure(case: Case) -> dict[str, list[dict[str, Any]]]:
    """`sides`: images/s of each and its ratio to the peer's. `stages`: ns a source pixel, ours and the peer's.

    Loader processes are started before the clock is, and torch has one thread.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory(prefix="rein-bench-") as folder:
            draw(Path(folder), min(FILES, case.images), case.size)
            return {"sides": _sides(case, Path(folder)), "stages": _stages(case, Path(folder))}
    finally:
        torch.set_num_threads(threads)


def _sides(case: Case, root: Path) -> list[dict[str, Any]]:
    data = Data(sources=("gta",), targets=())
    contestants = {
        "rein": lambda steps: _ours(data, root, case, steps),
        "PIL + numpy": lambda steps: _peers(data, root, case, steps),
    }
    if case.cache:
        cached = Data(sources=("gta",), targets=(), cache=case.cache)
        contestants["rein, cached"] = lambda steps: _ours(cached, root, case, steps)
        list(contestants["rein, cached"](min(FILES, case.images) // data.batch_size + 1))  # an epoch fills the cache
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(case.repeats):
        for name, batches in contestants.items():
            taken[name].append(_timed(batches, -(-case.images // data.batch_size)))
    seconds = {name: median(second for _, second in times) / data.batch_size for name, times in taken.items()}
    return [
        {
            "case": str(case),
            "side": name,
            "images/s": round(1 / second, 1),
            "ms": round(1000 * second, 1),
            "ratio": round(seconds[PEER] / second, 2),
            "start-up s": round(median(start for start, _ in taken[name]), 2),
        }
        for name, second in seconds.items()
    ]


def _timed(batches: Callable[[int], Batches], steps: int) -> tuple[float, float]:
    """Seconds until the first batch, and seconds a batch from then on."""
    begin = time.perf_counter()
    loader = batches(steps + 1)
    next(loader)
    first = time.perf_counter()
    for _ in loader:
        pass
    return first - begin, (time.perf_counter() - first) / steps


def _ours(data: Data, root: Path, case: Case, steps: int) -> Batches:
    cache = root / "cache" if data.cache else None
    return training_batches(data, root, 0, range(steps), torch.device("cpu"), case.workers, cache=cache)


def _peers(data: Data, root: Path, case: Case, steps: int) -> Batches:
    crops = peer.PeerCrops(training_files(data, root)[0], data)
    return iter(
        DataLoader(
            crops,
            batch_size=data.batch_size,
            sampler=range(steps * data.batch_size),
            num_workers=case.workers,
            persistent_workers=case.workers > 0,
        )
    )


class Clock:
    """Seconds of every stage, summed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def of(self, stage: str, work: Callable[[], Any]) -> Any:
        """What `work` returns, its time counted."""
        begin = time.perf_counter()
        result = work()
        self.seconds[stage] += time.perf_counter() - begin
        return result


def _stages(case: Case, root: Path) -> list[dict[str, Any]]:
    """One process, stage by stage; each image in turn with both sides."""
    data = Data(sources=("gta",), targets=())
    files = training_files(data, root)[0]
    ours, theirs = Clock(), Clock()
    crops = peer.PeerCrops(files, data)
    pairs: dict[int, list[Any]] = {0: [], 1: []}
    for ordinal in range(case.images):
        sample = files[ordinal % len(files)]
        pairs[0].append(_our_stages(sample, data, ordinal, ours))
        pairs[1].append(_their_stages(sample, crops, ordinal, theirs))
        if len(pairs[0]) == data.batch_size:
            for clock, batch in zip((ours, theirs), pairs.values(), strict=True):
                clock.of("collate", lambda batch=batch: default_collate(batch))
                batch.clear()
    pixels = case.images * case.size[0] * case.size[1]
    rows = [(stage, ours.seconds[stage], theirs.seconds[stage]) for stage in STAGES]
    rows.append(("all", sum(ours.seconds.values()), sum(theirs.seconds.values())))
    return [
        {
            "stage": stage,
            "rein ns/pixel": round(1e9 * our / pixels, 2),
            f"{PEER} ns/pixel": round(1e9 * their / pixels, 2),
        }
        for stage, our, their in rows
    ]


def _our_stages(sample: Sample, data: Data, ordinal: int, clock: Clock) -> tuple[Tensor, Tensor]:
    """What `read_crop` does, its parts called one by one."""
    generator = seeds.generator(0, seeds.CROP, ordinal)
    label, _ = clock.of("decode label", lambda: whole_label(sample, data))
    window = clock.of("choose window", lambda: transforms.draw_window(label, data, generator))
    height = whole_size(sample)[0]
    image = clock.of("decode image", lambda: read_image(sample.image, window.needed_rows(height)))
    place = (window.size, window.rows, window.cols)
    still = Data(**{**data.__dict__, "photometric": False})
    pair = clock.of("resize", lambda: transforms.cut(image, label, window, still, generator))
    crop = transforms.resize_window(image, *place, height)
    clock.of("photometric", lambda: transforms.photometric_distortion(crop, generator))
    return pair


def _their_stages(sample: Sample, crops: peer.PeerCrops, ordinal: int, clock: Clock) -> tuple[Tensor, Tensor]:
    """What a `PeerCrops` does, its parts called one by one."""
    data, rng = crops.data, np.random.default_rng(ordinal)
    image = clock.of("decode image", lambda: peer.open_image(sample))
    label = clock.of("decode label", lambda: peer.open_label(sample))
    size = peer.random_size(image.size, data, rng)
    image = clock.of("resize", lambda: image.resize(size, Image.Resampling.BILINEAR))
    ids = clock.of("resize", lambda: np.asarray(label.resize(size, Image.Resampling.NEAREST)))
    left, upper, right, lower = clock.of("choose window", lambda: peer.random_box(ids, crops.train_ids, data, rng))
    target = clock.of("resize", lambda: crops.train_ids[ids[upper:lower, left:right]])
    pixels = clock.of("resize", lambda: np.asarray(image.crop((left, upper, right, lower))))
    pixels = clock.of("photometric", lambda: peer.distort(pixels, rng))
    return clock.of("resize", lambda: peer.as_tensors(pixels, target, data.crop_size))
