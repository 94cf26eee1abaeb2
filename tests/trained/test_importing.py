"""Published checkpoints as runs: all of a file is used and all of a network filled, or it is refused with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rein import results
from rein.config import ConfigError, Experiment, Machine, run_id
from rein.config_io import dump
from rein.ledger import Run, runs
from rein.models import vfm
from rein.models.segmenter import build_model
from rein.models.tuning import trainable
from rein.sweeps.plan import Planned, left
from rein.trained import inference, openmmlab
from rein.trained.importing import import_file
from rein.training import checkpoint

Tiny = Callable[..., Experiment]
Import = Callable[..., Any]


def theirs(experiment: Experiment) -> dict[str, Tensor]:
    """A file's tensors, random, for a network of an experiment."""
    generator = torch.Generator().manual_seed(0)
    own = dict(trainable(build_model(experiment)))
    return {
        name: own[ours].detach() + 0.1 * torch.randn(own[ours].shape, generator=generator)
        for ours, name in openmmlab.table(own).items()
    }


@pytest.fixture
def bring(tmp_path: Path, machine: Machine, tiny: Tiny) -> Import:
    """Write a state as a published file would hold it and import it as the tiny experiment with changes."""

    def go(state: dict[str, Tensor], changes: dict[str, Any] | None = None, **beside: Any) -> Any:
        experiment = tmp_path / "tiny.yaml"
        experiment.write_text(dump(tiny(changes)))
        file = tmp_path / "published.pth"
        torch.save({"state_dict": state, **beside}, file)
        return import_file(file, [str(experiment)], machine)

    return go


@pytest.mark.parametrize(
    "tuning", [{"method": "rein", "token_length": 5, "rank": 2}, {"method": "frozen"}, {"method": "full"}]
)
def test_an_imported_run_is_the_files_network(
    bring: Import, tiny: Tiny, machine: Machine, tuning: dict[str, Any]
) -> None:
    experiment = tiny({"tuning": tuning})
    state = theirs(experiment)
    made = bring(state, {"tuning": tuning}, meta={"epoch": 1}, optimizer={"state": {}})
    assert made["tensors"] == len(state) and made["left_out"] == ["meta", "optimizer"]
    model, loaded = inference.load_model(made["run"], machine)
    assert loaded == experiment
    own = dict(trainable(model))
    assert all(torch.equal(own[ours], state[name]) for ours, name in openmmlab.table(own).items())
    (row,) = inference.evaluate_run(made["run"], ["toy-night"], machine)
    assert row["domain"] == "toy-night"


