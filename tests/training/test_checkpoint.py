"""Checkpoints: complete or absent, two kept, only what trains, and never loaded silently wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rein.config import Backbone, ConfigError, Experiment
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import trainable
from rein.training import checkpoint
from rein.training.checkpoint import Place
from rein.training.optim import build_optimizer, named_state

Tiny = Callable[..., Experiment]


class Trained:
    """A tiny model whose trainable weights are their step's number."""

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.model: Segmenter = build_model(experiment)
        self.optimizer = build_optimizer(self.model, experiment.optim)
        self.folder = folder

    def save(self, step: int) -> None:
        for _, parameter in trainable(self.model):
            parameter.grad = torch.ones_like(parameter)
        self.optimizer.step()
        with torch.no_grad():
            for _, parameter in trainable(self.model):
                parameter.fill_(step)
        checkpoint.save(self.folder, Place(step), self.model, self.optimizer)

    def resume(self) -> int:
        return checkpoint.resume(self.folder, self.model, self.optimizer).step

    def weights(self) -> set[float]:
        return {float(p.detach().unique()) for _, p in trainable(self.model) if p.detach().unique().numel() == 1}


@pytest.fixture
def trained(tiny: Tiny, tmp_path: Path) -> Callable[..., Trained]:
    def make(**changes: Any) -> Trained:
        return Trained(tiny(changes), tmp_path / "checkpoint")

    return make


def test_resume_brings_back_step_weights_and_optimizer(trained: Callable[..., Trained]) -> None:
    first = trained()
    first.save(3)
    state = named_state(first.model, first.optimizer)
    second = trained()
    assert second.resume() == 3
    assert second.weights() == {3.0}
    restored = named_state(second.model, second.optimizer)
    assert restored.keys() == state.keys()
    assert all(torch.equal(restored[name], tensor) for name, tensor in state.items())


def test_without_a_checkpoint_a_run_starts_at_zero(trained: Callable[..., Trained]) -> None:
    assert trained().resume() == 0


def test_the_two_newest_are_kept_and_nothing_else(trained: Callable[..., Trained]) -> None:
    run = trained()
    for step in (1, 2, 10, 9999999):
        run.save(step)
    assert [p.name for p in sorted(run.folder.iterdir())] == ["step_0000010", "step_9999999"]
    assert run.resume() == 9999999


@pytest.mark.parametrize("method", [{"tuning.method": "frozen"}, {"tuning.method": "lora", "tuning.rank": 2}, {}])
def test_only_what_trains_is_inside(tiny: Tiny, tmp_path: Path, method: dict[str, Any]) -> None:
    run = Trained(tiny(method), tmp_path / "c")
    run.save(1)
    inside = load_file(checkpoint.newest(run.folder))
    assert set(inside) == {name for name, _ in trainable(run.model)}


def test_all_files_can_be_read_by_whom_the_umask_lets(trained: Callable[..., Trained]) -> None:
    run = trained()
    before = os.umask(0o022)
    try:
        run.save(1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (run.folder / "step_0000001").iterdir()} == {0o644}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", [truncate, Path.unlink, lambda p: p.write_bytes(b"")], ids=["cut", "gone", "empty"])
def test_a_damaged_newest_falls_back_to_the_one_before(
    trained: Callable[..., Trained], caplog: pytest.LogCaptureFixture, file: str, damage: Callable[[Path], object]
) -> None:
    run = trained()
    run.save(1)
    run.save(2)
    damage(run.folder / "step_0000002" / file)
    again = trained()
    assert again.resume() == 1
    assert again.weights() == {1.0}
    assert "step_0000002" in caplog.text


def test_when_all_are_damaged_the_run_starts_again_untouched(trained: Callable[..., Trained]) -> None:
    run = trained()
    run.save(1)
    truncate(run.folder / "step_0000001" / "model.safetensors")
    again, fresh = trained(), trained()
    assert again.resume() == 0
    for (_, a), (_, b) in zip(trainable(again.model), trainable(fresh.model), strict=True):
        assert torch.equal(a, b)
    assert not again.optimizer.state


