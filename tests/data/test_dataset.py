"""Reading pairs: exact pixels and train ids, and a refusal that names the file for everything else."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rein.data.classes import CAMVID, CARLA, CITYSCAPES_IDS, TRAIN_IDS, VOID
from rein.data.dataset import DomainDataset, read_image, read_label
from rein.data.domains import DataError


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    image = save(tmp_path / "gta/images/1.png", rng.integers(0, 256, (6, 12, 3)))
    label = save(tmp_path / "gta/labels/1_labelTrainIds.png", rng.choice([0, 18, 255], (6, 12)))
    return image, label


def test_an_item_is_the_files_pixels(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    image, label = DomainDataset("gta", "train", tmp_path)[0]
    assert image.dtype == label.dtype == torch.uint8
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(pair[0])))
    np.testing.assert_array_equal(label.numpy(), np.asarray(Image.open(pair[1])))


def test_a_grey_or_transparent_image_becomes_rgb(tmp_path: Path) -> None:
    grey = save(tmp_path / "grey.png", np.full((2, 3), 7))
    assert read_image(grey).tolist() == [[[7] * 3] * 2] * 3
    clear = save(tmp_path / "clear.png", np.full((2, 3, 4), 9))
    assert read_image(clear).shape == (3, 2, 3)


def test_ids_become_train_ids(tmp_path: Path) -> None:
    path = save(tmp_path / "label.png", np.array([[7, 26, 0], [33, 4, 11]]))
    assert read_label(path, CITYSCAPES_IDS).tolist() == [[0, 13, VOID], [18, VOID, 2]]


def test_carla_reads_the_red_channel(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2, 3))
    pixels[0, :, 0] = [7, 10]
    pixels[..., 1:] = 99
    assert read_label(save(tmp_path / "label.png", pixels), CARLA).tolist() == [[0, 13]]


def test_a_palette_label_is_read_as_ids_not_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 18, 255]], np.uint8), mode="P")
    image.putpalette([i for id in range(256) for i in (id, 255 - id, 3)])
    image.save(tmp_path / "label.png")
    assert read_label(tmp_path / "label.png", TRAIN_IDS).tolist() == [[0, 18, 255]]


def test_ids_outside_of_the_table_are_listed(tmp_path: Path) -> None:
    path = save(tmp_path / "label.png", np.array([[0, 12, 99]]))
    with pytest.raises(DataError, match=r"label\.png.*\[12, 99\]"):
        read_label(path, CAMVID)


def test_a_colour_label_where_ids_are_due_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"label\.png: 3 channels"):
        read_label(save(tmp_path / "label.png", np.zeros((2, 2, 3))), TRAIN_IDS)


def test_a_16_bit_label_is_refused_or_read_but_never_a_stray_error(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 700, np.uint16)).save(tmp_path / "label.png")
    with pytest.raises(DataError, match=r"label\.png"):
        read_label(tmp_path / "label.png", TRAIN_IDS)


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "truncated"])
def test_a_broken_image_is_named(tmp_path: Path, pair: tuple[Path, Path], content: bytes | None) -> None:
    data = pair[0].read_bytes()
    pair[0].write_bytes(data[: len(data) // 2] if content is None else content)
    with pytest.raises(DataError, match=r"images/1\.png: not a readable image"):
        DomainDataset("gta", "train", tmp_path)[0]


def test_a_missing_label_is_named(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    pair[1].unlink()
    with pytest.raises(DataError, match=r"1_labelTrainIds\.png: no such file"):
        DomainDataset("gta", "train", tmp_path)[0]


def test_a_label_of_another_shape_is_refused(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    save(pair[1], np.zeros((12, 6)))
    with pytest.raises(DataError, match="do not belong together"):
        DomainDataset("gta", "train", tmp_path)[0]


def test_a_label_of_another_size_but_the_same_shape_is_kept_at_its_size(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    save(pair[1], np.zeros((3, 6)))
    assert DomainDataset("gta", "train", tmp_path)[0][1].shape == (3, 6)


@pytest.mark.parametrize(("limit", "kept"), [(None, 10), (1, 1), (3, 3), (10, 10), (99, 10)])
def test_a_limit_takes_evenly_spaced_images(tmp_path: Path, limit: int | None, kept: int) -> None:
    for i in range(10):
        (tmp_path / "gta/images").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"gta/images/{i}.png").touch()
    places = [int(image.stem) for image, _ in DomainDataset("gta", "train", tmp_path, limit).files]
    assert len(places) == kept and places == sorted(set(places))
    gaps = {b - a for a, b in itertools.pairwise(places)}
    assert not gaps or max(gaps) - min(gaps) <= 1