def test_loading_an_imported_run_warns_of_nothing(
    bring: Import, tiny: Tiny, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    inference.load_model(bring(theirs(tiny()))["run"], machine)
    assert caplog.text == ""


def test_an_imported_run_is_no_run_of_ours(bring: Import, tiny: Tiny, machine: Machine) -> None:
    made = bring(theirs(tiny()))
    run = Run(Path(made["folder"]))
    assert run.state == "imported" and run.id.startswith("imported-") and run.id != run_id(tiny())
    status = run.status()["imported"]
    assert status["file"] == "published.pth" and len(status["sha256"]) == 64
    plan = Planned(run_id(tiny()), "", {}, tiny())
    assert left([plan], machine.runs) == [plan], "a sweep still runs its own"
    assert results.load(machine.runs).empty, "a report counts nothing"
    assert [r.id for r in runs(machine.runs)] == [run.id], "but it is listed"


def test_importing_twice_is_one_run(bring: Import, tiny: Tiny, machine: Machine) -> None:
    first, second = bring(theirs(tiny())), bring(theirs(tiny()))
    assert first == second and len(list(runs(machine.runs))) == 1
    other = bring(theirs(tiny()), {"data.crop_size": 64})
    assert other["run"] != first["run"]


def test_safetensors_are_read_as_well(tiny: Tiny, tiny_file: Path, tmp_path: Path, machine: Machine) -> None:
    save_file(theirs(tiny()), tmp_path / "published.safetensors")
    assert import_file(tmp_path / "published.safetensors", [str(tiny_file)], machine)["tensors"] == len(theirs(tiny()))


def test_changes_alone_are_of_the_default_experiment(tiny: Tiny, tmp_path: Path, machine: Machine) -> None:
    torch.save({"state_dict": theirs(tiny())}, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"vit_large_patch14_dinov2.*of another shape"):
        import_file(tmp_path / "a.pth", ["seed=1"], machine)


# ---------------------------------------------------------------- the trunk


def trunk(experiment: Experiment) -> dict[str, Tensor]:
    """A trunk under the names of a full file, the tensors that no network uses among them."""
    vit = vfm.create(experiment.backbone, experiment.data.crop_size)
    state = {f"backbone.{name}": torch.randn(tensor.shape) for name, tensor in vit.state_dict().items()}
    return {**state, "backbone.mask_token": torch.zeros(1, vit.embed_dim)}


def test_the_trunk_of_a_full_file_is_used(bring: Import, tiny: Tiny, machine: Machine) -> None:
    whole = trunk(tiny())
    made = bring({**theirs(tiny()), **whole})
    assert made["trunk"] == "of the file, kept beside the checkpoint"
    model, experiment = inference.load_model(made["run"], machine)
    assert experiment.backbone.weights == str(Path(made["folder"]) / "trunk.safetensors")
    assert torch.equal(model.backbone.vit.cls_token, whole["backbone.cls_token"])
    weight = model.backbone.vit.blocks[3].block.attn.qkv.weight
    assert torch.equal(weight, whole["backbone.blocks.3.attn.qkv.weight"])


def test_another_trunk_is_refused_and_leaves_no_run(bring: Import, tiny: Tiny, machine: Machine) -> None:
    whole = trunk(tiny())
    del whole["backbone.blocks.3.attn.qkv.weight"]
    with pytest.raises(ConfigError, match=r"does not fit test_vit: 1 missing: blocks\.3\.attn\.qkv\.weight"):
        bring({**theirs(tiny()), **whole})
    assert list(machine.runs.iterdir()) == []


def test_full_tuning_needs_the_trunk(bring: Import, tiny: Tiny) -> None:
    full = {"tuning": {"method": "full"}}
    state = theirs(tiny(full))
    head = {name: tensor for name, tensor in state.items() if not name.startswith("backbone.")}
    with pytest.raises(ConfigError, match=r"lacks tensors of the trunk.*missing \(backbone\."):
        bring(head, full)
    assert bring({**state, "backbone.mask_token": torch.zeros(1)}, full)["left_out"] == ["backbone.mask_token"]


# ---------------------------------------------------------------- refusals


def test_a_plain_head_is_no_rein(bring: Import, tiny: Tiny, machine: Machine) -> None:
    state = theirs(tiny({"tuning": {"method": "frozen"}}))
    with pytest.raises(ConfigError, match=r"holds a plain head with learned queries.*tuning\.method=frozen") as refused:
        bring(state)
    message = str(refused.value)
    assert "2 not used (decode_head.query_embed.weight, decode_head.query_feat.weight)" in message
    assert "13 missing (backbone.reins.learnable_tokens_a" in message and message.endswith("nothing was loaded")
    assert not machine.runs.exists()


def test_a_rein_is_no_plain_head(bring: Import, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"holds a Rein, and the experiment's tuning is frozen.*13 not used"):
        bring(theirs(tiny()), {"tuning": {"method": "frozen"}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"head.width": 64},
            r"of another shape \(backbone\.reins\.merge\.bias \(32,\) for \(64,\), .*; -v lists all\)",
        ),
        (
            {"tuning.token_length": 6},
            r"1 of another shape \(backbone\.reins\.learnable_tokens_a \(6, 5, 2\) for \(6, 6, 2\)\)",
        ),
        ({"head.decoder_layers": 2}, r"18 missing \(decode_head\.transformer_decoder\.layers\.1\."),
        ({"tuning.rank": None}, r"1 missing \(backbone\.reins\.learnable_tokens\); 2 not used"),
        ({"tuning.scale": "zero_init"}, r"1 not used \(backbone\.reins\.scale\)"),
    ],
)
def test_another_shape_of_network_is_refused(bring: Import, tiny: Tiny, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        bring(theirs(tiny()), changes)


def test_a_head_of_other_classes_is_refused_with_both_numbers(bring: Import, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"tells 19 classes apart, and the experiment's data\.classes 3: "):
        bring(theirs(tiny()), {"data.classes": ["road", "sky", "car"]})


def test_a_deeper_file_is_refused(bring: Import, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"16 not used \(decode_head\.pixel_decoder\.encoder\.layers\.1\."):
        bring(theirs(tiny({"head.encoder_layers": 2})))


def test_every_missing_and_strange_tensor_is_counted(bring: Import, tiny: Tiny) -> None:
    state = theirs(tiny())
    del state["decode_head.level_embed.weight"]
    state["decode_head.auxiliary.weight"] = torch.zeros(1)
    with pytest.raises(ConfigError) as refused:
        bring(state)
    assert "1 missing (decode_head.level_embed.weight)" in str(refused.value)
    assert "1 not used (decode_head.auxiliary.weight)" in str(refused.value)


def test_a_tuning_without_a_counterpart_is_refused(bring: Import, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="have no tensor for"):
        bring(theirs(tiny()), {"tuning": {"method": "lora"}})


def test_a_file_without_a_head_is_refused(bring: Import) -> None:
    with pytest.raises(ConfigError, match=r"no decode_head"):
        bring({"blocks.0.norm1.weight": torch.zeros(3)})


# ---------------------------------------------------------------- files


class Program:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_program_in_a_file_is_never_run(bring: Import, tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds more than tensors \(\w+\.mkdir\).*refused.*write its tensors alone"):
        bring(theirs(tiny()), meta=Program(tmp_path / "executed"))
    assert not (tmp_path / "executed").exists()


def test_objects_of_a_training_framework_are_refused_and_named(bring: Import, tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"numpy\._core\.multiarray\.scalar.*python -c .*'published\.pth'"):
        bring(theirs(tiny()), message_hub={"loss": np.float64(1.0)})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a readable file"),
        (b"no checkpoint", "not a readable file"),
        (b"PK\x03\x04 half", "not a readable file"),
        (None, "no such file"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, machine: Machine, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"a\.pth: {words}"):
        import_file(tmp_path / "a.pth", [], machine)


@pytest.mark.parametrize(
    "content", [{"state_dict": {"a": 1}}, {"state_dict": {}}, torch.zeros(2), {"a": torch.zeros(1), "b": 2}]
)
def test_what_is_no_mapping_of_tensors_is_refused(tmp_path: Path, machine: Machine, content: Any) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"not named tensors"):
        import_file(tmp_path / "a.pth", [], machine)


def test_an_imported_checkpoint_can_be_read_by_all_who_read_its_folder(bring: Import, tiny: Tiny) -> None:
    folder = Path(bring(theirs(tiny()))["folder"])
    file = checkpoint.newest(folder / "checkpoint")
    assert file.stat().st_mode == (folder / "status.json").stat().st_mode
    assert load_file(file)


@pytest.mark.parametrize("method", ["frozen", "rein"])
def test_of_a_dinov2_without_rein_the_references_other_features_are_told(
    bring: Import, tiny: Tiny, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    changes = {
        "backbone.name": "vit_small_patch14_dinov2",
        "backbone.patch_size": 16,
        "data.crop_size": 64,
        "tuning": {"method": method},
    }
    with torch.device("meta"):
        own = dict(trainable(build_model(tiny(changes))))
    bring({name: torch.zeros(own[ours].shape) for ours, name in openmmlab.table(own).items()}, changes)
    assert ("expect other scores" in caplog.text) == (method == "frozen")
