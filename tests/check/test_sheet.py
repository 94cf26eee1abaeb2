"""The contact sheet shows labels on their images, and what could not be drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from rein.check.sheet import MARGIN, WIDTH, draw
from rein.check.survey import survey


def drawn(names: list[str], root: Path, path: Path) -> np.ndarray:
    (file,) = draw(survey(names, root), path)
    with Image.open(file) as sheet:
        return np.array(sheet)


def test_a_png_holds_all_domains_and_a_folder_one_for_each(copied: Path, tmp_path: Path) -> None:
    both = drawn(["toy-day", "toy-fog"], copied, tmp_path / "all.png")
    files = draw(survey(["toy-day", "toy-fog"], copied), tmp_path / "sheets")
    assert [file.name for file in files] == ["toy-day.png", "toy-fog.png"]
    assert both.shape[1] == WIDTH
    assert np.array_equal(both, np.concatenate([np.array(Image.open(file)) for file in files]))


def test_a_shifted_label_looks_different_and_its_image_does_not(copied: Path, tmp_path: Path) -> None:
    before = drawn(["toy-day"], copied, tmp_path / "a.png").astype(int)
    path = copied / "toy/day/labels/val/000000.png"
    label = np.array(Image.open(path))
    Image.fromarray(np.roll(label, 8, 1)).save(path)
    differ = np.abs(drawn(["toy-day"], copied, tmp_path / "b.png") - before).sum(-1) > 0
    columns = np.flatnonzero(differ.any(0))
    pair = (WIDTH - 2 * MARGIN) // 4
    assert MARGIN + pair - 20 < columns.min() and columns.max() < MARGIN + 2 * pair + 20  # the first overlay alone


def test_road_is_drawn_in_its_colour(copied: Path, tmp_path: Path) -> None:
    for path in (copied / "toy/day/images/val").iterdir():
        Image.new("RGB", (192, 96), "black").save(path)
    sheet = drawn(["toy-day"], copied, tmp_path / "a.png")
    road = np.round(np.array([128, 64, 128]) * 0.6)
    assert (np.abs(sheet - road).max(-1) <= 1).mean() > 0.05


def test_files_that_cannot_be_drawn_leave_room_for_the_reason(copied: Path, tmp_path: Path) -> None:
    (copied / "toy/day/images/val/000000.png").write_bytes(b"")
    Image.new("L", (96, 96)).save(copied / "toy/day/labels/val/000001.png")
    sheet = drawn(["toy-day"], copied, tmp_path / "a.png")
    assert (sheet == 238).all(-1).mean() > 0.2  # three of the four pictures are grey boxes


def test_ids_that_are_not_known_are_black_and_white_squares(copied: Path, tmp_path: Path) -> None:
    assert _pure(drawn(["toy-day"], copied, tmp_path / "a.png")) < 0.1
    for path in (copied / "toy/day/labels/val").iterdir():
        Image.new("L", (192, 96), 77).save(path)
    assert _pure(drawn(["toy-day"], copied, tmp_path / "b.png")) > 0.1


def test_a_domain_that_is_not_there_has_its_title(copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "toy")
    assert drawn(["kitti"], copied, tmp_path / "a.png").min() == 0


def _pure(sheet: np.ndarray) -> float:
    return float((sheet < 20).all(-1).mean())
