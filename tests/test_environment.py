"""What a run was made with: enough to trace a number, and a digest that notices other data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from rein.config import Experiment, Machine
from rein.environment import data_digest, describe, git_state

Tiny = Callable[..., Experiment]


def test_the_facts_are_json_and_name_every_split_that_is_read(tiny: Tiny, machine: Machine) -> None:
    facts = describe(tiny(), machine, torch.device("cpu"))
    assert json.loads(json.dumps(facts)) == facts
    assert set(facts["data"]) == {"toy-game/train", "toy-game/val", "toy-day/val"}
    assert facts["data"]["toy-game/train"]["images"] == 7
    assert {"torch", "timm", "ray", "mlflow", "numpy"} <= set(facts["packages"])
    assert facts["weights"] is None and facts["device"] == "cpu" and facts["threads"] == 1


def test_a_weight_file_is_named_with_its_digest(tiny: Tiny, machine: Machine) -> None:
    machine.weights.mkdir()
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), machine.weights / "w.safetensors")
    weights = describe(tiny({"backbone.weights": "w.safetensors"}), machine, torch.device("cpu"))["weights"]
    assert weights["file"] == "w.safetensors" and len(weights["sha256"]) == 64


@pytest.fixture
def copied(toy_data: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_data, tmp_path / "data")
    return tmp_path / "data"


def test_the_digest_does_not_depend_on_where_the_data_lies(copied: Path, toy_data: Path) -> None:
    assert data_digest("toy-game", "train", copied) == data_digest("toy-game", "train", toy_data)


def test_the_digest_notices_another_file_name_and_size(copied: Path) -> None:
    folder = copied / "toy/game/images/train"
    before = data_digest("toy-game", "train", copied)
    (folder / "000000.png").rename(folder / "000099.png")
    renamed = data_digest("toy-game", "train", copied)
    with open(folder / "000001.png", "ab") as file:
        file.write(b"x")
    longer = data_digest("toy-game", "train", copied)
    (folder / "000002.png").unlink()
    fewer = data_digest("toy-game", "train", copied)
    assert len({d["sha256"] for d in (before, renamed, longer, fewer)}) == 4
    assert (before["images"], fewer["images"]) == (7, 6)


def test_outside_of_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_other_data_on_a_resume_is_reported(
    tiny: Tiny, machine: Machine, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from rein.training import train

    def cut(record: Mapping[str, Any]) -> None:
        if record["step"] == 2:  # behind the first checkpoint: before it there is nothing to go on from
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), machine, cut)
    (copied / "toy/game/images/train/000000.png").unlink()
    (copied / "toy/game/labels/train/000000.png").unlink()
    train(tiny(), replace(machine, data=copied))
    assert "the data changed" in caplog.text
