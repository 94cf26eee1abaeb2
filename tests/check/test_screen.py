"""What a person reads: short where all is well, and never lost in a long list."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.check.data import check_data
from rein.check.screen import lines
from rein.check.survey import survey

FINE = [{"what": "device", "found": "cpu", "problems": [], "remarks": []}]


def said(names: list[str], root: Path, width: int = 100, **options: int) -> list[str]:
    return list(lines(FINE, check_data(survey(names, root), **options), width))


def test_sound_data_fit_a_screen_and_a_terminal_of_a_hundred_columns(copied: Path) -> None:
    text = said(["toy-game"], copied)
    assert len(text) < 24 and max(map(len, text)) <= 100
    assert text[-1] == "1 domain, 9 images: no problem"
    assert not any(word in line for line in text[:-1] for word in ("problem", "remark"))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_table_of_classes_keeps_to_the_width(copied: Path, width: int) -> None:
    table = [line for line in said(["toy-game"], copied, width) if line.startswith(("  road", "  sky", "  fence"))]
    assert table and all(len(line) <= width for line in table)


def test_classes_that_never_occur_are_named_and_have_no_row(copied: Path) -> None:
    text = said(["toy-night"], copied)
    never = next(line for line in text if line.startswith("  never: "))
    assert "train" in never and not any(line.startswith("  train  ") for line in text)


def test_long_lists_are_cut_and_paths_are_those_below_the_domain(copied: Path) -> None:
    for number in range(6):
        (copied / f"toy/game/images/train/00000{number}.png").write_bytes(b"")
    text = said(["toy-game"], copied)
    assert sum("images/train/00000" in line and str(copied) not in line for line in text) >= 5
    assert any(line.strip() == "and 1 more (`--json` lists all)" for line in text)
    assert text[-1] == "1 domain, 9 images: 1 problem"


def test_what_holds_for_every_file_is_shown_at_one(copied: Path) -> None:
    for path in (copied / "toy/night/images/val").iterdir():
        path.write_bytes(b"")
    assert any(line.strip() == "and 1 more (`--json` lists all)" for line in said(["toy-night"], copied))


def test_that_not_all_files_were_read_is_said(copied: Path) -> None:
    assert any("7 images, 2 of them read (--files 7 reads all)" in line for line in said(["toy-game"], copied, files=2))


def test_a_domain_that_is_not_there_is_one_paragraph(copied: Path) -> None:
    text = said(["kitti"], copied)
    assert "kitti  not found" in text and text[-1] == "0 domains, 0 images: 1 problem"
    assert any(line.startswith("  problem  val: looked for training/image_2/") for line in text)
