"""The toy world: deterministic, exactly labelled, cached once; its foundation model loads and saw no split's image."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import rein
from rein.data import toy
from rein.data.domain import DataError

WEIGHTS = Path(rein.__file__).parent / "assets" / "vit_toy_patch8_96.safetensors"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "TRAIN_IMAGES", 4)
    monkeypatch.setattr(toy, "VAL_IMAGES", 3)


@settings(max_examples=30)
@given(st.sampled_from(toy.STYLES), st.integers(0, 2**31))
def test_render_gives_an_image_and_exact_train_ids(style: str, seed: int) -> None:
    image, label = toy.render(style, seed)
    assert image.shape == (96, 192, 3) and image.dtype == np.uint8
    assert label.shape == (96, 192) and label.dtype == np.uint8
    assert set(np.unique(label)) <= set(range(19))
    assert {0, 1} <= set(np.unique(label)), "every street has a road and a sidewalk"


@pytest.mark.parametrize("style", toy.STYLES)
def test_render_is_a_function_of_style_and_seed(style: str) -> None:
    first, again, other = toy.render(style, 3), toy.render(style, 3), toy.render(style, 4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_another_process_renders_the_same() -> None:
    code = "import zlib; from rein.data.toy import *; print(*(zlib.crc32(a) for s in STYLES for a in render(s, 5)))"
    here = [zlib.crc32(array) for style in toy.STYLES for array in toy.render(style, 5)]
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [int(word) for word in there.split()] == here


def test_styles_differ_as_domains_do() -> None:
    images = {style: np.stack([toy.render(style, seed)[0] for seed in range(8)]) for style in toy.STYLES}
    assert images["night"].mean() < 0.7 * images["day"].mean()
    assert images["fog"].std() < 0.8 * images["game"].std()
    scenes = {toy.render(style, 0)[1].tobytes() for style in toy.STYLES}
    assert len(scenes) == len(toy.STYLES), "no scene is shown in two styles"


def test_the_source_covers_the_classes_of_the_targets() -> None:
    def classes(style: str, split: str) -> set[int]:
        return {int(c) for seed in toy.splits(style)[split] for c in np.unique(toy.render(style, seed)[1])}

    source = classes("game", "train")
    assert len(source) >= 10
    for style in toy.STYLES:
        assert classes(style, "val") <= source


def test_seeds_of_splits_and_pretraining_are_disjoint() -> None:
    train, val = (set(toy.splits("game")[split]) for split in ("train", "val"))
    assert not train & val
    seen = [toy.unlabelled(seed) for seed in (*range(3), toy._VAL_SEED)]
    shown = [toy.render(style, seed)[0] for style in toy.STYLES for seed in (*range(3), toy._VAL_SEED)]
    assert not any(np.array_equal(a, b) for a in seen for b in shown)
    assert toy._UNLABELLED_STREAM not in range(len(toy.STYLES)), "the first word of a seed keeps the streams apart"


def test_ensure_writes_the_layout_and_is_idempotent(small: None, tmp_path: Path) -> None:
    toy.ensure(tmp_path, "game")
    files = sorted(p for p in (tmp_path / "game").rglob("*.png"))
    assert len(files) == 2 * (4 + 3)
    image, label = toy.render("game", toy.splits("game")["val"][2])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "game/images/val/000002.png")), image)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "game/labels/val/000002.png")), label)
    stamps = [p.stat().st_mtime_ns for p in files]
    toy.ensure(tmp_path, "game")
    assert [p.stat().st_mtime_ns for p in files] == stamps
    assert [p.name for p in tmp_path.iterdir()] == ["game"], "no draft is left"


def test_targets_have_no_train_split(small: None, tmp_path: Path) -> None:
    toy.ensure(tmp_path, "fog")
    assert [p.name for p in (tmp_path / "fog" / "images").iterdir()] == ["val"]


def test_ensure_replaces_an_older_world(small: None, tmp_path: Path) -> None:
    toy.ensure(tmp_path, "day")
    (tmp_path / "day" / "version").write_text("0")
    (tmp_path / "day" / "images" / "val" / "stale.png").touch()
    toy.ensure(tmp_path, "day")
    assert not (tmp_path / "day" / "images" / "val" / "stale.png").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["day"]


def test_two_processes_may_ensure_at_once(small: None, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")  # the small world's sizes reach the children
    workers = [fork.Process(target=toy.ensure, args=(tmp_path, "day")) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(list((tmp_path / "day").rglob("*.png"))) == 2 * (4 + 3)
    assert [p.name for p in tmp_path.iterdir()] == ["day"]


def test_a_failure_leaves_nothing_behind(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy, "render", lambda style, seed: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        toy.ensure(tmp_path, "day")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (Path("/proc/1"), tmp_path / "file"):
        with pytest.raises(DataError, match=rf"^{root}/toy/day: the toy world is drawn .*cannot be written .*--data"):
            toy.ensure(root / "toy", "day")


def test_the_shipped_foundation_model_is_small_and_loads_strictly() -> None:
    import torch
    from safetensors.torch import load_file

    from rein.config import Backbone
    from rein.models import vfm

    assert WEIGHTS.stat().st_size <= 4 * 2**20
    state = load_file(WEIGHTS)
    assert all(torch.isfinite(t).all() for t in state.values())
    vfm.create(Backbone(name="vit_toy_patch8_96", patch_size=8), 96).load_state_dict(state, strict=True)
