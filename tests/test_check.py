"""The doctor finds what is wrong with the data before a run does."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rein import check
from rein.check import check_domains, check_machine
from rein.config import ConfigError, Machine
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


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?=.*kity).*unknown domain.*did you mean `kitti`"):
        check_domains(["kity"], tmp_path)


def rows(machine: Machine) -> dict[str, dict[str, Any]]:
    return {row["what"]: row for row in check_machine(machine)}


def test_a_sound_machine_has_no_problem(machine: Machine) -> None:
    found = rows(machine)
    assert list(found) == ["device", "runs", "weights", "data", "tracker"]
    assert [row["problems"] for row in found.values()] == [[]] * 5
    assert found["device"]["found"].startswith("cpu") and "GiB" in found["device"]["found"]
    assert "toy-game" in found["data"]["found"] and "made by the first run" in found["tracker"]["found"]


def test_local_weights_are_listed(machine: Machine) -> None:
    machine.weights.mkdir()
    (machine.weights / "mine.safetensors").touch()
    assert "mine.safetensors" in rows(machine)["weights"]["found"]


def test_an_empty_data_folder_is_said_and_a_full_disk_and_a_silent_tracker_are_problems(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(check, "LOW_DISK_GIB", 10**9)
    found = rows(replace(machine, data=tmp_path / "nothing"))
    assert "no known domain; --data or REIN_DATA" in found["data"]["found"]
    assert "nearly full" in found["runs"]["problems"][0]
    assert "MLFLOW_TRACKING_URI" in found["tracker"]["problems"][0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_asked_for_and_not_there_is_a_problem(machine: Machine) -> None:
    assert "sees no GPU" in rows(replace(machine, device="cuda"))["device"]["problems"][0]


def test_the_real_data_sets_are_sound(real_data: Path) -> None:
    for row in check_domains(["camvid-dusk"], real_data):
        assert row["problems"] == []