@pytest.mark.parametrize("name", ["head.level_embed", "head.stranger"])
def test_an_optimizer_file_of_other_parameters_is_not_taken(trained: Callable[..., Trained], name: str) -> None:
    run = trained()
    run.save(1)
    run.save(2)
    path = run.folder / "step_0000002" / "optimizer.safetensors"
    state = {key: tensor for key, tensor in load_file(path).items() if not key.endswith(f".{name}")}
    if name.endswith("stranger"):
        state[f"exp_avg.{name}"] = torch.zeros(1)
    save_file(state, path)
    with pytest.raises(
        ConfigError, match=r"step_0000002/optimizer\.safetensors: .*other parameters; delete its folder"
    ):
        trained().resume()


def test_a_save_that_is_cut_leaves_what_was_there(
    trained: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained()
    run.save(1)

    def full(tensors: dict[str, Tensor], path: Path, _: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(OSError, match="No space"):
            run.save(2)
    assert trained().resume() == 1
    assert checkpoint.newest(run.folder).parent.name == "step_0000001"


def test_what_a_killed_save_left_is_cleared_by_a_later_one(trained: Callable[..., Trained]) -> None:
    run = trained()
    run.save(1)
    shutil.copytree(run.folder / "step_0000001", run.folder / ".step_0000002.99999999")
    run.save(3)
    assert [p.name for p in sorted(run.folder.iterdir())] == ["step_0000001", "step_0000003"]


def test_a_checkpoint_of_another_model_is_no_reason_to_start_again(tiny: Tiny, tmp_path: Path) -> None:
    Trained(tiny({"tuning.rank": 2}), tmp_path / "c").save(1)
    with pytest.raises(ConfigError, match=r"step_0000001/model\.safetensors: does not fit.*delete its folder"):
        Trained(tiny({"tuning.rank": 3}), tmp_path / "c").resume()


# ---------------------------------------------------------------- loading weights alone


def test_a_checkpoint_of_another_model_is_refused_and_changes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    run = Trained(tiny({"tuning.rank": 2}), tmp_path / "c")
    run.save(1)
    other = build_model(tiny({"tuning.rank": 3}))
    before = {name: p.detach().clone() for name, p in trainable(other)}
    with pytest.raises(ConfigError, match=r"model\.safetensors: does not fit.*2 of another shape.*tokens_a"):
        checkpoint.fill(other, checkpoint.newest(run.folder))
    assert all(torch.equal(p, before[name]) for name, p in trainable(other))


def test_missing_and_unused_tensors_are_named(tiny: Tiny, tmp_path: Path) -> None:
    run = Trained(tiny({"tuning.method": "frozen"}), tmp_path / "c")
    run.save(1)
    with pytest.raises(ConfigError) as caught:
        checkpoint.fill(build_model(tiny()), checkpoint.newest(run.folder))
    assert "missing (backbone.rein." in str(caught.value)
    assert "not used (head.query_" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_broken_file_is_named(tiny: Tiny, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.safetensors: not a readable checkpoint"):
        checkpoint.fill(build_model(tiny()), path)


def test_newest_says_what_to_do_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoint.*rein train"):
        checkpoint.newest(tmp_path)


def test_the_state_holds_the_step(trained: Callable[..., Trained]) -> None:
    run = trained()
    run.save(7)
    assert json.loads((run.folder / "step_0000007" / "state.json").read_text()) == {"step": 7, "losses": []}


def test_a_rein_on_a_vit_l_takes_less_than_12_mb_beside_its_head(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = build_model(Experiment(backbone=Backbone(weights="none")))
    weights = {name: torch.zeros(parameter.shape) for name, parameter in trainable(model)}
    for part, numbers, megabytes in (("backbone.", 2_990_081, 12), ("head.", 20_572_692, 83)):
        file = tmp_path / f"{part}safetensors"
        checkpoint.write_tensors(file, {name: tensor for name, tensor in weights.items() if name.startswith(part)})
        assert 4 * numbers < file.stat().st_size < megabytes * 10**6
    assert len(weights) == 303
