"""Crops from files: what the plain way makes of whole images, pixel for pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Generator, Tensor

from rein.config import Data
from rein.data import cropping, reading, transforms
from rein.data.classes import CLASSES, VOID
from rein.data.cropping import read_crop
from rein.data.domain import DataError, Sample
from rein.data.label_tables import TRAIN_IDS, LabelTable
from rein.data.transforms import training_crop
from tests.data.plain_crop import plain_crop


def data(**changes: Any) -> Data:
    return Data(**{"sources": ("gta",), "crop_size": 48, **changes})


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def files(folder: Path, height: int, width: int, label_size: tuple[int, int] | None = None) -> Sample:
    """A smooth picture with grain, and a label of blocks, one of which is most of it."""
    rng = np.random.default_rng(height * width)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).resize((width, height))
    grain = rng.integers(-9, 10, (height, width, 3))
    Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(folder / "image.png")
    ids = rng.choice([0, 0, 0, 0, 0, 1, 8, 13, VOID], (6, 9)).astype(np.uint8)
    size = (label_size or (height, width))[::-1]
    Image.fromarray(ids).resize(size, Image.Resampling.NEAREST).save(folder / "label.png")
    return Sample(folder / "image.png", folder / "label.png", TRAIN_IDS)


def whole(sample: Sample) -> tuple[Tensor, Tensor]:
    """Image and label as Pillow reads them."""
    image, label = (torch.from_numpy(np.array(Image.open(path))) for path in (sample.image, sample.label))
    return image.permute(2, 0, 1), label


def same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(first[:2], second[:2], strict=True))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return files(tmp_path_factory.mktemp("large"), 263, 478)


@pytest.mark.parametrize("seed", range(25))
def test_a_crop_is_the_plain_ways_bit_for_bit(large: Sample, seed: int) -> None:
    """Numbers of finished runs stay valid: the same draws in the same order, and the same arithmetic."""
    recipe = data(crop_size=128)
    expected = plain_crop(*whole(large), recipe, seeded(seed))
    assert same(read_crop(large, recipe, seeded(seed)), expected)
    assert same(training_crop(*whole(large), recipe, seeded(seed)), expected)


@settings(max_examples=50)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**31), st.sampled_from(["none", "pasta"]))
def test_any_size_gives_the_plain_ways_crop(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int, augmentation: str
) -> None:
    sample = files(tmp_path_factory.mktemp("any"), height, width)
    recipe = data(augmentation=augmentation)
    expected = plain_crop(*whole(sample), recipe, seeded(seed))
    assert same(read_crop(sample, recipe, seeded(seed)), expected)


@pytest.mark.parametrize("contiguous", [True, False])
def test_the_order_of_an_images_memory_changes_nothing(large: Sample, contiguous: bool) -> None:
    image, label = whole(large)
    image = image.contiguous() if contiguous else image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert same(training_crop(image, label, data(), seeded(1)), plain_crop(*whole(large), data(), seeded(1)))


@pytest.mark.parametrize("seed", range(6))
def test_resizing_the_crop_equals_torchs_resized_image_cut(large: Sample, seed: int) -> None:
    """Resize-then-crop by torch.nn.functional.interpolate, in double precision: equal up to the rounding."""
    recipe = data(crop_size=128, flip=0.0, photometric=False)
    image, label = whole(large)
    window = transforms.draw_window(label, recipe, seeded(seed))
    resized = F.interpolate(image[None].double(), window.size, mode="bilinear", align_corners=False)[0]
    ids = F.interpolate(label[None, None].float(), window.size, mode="nearest-exact")[0, 0]
    rows, cols = (slice(part.start, part.stop) for part in (window.rows, window.cols))
    crop, target, _ = read_crop(large, recipe, seeded(seed))
    height, width = len(window.rows), len(window.cols)
    assert (crop[:, :height, :width] - resized[:, rows, cols]).abs().max() <= 0.501
    assert torch.equal(target[:height, :width].float(), ids[rows, cols])


def test_rows_below_the_crop_are_not_decoded(large: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    def spy(path: Path, rows: int | None = None) -> Tensor:
        asked.append(rows)
        return reading.read_image(path, rows)

    monkeypatch.setattr(cropping, "read_image", spy)
    for seed in range(40):
        read_crop(large, data(scale=(2.0, 2.0)), seeded(seed))
    # Crops of 48 from 96 rows end anywhere in the lower half.
    assert all(rows is not None and 263 // 2 - 3 <= rows <= 263 for rows in asked)
    assert len(set(asked)) > 15


def test_unknown_ids_are_those_of_the_whole_label(large: Sample) -> None:
    sample = replace(large, table=LabelTable({0: "road", VOID: "void"}))
    with pytest.raises(DataError, match=r"label\.png: label ids 13 \("):
        read_crop(sample, data(), seeded(0))
    _, target, unknown = read_crop(sample, data(unknown_ids="void"), seeded(0))
    stored = whole(large)[1]
    assert unknown.commonest == {str(value): int((stored == value).sum()) for value in (1, 8, 13)}
    assert set(target.unique().tolist()) <= {0, VOID}


def test_a_label_of_another_size_is_brought_to_its_images(tmp_path: Path) -> None:
    sample = files(tmp_path, 60, 100, label_size=(30, 50))
    image, label = whole(sample)
    twice = label.repeat_interleave(2, 0).repeat_interleave(2, 1)
    for seed in range(5):
        assert same(read_crop(sample, data(), seeded(seed)), plain_crop(image, twice, data(), seeded(seed)))


def test_a_label_of_another_shape_is_refused(tmp_path: Path) -> None:
    sample = files(tmp_path, 60, 100, label_size=(100, 60))
    with pytest.raises(DataError, match=r"label\.png: 60x100 pixels, its image image\.png has 100x60"):
        read_crop(sample, data(), seeded(0))


@pytest.mark.parametrize(("height", "width"), [(120, 200), (121, 203)])
def test_a_halved_sample_is_cropped_from_its_half(tmp_path: Path, height: int, width: int) -> None:
    sample = files(tmp_path, height, width)
    half = (width // 2, height // 2)
    image, label = (Image.open(path) for path in (sample.image, sample.label))
    small = np.array(image.resize(half, Image.Resampling.BICUBIC))
    ids = np.array(label.resize(half, Image.Resampling.NEAREST))
    for seed in range(5):
        expected = plain_crop(torch.from_numpy(small).permute(2, 0, 1), torch.from_numpy(ids), data(), seeded(seed))
        assert same(read_crop(replace(sample, halve=True), data(), seeded(seed)), expected)


def test_a_damaged_image_is_named(large: Sample, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(large.image.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"broken\.png: not a readable image"):
        read_crop(replace(large, image=broken), data(), seeded(0))


def test_the_default_classes_are_cityscapes(large: Sample) -> None:
    crop = read_crop(large, data(classes=CLASSES), seeded(3))
    assert same(crop, read_crop(large, data(), seeded(3)))
