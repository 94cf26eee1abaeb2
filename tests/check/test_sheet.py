"""The contact sheet shows labels on their images, and what could not be drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rein.check.data import check_data
from rein.check.sheet import MARGIN, WIDTH, chosen, draw, drawable, refuse
from rein.check.survey import survey
from rein.config import ConfigError


def drawn(names: list[str], root: Path, path: Path, images: int = 6) -> np.ndarray:
    surveys = survey(names, root)
    (file,) = draw(surveys, check_data(surveys), path, images)
    with Image.open(file) as sheet:
        return np.array(sheet)


def test_a_png_holds_all_domains_and_a_folder_one_for_each(copied: Path, tmp_path: Path) -> None:
    both = drawn(["toy-night", "toy-fog"], copied, tmp_path / "all.png")
    surveys = survey(["toy-night", "toy-fog"], copied)
    files = draw(surveys, check_data(surveys), tmp_path / "sheets")
    assert [file.name for file in files] == ["toy-night.png", "toy-fog.png"]
    assert both.shape[1] == WIDTH
    assert np.array_equal(both, np.concatenate([np.array(Image.open(file)) for file in files]))


def test_a_shifted_label_looks_different_and_its_image_does_not(copied: Path, tmp_path: Path) -> None:
    before = drawn(["toy-night"], copied, tmp_path / "a.png").astype(int)
    path = copied / "toy/night/labels/val/000000.png"
    label = np.array(Image.open(path))
    Image.fromarray(np.roll(label, 8, 1)).save(path)
    differ = np.abs(drawn(["toy-night"], copied, tmp_path / "b.png") - before).sum(-1) > 0
    columns = np.flatnonzero(differ.any(0))
    pair = (WIDTH - 2 * MARGIN) // 4
    assert MARGIN + pair - 20 < columns.min() and columns.max() < MARGIN + 2 * pair + 20  # the first overlay alone


def test_road_is_drawn_in_its_colour(copied: Path, tmp_path: Path) -> None:
    for path in (copied / "toy/night/images/val").iterdir():
        Image.new("RGB", (192, 96), "black").save(path)
    sheet = drawn(["toy-night"], copied, tmp_path / "a.png")
    road = np.round(np.array([128, 64, 128]) * 0.45)
    assert (np.abs(sheet - road).max(-1) <= 1).mean() > 0.05


def test_a_class_has_a_light_border_of_one_pixel(copied: Path, tmp_path: Path) -> None:
    for path in (copied / "toy/night/images/val").iterdir():
        Image.new("RGB", (192, 96), "black").save(path)
        half = np.zeros((96, 192), np.uint8)
        half[:, 96:] = 2
        Image.fromarray(half).save(copied / "toy/night/labels/val" / path.name)
    sheet = drawn(["toy-night"], copied, tmp_path / "a.png")
    row = sheet[100]  # through both overlays
    light = (row == 255).all(-1)
    assert (light & ~np.roll(light, 1) & ~np.roll(light, -1)).sum() == 2


def test_pairs_that_findings_name_come_first_and_fill_half_of_the_sheet(copied: Path) -> None:
    for number in (1, 4, 5, 6):
        Image.new("L", (192, 96), 77).save(copied / f"toy/game/labels/train/00000{number}.png")
    Image.open(copied / "toy/game/images/train/000002.png").convert("L").save(
        copied / "toy/game/images/train/000002.png"
    )
    surveys = survey(["toy-game"], copied)
    row = check_data(surveys)[0]
    pairs = chosen(surveys[0], row, 5)
    assert [(sample.image.stem, words) for sample, words in pairs.items()][:2] == [
        ("000001", "unknown ids"), ("000002", "odd images: grey"),
    ]  # fmt: skip
    assert len(pairs) == 5 and list(pairs.values())[2:] == ["", "", ""]
    assert len(chosen(surveys[0], row, 20)) == 7


def test_more_images_make_a_longer_sheet(copied: Path, tmp_path: Path) -> None:
    few, many = (drawn(["toy-game"], copied, tmp_path / "a.png", images) for images in (2, 6))
    assert len(many) > 1.5 * len(few)


def test_letters_that_the_font_lacks_are_escaped() -> None:
    assert drawable("Straße_é.png") == "Straße_é.png"
    assert drawable("東京\n.png") == "\\u6771\\u4eac\\n.png"


@pytest.mark.parametrize("name", ["bad.jpg", "bad.JPEG", "bad.pdf", "notes"])
def test_a_sheet_of_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(ConfigError, match=rf"{name}: a sheet is a PNG"):
        refuse(tmp_path / name)


@pytest.mark.parametrize("name", ["new.png", "sheets", "sheets.v2"])
def test_a_png_and_a_folder_are_not_refused(tmp_path: Path, name: str) -> None:
    refuse(tmp_path / name)


def test_files_that_cannot_be_drawn_leave_room_for_the_reason(copied: Path, tmp_path: Path) -> None:
    (copied / "toy/night/images/val/000000.png").write_bytes(b"")
    Image.new("L", (96, 96)).save(copied / "toy/night/labels/val/000001.png")
    sheet = drawn(["toy-night"], copied, tmp_path / "a.png")
    assert (sheet == 238).all(-1).mean() > 0.2  # three of the four pictures are grey boxes


def test_ids_that_are_not_known_are_black_and_white_squares(copied: Path, tmp_path: Path) -> None:
    assert _pure(drawn(["toy-night"], copied, tmp_path / "a.png")) < 0.1
    for path in (copied / "toy/night/labels/val").iterdir():
        Image.new("L", (192, 96), 77).save(path)
    assert _pure(drawn(["toy-night"], copied, tmp_path / "b.png")) > 0.1


def test_a_domain_that_is_not_there_has_its_title(copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "toy")
    assert drawn(["kitti"], copied, tmp_path / "a.png").min() == 0


def _pure(sheet: np.ndarray) -> float:
    return float((sheet < 20).all(-1).mean())
