"""The doctor finds what is wrong with the machine before a run does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rein.check import machine as check
from rein.check.machine import check_machine
from rein.config import Machine


def rows(machine: Machine) -> dict[str, dict[str, Any]]:
    return {row["what"]: row for row in check_machine(machine)}


def test_a_sound_machine_has_no_problem(machine: Machine) -> None:
    found = rows(machine)
    assert list(found) == ["device", "runs", "weights", "data", "tracker"]
    assert [row["problems"] for row in found.values()] == [[]] * 5
    assert found["device"]["found"].startswith("cpu") and "GiB" in found["device"]["found"]
    assert "toy/game" in found["data"]["found"] and "made by the first run" in found["tracker"]["found"]


def test_the_cache_has_a_row_where_it_has_a_place(machine: Machine, tmp_path: Path) -> None:
    found = rows(replace(machine, cache=tmp_path / "cache"))["cache"]
    assert found["found"].startswith(str(tmp_path / "cache")) and "GiB free" in found["found"]
    assert found["problems"] == []


def test_local_weights_are_listed(machine: Machine) -> None:
    machine.weights.mkdir()
    (machine.weights / "mine.safetensors").touch()
    assert "mine.safetensors" in rows(machine)["weights"]["found"]


def test_a_data_folder_that_is_not_there_a_full_disk_and_a_silent_tracker_are_problems(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(check, "LOW_DISK_GIB", 10**9)
    found = rows(replace(machine, data=tmp_path / "nothing"))
    assert "nothing does not exist" in found["data"]["problems"][0]
    assert "nearly full" in found["runs"]["problems"][0]
    assert "MLFLOW_TRACKING_URI" in found["tracker"]["problems"][0]


def test_a_data_folder_with_nothing_in_it_is_a_problem(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    found = rows(replace(machine, data=tmp_path / "data"))["data"]
    assert "holds no known domain's folder" in found["problems"][0] and "--data" in found["problems"][0]


def test_folders_that_no_domain_has_and_links_to_nothing_are_remarks(machine: Machine, tmp_path: Path) -> None:
    for name in ("KITTI", "CityScape", "kitty", "coco", ".hidden"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data/gta").symlink_to("/nowhere")
    found = rows(replace(machine, data=tmp_path / "data"))["data"]
    assert found["problems"] == []
    assert found["remarks"] == [
        "not known: CityScape (cityscapes?), kitty (kitti?), coco; gta is a link to /nowhere, which is not there"
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_asked_for_and_not_there_is_a_problem(machine: Machine) -> None:
    assert "sees no GPU" in rows(replace(machine, device="cuda"))["device"]["problems"][0]
