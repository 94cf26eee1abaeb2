"""Whole images: a pair of files as a network sees it, and a refusal of two that do not belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rein.config import Data
from rein.data.classes import VOID
from rein.data.dataset import WholeImages
from rein.data.domain import DataError, Sample
from rein.data.label_tables import TRAIN_IDS
from rein.data.whole import whole_size


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def pair(folder: Path, height: int = 6, width: int = 12, halve: bool = False) -> Sample:
    rng = np.random.default_rng(0)
    image = save(folder / "1.png", rng.integers(0, 256, (height, width, 3)))
    label = save(folder / "1_labelTrainIds.png", rng.choice([0, 18, 255], (height, width)))
    return Sample(image, label, TRAIN_IDS, halve)


def test_an_item_is_the_files_pixels(tmp_path: Path) -> None:
    sample = pair(tmp_path)
    images = WholeImages([sample], Data())
    assert len(images) == 1
    image, label, *_ = images[0]
    assert image.dtype == label.dtype == torch.uint8
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(sample.image)))
    np.testing.assert_array_equal(label.numpy(), np.asarray(Image.open(sample.label)))


def test_classes_and_unknown_ids_are_the_experiments(tmp_path: Path) -> None:
    sample = pair(tmp_path)
    save(sample.label, np.full((6, 12), 77))
    with pytest.raises(DataError, match=r"1_labelTrainIds\.png: label id 77 \(72 pixels\)"):
        WholeImages([sample], Data())[0]
    assert (WholeImages([sample], Data(unknown_ids="void"))[0][1] == VOID).all()
    save(sample.label, np.full((6, 12), 18))
    assert (WholeImages([sample], Data(classes=("car", "bicycle")))[0][1] == 1).all()


def test_a_label_of_another_shape_is_refused(tmp_path: Path) -> None:
    sample = pair(tmp_path)
    save(sample.label, np.zeros((12, 6)))
    with pytest.raises(DataError, match=r"1_labelTrainIds\.png: 6x12 pixels, its image 1\.png has 12x6; they do not"):
        WholeImages([sample], Data())[0]


def test_a_label_of_another_size_but_the_same_shape_is_kept_at_its_size(tmp_path: Path) -> None:
    sample = pair(tmp_path)
    save(sample.label, np.zeros((3, 6)))
    assert WholeImages([sample], Data())[0][1].shape == (3, 6)


@pytest.mark.parametrize(("height", "width"), [(6, 12), (7, 13), (300, 401)])
def test_half_the_size_is_as_the_reference_prepares_it(tmp_path: Path, height: int, width: int) -> None:
    """By `mapillary_resize.py` of github.com/w1oves/Rein: Pillow, the image bicubic, the label nearest."""
    sample = pair(tmp_path, height, width, halve=True)
    image, label, *_ = WholeImages([sample], Data())[0]
    half = (width // 2, height // 2)
    expected = Image.open(sample.image).resize(half, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected))
    expected = Image.open(sample.label).resize(half, Image.Resampling.NEAREST)
    np.testing.assert_array_equal(label.numpy(), np.asarray(expected))
    assert whole_size(sample) == label.shape
