"""The doctor finds what is wrong with the data before a run does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rein.check import check_domains
from rein.config import ConfigError
from rein.data import toy


@pytest.fixture
def copied(toy_data: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_data, tmp_path / "data")
    return tmp_path / "data"


def test_sound_domains_have_a_row_per_split_and_no_problem(copied: Path) -> None:
    rows = check_domains(["toy-game", "toy-day"], copied)
    assert [(r["domain"], r["split"], r["images"], r["problems"]) for r in rows] == [
        ("toy-game", "train", 7, []),
        ("toy-game", "val", 2, []),
        ("toy-day", "val", 2, []),
    ]
    for row in rows:
        seen, known = row["classes"].split("/")
        assert known == "19" and 5 <= int(seen) <= 19 and row["images/s"] > 0


def test_without_names_what_is_there_is_looked_at(copied: Path) -> None:
    assert {row["domain"] for row in check_domains([], copied)} == {f"toy-{style}" for style in toy.STYLES}


def test_every_bad_file_is_named_and_the_rest_is_still_read(copied: Path) -> None:
    images, labels = copied / "toy/game/images/train", copied / "toy/game/labels/train"
    (images / "000001.png").write_bytes(b"no image")
    (labels / "000002.png").unlink()
    Image.fromarray(np.full((96, 192), 77, np.uint8)).save(labels / "000003.png")
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(labels / "000004.png")
    row = check_domains(["toy-game"], copied)[0]
    assert row["images"] == 7
    assert len(row["problems"]) == 4
    for problem, words in zip(
        row["problems"],
        ["images/train/000001.png: not a readable", "000002.png: no such file", "000003.png: label ids [77]",
         "000004.png: 96x96 pixels"],
        strict=True,
    ):  # fmt: skip
        assert words in problem


def test_a_missing_folder_is_a_problem_of_its_row(tmp_path: Path) -> None:
    rows = check_domains(["kitti"], tmp_path)
    assert rows[0]["images"] == 0 and "--data" in rows[0]["problems"][0]


def test_an_unknown_domain_and_an_empty_root_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?=.*kity).*unknown domain.*did you mean `kitti`"):
        check_domains(["kity"], tmp_path)
    with pytest.raises(ConfigError, match="holds no folder of a known domain"):
        check_domains([], tmp_path)


def test_the_real_data_sets_are_sound(real_data: Path) -> None:
    for row in check_domains(["camvid-dusk"], real_data):
        assert row["problems"] == []
