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
from rein.data import domains
from rein.data.domain import Layout
from rein.data.label_tables import CITYSCAPES_IDS
from rein.training.environment import describe, describe_split, git_state

Tiny = Callable[..., Experiment]


def test_the_facts_are_json_and_name_every_split_that_is_read(tiny: Tiny, machine: Machine) -> None:
    facts = describe(tiny(), machine, torch.device("cpu"))
    assert json.loads(json.dumps(facts)) == facts
    assert set(facts["data"]) == {"toy-game/train", "toy-game/val", "toy-day/val"}
    assert facts["data"]["toy-game/train"]["images"] == 7
    assert {"torch", "timm", "ray", "mlflow", "numpy", "pillow", "kornia_rs", "scipy"} <= set(facts["packages"])
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
    assert describe_split("toy-game", "train", copied) == describe_split("toy-game", "train", toy_data)


def test_the_digest_notices_another_file_name_and_size(copied: Path) -> None:
    images, labels = copied / "toy/game/images/train", copied / "toy/game/labels/train"
    before = describe_split("toy-game", "train", copied)
    for folder in (images, labels):
        (folder / "000000.png").rename(folder / "000099.png")
    renamed = describe_split("toy-game", "train", copied)
    with open(images / "000001.png", "ab") as file:
        file.write(b"x")
    longer = describe_split("toy-game", "train", copied)
    with open(labels / "000001.png", "ab") as file:
        file.write(b"x")
    other_label = describe_split("toy-game", "train", copied)
    (images / "000002.png").unlink()
    fewer = describe_split("toy-game", "train", copied)
    assert len({facts["sha256"] for facts in (before, renamed, longer, other_label, fewer)}) == 5
    assert (before["images"], fewer["images"]) == (7, 6)


def test_raw_ids_are_told_from_converted_labels(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "2_labelTrainIds.png"):
        for folder in ("images", "labels"):
            (tmp_path / "gta" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "gta/labels" / name).touch()
    for name in ("1.png", "2.png"):
        (tmp_path / "gta/images" / name).touch()
    facts = describe_split("gta", "train", tmp_path)
    assert facts["layout"] == "images/*.png"
    (raw,) = facts["labels"].keys() - {"TRAIN_IDS"}
    assert raw.endswith("_IDS") and facts["labels"] == {raw: 1, "TRAIN_IDS": 1}


def test_another_definition_of_a_domain_has_another_digest(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def definition(**changes: Any) -> str:
        monkeypatch.setitem(domains.DOMAINS, "toy-day", replace(known, **changes))
        return describe_split("toy-day", "val", copied)["definition"]

    known = domains.find("toy-day")
    assert definition() == definition(note="in other words") != definition(evaluation_size=(96, 48))


def test_a_layout_that_another_one_stands_beside_keeps_its_digest(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = domains.find("toy-day")
    before = describe_split("toy-day", "val", copied)
    (layout,) = known.splits["val"].layouts

    def with_layouts(*layouts: Layout) -> Any:
        splits = {"val": replace(known.splits["val"], layouts=layouts)}
        monkeypatch.setitem(domains.DOMAINS, "toy-day", replace(known, splits=splits))
        return describe_split("toy-day", "val", copied)

    assert with_layouts(layout, Layout("elsewhere/*.png", ())) == before
    labels = ((layout.labels[0][0], CITYSCAPES_IDS),)
    assert with_layouts(replace(layout, labels=labels))["definition"] != before["definition"]
    assert with_layouts(replace(layout, halve=True))["definition"] != before["definition"]


def test_the_digest_does_not_depend_on_the_name_of_the_folder(copied: Path, tmp_path: Path) -> None:
    before = describe_split("toy-day", "val", copied)
    own = replace(domains.find("toy-day"), folders=(str(tmp_path / "elsewhere"),), toy_style=None)
    (copied / "toy/day").rename(tmp_path / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(domains.DOMAINS, "toy-day", own)
        assert describe_split("toy-day", "val", copied) == before


def test_a_file_that_went_missing_is_part_of_the_digest_and_no_error(copied: Path) -> None:
    before = describe_split("toy-day", "val", copied)
    label = copied / "toy/day/labels/val/000001.png"
    label.unlink()
    label.symlink_to(copied / "nowhere")
    after = describe_split("toy-day", "val", copied)
    assert after["images"] == before["images"] and after["sha256"] != before["sha256"]


def test_it_says_how_many_images_are_used(tiny: Tiny, machine: Machine) -> None:
    changes = {"data.fraction": "1/3", "data.classes": ["road", "sky"]}
    facts = describe(tiny(changes), machine, torch.device("cpu"))
    used = {name: (split["images"], split["used"]) for name, split in facts["data"].items()}
    assert used == {"toy-game/train": (7, 2), "toy-day/val": (2, 1), "toy-game/val": (2, 1)}
    assert facts["classes"] == ["road", "sky"]


def test_what_is_held_out_of_a_source_is_counted(tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    known = domains.find("toy-game")
    monkeypatch.setitem(domains.DOMAINS, "toy-game", replace(known, splits={"train": known.splits["train"]}))
    facts = describe(tiny({"data.holdout": "2/7", "evaluation.images": None}), machine, torch.device("cpu"))["data"]
    assert (facts["toy-game/train"]["used"], facts["toy-game/held out"]["used"]) == (5, 2)


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
