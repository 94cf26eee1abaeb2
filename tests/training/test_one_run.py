"""One run: what it leaves behind, how it ends, and that a cut run ends as if it had never stopped."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rein import results
from rein.config import ConfigError, Experiment, Machine, run_id
from rein.config_io import dump
from rein.data.domain import DataError, MachineError
from rein.ledger import BusyError, GoneError, Run, Stopped
from rein.ledger import run as ledger
from rein.metrics import miou
from rein.training import checkpoint, train

Tiny = Callable[..., Experiment]


class Cut:
    """An observer that raises once, when the loss of a step comes."""

    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.error = step, error

    def __call__(self, record: Mapping[str, Any]) -> None:
        if record["step"] == self.step and "loss" in record:
            raise self.error


def final(run: Run, experiment: Experiment) -> dict[str, Tensor]:
    """Weights and optimizer state of the last step."""
    folder = run.path / "checkpoint" / f"step_{experiment.steps:07d}"
    return {
        f"{file}: {name}": tensor
        for file in ("model", "optimizer")
        for name, tensor in load_file(folder / f"{file}.safetensors").items()
    }


def assert_same_end(first: Run, second: Run, experiment: Experiment) -> None:
    one, two = final(first, experiment), final(second, experiment)
    assert one.keys() == two.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, two[name])] == []
    assert (first.path / "scores.csv").read_text() == (second.path / "scores.csv").read_text()
    matrices = [np.load(run.path / "confusion.npz") for run in (first, second)]
    assert all((matrices[0][domain] == matrices[1][domain]).all() for domain in matrices[0].files)
    assert_same_images(first, second)


def assert_same_images(first: Run, second: Run) -> None:
    one, two = results.images(first.path), results.images(second.path)
    assert one.keys() == two.keys() != set()
    for domain, images in one.items():
        assert images.names == two[domain].names and (images.counts == two[domain].counts).all()


# ---------------------------------------------------------------- what a run leaves


def test_a_finished_run_is_done_and_complete(finished: tuple[Run, Machine], tiny: Tiny) -> None:
    run, _ = finished
    status = run.status()
    assert run.id == run_id(tiny()) and run.experiment() == tiny()
    assert (status["state"], status["step"], status["steps"], status["attempt"]) == ("done", 3, 3, 1)
    assert status["seconds"] > 0 and status["ended"] >= status["started"] and status["peak_memory_mib"] > 0
    assert 0 < status["data_wait"] < 1
    assert sorted(p.name for p in (run.path / "checkpoint").iterdir()) == ["step_0000002", "step_0000003"]
    assert not (run.path / "traceback.txt").exists()


def test_a_finished_runs_metrics_are_losses_and_scores(finished: tuple[Run, Machine]) -> None:
    records, _ = finished[0].metrics()
    losses = [record for record in records if "loss" in record]
    assert [record["step"] for record in losses] == [1, 2, 3]
    assert [record["lr"] for record in losses] == pytest.approx([1e-3 * (1 - s / 3) ** 0.9 for s in range(3)])
    assert all(np.isfinite(record["loss"]) and record["time"] > 0 for record in losses)
    assert set(records[-1]) == {"step", "time", "toy-day/miou", "toy-game/miou", "targets/miou", "source_val"}
    assert records[-1]["source_val"] == records[-1]["toy-game/miou"], "what a search chooses by"
    assert records[-1]["targets/miou"] == records[-1]["toy-day/miou"], "the source is no target"


def test_scores_confusion_and_metrics_agree(finished: tuple[Run, Machine]) -> None:
    run, _ = finished
    frame = results.load(run.path.parent)
    scores = frame[frame["metric"] == "miou"].set_index("domain")
    matrices = np.load(run.path / "confusion.npz")
    assert set(matrices.files) == set(scores.index) == {"toy-day", "toy-game"}
    for domain in matrices.files:
        assert scores.loc[domain, "value"] == pytest.approx(miou(matrices[domain]))
        assert run.metrics()[0][-1][f"{domain}/miou"] == pytest.approx(miou(matrices[domain]))
        assert matrices[domain].sum() == 96 * 192
    assert scores["role"].to_dict() == {"toy-day": "target", "toy-game": "source"}


def test_what_each_image_adds_is_kept(finished: tuple[Run, Machine]) -> None:
    run, _ = finished
    matrices, images = np.load(run.path / "confusion.npz"), results.images(run.path)
    assert set(images) == set(matrices.files)
    for domain, matrix in ((domain, matrices[domain]) for domain in matrices.files):
        found = images[domain]
        assert len(found.names) == run.status()["scored"][domain]["images"]
        assert (found.counts.sum(0) == [np.diag(matrix), matrix.sum(1), matrix.sum(0)]).all()
        assert found.miou() == pytest.approx(miou(matrix), rel=1e-12)


def test_predictions_are_kept_as_images(finished: tuple[Run, Machine]) -> None:
    folder = finished[0].path / "predictions"
    assert {p.name for p in folder.iterdir()} == {"toy-day", "toy-game"}
    names = {p.name for p in (folder / "toy-day").iterdir()}
    assert names == {f"000000_{kind}.png" for kind in ("image", "label", "prediction")}
    label = np.asarray(Image.open(folder / "toy-day" / "000000_label.png"))
    assert label.shape == (96, 192) and set(np.unique(label)) <= {*range(19), 255}


def test_the_environment_says_what_the_run_was_made_with(finished: tuple[Run, Machine]) -> None:
    facts = json.loads((finished[0].path / "environment.json").read_text())
    assert facts["packages"]["torch"] == torch.__version__.split("+")[0]
    assert set(facts["data"]) == {"toy-game/train", "toy-game/val", "toy-day/val"}
    assert facts["device"] == "cpu" and facts["weights"] is None


@pytest.mark.parametrize(
    ("changes", "trained"),
    [
        ({"tuning.method": "full", "optim.precision": "bf16"}, None),
        ({"tuning.method": "lora", "tuning.rank": 1}, 6 * (64 + 3 * 64)),
        ({"tuning.method": "frozen"}, 0),
    ],
)
def test_parameters_are_counted_in_the_status(
    tiny: Tiny, machine: Machine, finished: tuple[Run, Machine], changes: dict[str, Any], trained: int | None
) -> None:
    status = train(tiny({**changes, "steps": 1}), machine).status()
    whole = finished[0].status()["parameters.backbone"]
    assert status["parameters.backbone"] == whole, "the pretrained net alone, whatever is added to it"
    assert status["parameters.backbone_trainable"] == (whole if trained is None else trained)


def test_a_run_that_is_done_is_left_alone(finished: tuple[Run, Machine], tiny: Tiny) -> None:
    run, machine = finished
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    again = train(tiny(), machine, Cut(1, AssertionError("it ran again")))
    assert again.path == run.path
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before


def test_runs_of_one_experiment_end_the_same_and_of_another_seed_do_not(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine
) -> None:
    torch.manual_seed(123)
    again = train(tiny(), machine)
    assert_same_end(again, finished[0], tiny())
    other = train(tiny({"seed": 1}), machine)
    assert any(not torch.equal(t, final(other, tiny())[n]) for n, t in final(again, tiny()).items())


def test_scores_on_the_way_change_nothing_of_the_end(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine
) -> None:
    seen: list[Mapping[str, Any]] = []
    experiment = tiny({"evaluation.every": 1})
    run = train(experiment, machine, seen.append)
    scored = [record["step"] for record in seen if "toy-day/miou" in record]
    assert scored == [1, 2, 3]
    assert sorted(set(pd.read_csv(run.path / "scores.csv")["step"])) == [1, 2, 3]
    first, second = final(run, experiment), final(finished[0], tiny())
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_observer_gets_every_record(tiny: Tiny, machine: Machine) -> None:
    seen: list[dict[str, Any]] = []
    run = train(tiny(), machine, lambda record: seen.append(dict(record)))
    assert seen == run.metrics()[0]


# ---------------------------------------------------------------- cut and resumed


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_run_interrupted_anywhere_ends_as_if_it_had_never_stopped(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), machine, Cut(step, KeyboardInterrupt()))
    run = Run(machine.runs / run_id(tiny()))
    assert run.state == "preempted"
    first: list[int] = []
    train(tiny(), machine, lambda record: first.append(record["step"]))
    assert first[0] == max(step, 1), "it went on from the last checkpoint"
    assert_same_end(run, finished[0], tiny())
    status = run.status()
    assert (status["state"], status["attempt"], status["error"]) == ("done", 2, None)


def test_a_resumed_full_run_ends_the_same(tiny: Tiny, machine: Machine, tmp_path: Path) -> None:
    experiment = tiny({"tuning.method": "full", "evaluation.every": 2})
    elsewhere = replace(machine, runs=tmp_path / "elsewhere")
    uncut = train(experiment, elsewhere)
    with pytest.raises(KeyboardInterrupt):
        train(experiment, machine, Cut(3, KeyboardInterrupt()))
    went_on: list[int] = []
    assert_same_end(train(experiment, machine, lambda record: went_on.append(record["step"])), uncut, experiment)
    assert went_on[0] == 3, "from the checkpoint of step 2"


@pytest.mark.slow
def test_a_run_killed_by_sigkill_ends_as_if_it_had_never_stopped(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(dump(tiny()))
    code = f"""
        import os, signal
        from pathlib import Path
        from rein.config import Experiment, Machine
        from rein.config_io import load
        from rein.training import train

        def kill(record):
            if record["step"] == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        machine = Machine(data=Path({str(machine.data)!r}), runs=Path({str(machine.runs)!r}), device="cpu", threads=1,
                          checkpoint_seconds=0)
        train(load(Experiment, {str(tmp_path / "tiny.yaml")!r}), machine, kill)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run = Run(machine.runs / run_id(tiny()))
    assert run.state == "running", "nobody was left to say otherwise"
    assert [p.name for p in (run.path / "checkpoint").glob("step_*")] == ["step_0000001"]
    train(tiny(), machine)
    assert_same_end(run, finished[0], tiny())
    assert run.status()["attempt"] == 2


def test_a_truncated_checkpoint_costs_one_interval_and_no_number(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), machine, Cut(3, KeyboardInterrupt()))
    path = machine.runs / run_id(tiny()) / "checkpoint" / "step_0000002" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert_same_end(train(tiny(), machine), finished[0], tiny())
    assert "step_0000002" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        {"head.method": "semfpn", "head.width": 8, "data.augmentation": "pasta"},
        {"head.method": "linear", "tuning.method": "frozen", "data.augmentation": "advstyle"},
        {"data.augmentation": "advstyle", "optim.precision": "bf16"},
    ],
    ids=["semfpn pasta", "linear advstyle", "mask2former advstyle"],
)
def test_a_resumed_run_of_any_head_and_augmentation_ends_the_same(
    tiny: Tiny, machine: Machine, tmp_path: Path, changes: dict[str, Any]
) -> None:
    experiment = tiny(changes)
    uncut = train(experiment, replace(machine, runs=tmp_path / "elsewhere"))
    assert uncut.state == "done" and np.isfinite(uncut.metrics()[0][-1]["toy-day/miou"])
    with pytest.raises(KeyboardInterrupt):
        train(experiment, machine, Cut(2, KeyboardInterrupt()))
    assert_same_end(train(experiment, machine), uncut, experiment)


@pytest.mark.parametrize("augmentation", ["pasta", "advstyle"])
def test_an_augmentation_changes_what_is_learned(
    tiny: Tiny, machine: Machine, augmentation: str, finished: tuple[Run, Machine]
) -> None:
    changed, plain = (
        final(train(tiny({"data.augmentation": augmentation}), machine), tiny()),
        final(finished[0], tiny()),
    )
    assert changed.keys() == plain.keys()
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in changed.items())


def test_a_long_checkpoint_interval_writes_only_the_last(tiny: Tiny, machine: Machine) -> None:
    run = train(tiny({"steps": 2}), replace(machine, checkpoint_seconds=1e6))
    assert [p.name for p in (run.path / "checkpoint").iterdir()] == ["step_0000002"]


def test_a_run_that_is_being_worked_on_is_not_touched(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 0)
    run = Run.create(machine.runs, tiny())
    run.start(step=0, steps=3)
    before = run.status()
    with run.claimed(), pytest.raises(BusyError, match=run.id):
        train(tiny(), machine)
    assert run.status() == before and not (run.path / "traceback.txt").exists()


# ---------------------------------------------------------------- how a run ends early


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SystemExit(0), "preempted"),
        (MemoryError(), "oom"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "oom"),
        (RuntimeError("something else"), "failed"),
        (FloatingPointError("nan"), "diverged"),
    ],
)
def test_what_ends_a_run_early_is_its_state_and_is_raised_again(
    tiny: Tiny, machine: Machine, error: BaseException, state: str
) -> None:
    with pytest.raises(type(error)):
        train(tiny(), machine, Cut(1, error))
    run = Run(machine.runs / run_id(tiny()))
    assert run.state == state
    assert type(error).__name__ in (run.path / "traceback.txt").read_text()
    assert run.status()["seconds"] > 0


@pytest.mark.parametrize("lr", [1e30, 1e6])
def test_a_loss_that_is_not_finite_is_a_divergence(tiny: Tiny, machine: Machine, lr: float) -> None:
    experiment = tiny({"optim.lr": lr, "steps": 20, "tuning.method": "full", "optim.backbone_lr": lr})
    with pytest.raises(FloatingPointError):
        train(experiment, machine)
    run = Run(machine.runs / run_id(experiment))
    error = run.status()["error"]
    assert run.state == "diverged" and "step " in error and error.endswith("a lower optim.lr may help")


def test_a_corrupt_image_fails_the_run_and_is_named(tiny: Tiny, machine: Machine, tmp_path: Path) -> None:
    shutil.copytree(machine.data, tmp_path / "data")
    for path in (tmp_path / "data/toy/game/images/train").iterdir():
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"toy/game/images/train/\d+\.png: not a readable image"):
        train(tiny(), replace(machine, data=tmp_path / "data"))
    run = Run(machine.runs / run_id(tiny()))
    assert run.state == "failed"
    assert ".png: not a readable image" in run.status()["error"]


# ---------------------------------------------------------------- bad files that are skipped

read_bytes = Path.read_bytes
SKIP = {"data.on_error": "skip", "steps": 8, "evaluation.images": None, "evaluation.every": 4}


@pytest.fixture
def spoilt(machine: Machine, tmp_path: Path) -> Machine:
    """A training image and a test image are cut short, and another training image has lost its label."""
    for style in ("game", "day"):
        shutil.copytree(machine.data / "toy" / style, tmp_path / "data" / "toy" / style)
    for name in ("game/images/train/000003.png", "day/images/val/000001.png"):
        path = tmp_path / "data/toy" / name
        path.write_bytes(path.read_bytes()[:500])
    (tmp_path / "data/toy/game/labels/train/000005.png").unlink()
    return replace(machine, data=tmp_path / "data")


def test_skipped_files_are_in_the_runs_record(tiny: Tiny, spoilt: Machine) -> None:
    run = train(tiny(SKIP), spoilt)
    status = run.status()
    assert (status["state"], status["skipped_files"]) == ("done", {"train": 2, "toy-day": 1})
    files = {record["file"]: record["text"] for record in run.remarks()}
    assert set(files) == {
        "toy/game/images/train/000003.png", "toy/game/images/train/000005.png", "toy/day/images/val/000001.png",
    }  # fmt: skip
    assert files["toy/game/images/train/000005.png"].endswith("000005.png: has no label")
    assert any("toy/day/images/val/000001.png: not a readable image" in note for note in status["notes"])
    assert {name: scored["images"] for name, scored in status["scored"].items()} == {"toy-day": 1, "toy-game": 2}
    assert np.load(run.path / "confusion.npz")["toy-day"].sum() == 96 * 192
    images = results.images(run.path)["toy-day"]
    assert images.names == ("000000",) and images.counts[:, 1:].sum((0, 2)).tolist() == [96 * 192] * 2
    frame = results.load(run.path.parent)
    assert set(frame["skipped_files"]) == {3}


def test_a_run_that_skips_ends_the_same_with_loader_processes(tiny: Tiny, spoilt: Machine, tmp_path: Path) -> None:
    experiment = tiny({**SKIP, "evaluation.every": None})
    first = train(experiment, spoilt)
    second = train(experiment, replace(spoilt, runs=tmp_path / "elsewhere", workers=1))
    assert_same_end(first, second, experiment)
    assert first.remarks() == second.remarks()


@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_cut_run_neither_loses_a_skipped_file_nor_counts_it_twice(
    tiny: Tiny, spoilt: Machine, tmp_path: Path, step: int
) -> None:
    uncut = train(tiny(SKIP), replace(spoilt, runs=tmp_path / "elsewhere"))
    with pytest.raises(KeyboardInterrupt):
        train(tiny(SKIP), spoilt, Cut(step, KeyboardInterrupt()))
    again = train(tiny(SKIP), spoilt)
    assert again.status()["attempt"] == 2
    assert_same_end(again, uncut, tiny(SKIP))
    assert sorted(r["file"] for r in again.remarks()) == sorted(r["file"] for r in uncut.remarks())
    assert again.status()["skipped_files"] == uncut.status()["skipped_files"]


def test_a_missing_label_fails_a_run_that_does_not_skip(tiny: Tiny, spoilt: Machine) -> None:
    with pytest.raises(DataError, match=r"game/images/train/000005\.png: has no label"):
        train(tiny(), spoilt)


def test_a_domain_of_which_nothing_can_be_read_has_no_score(tiny: Tiny, spoilt: Machine) -> None:
    (spoilt.data / "toy/day/images/val/000000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"000000\.png: not a readable image.*all 2 images that toy-day"):
        train(tiny(SKIP), spoilt)


def test_an_image_that_was_mended_before_the_last_scoring_is_not_counted(
    tiny: Tiny, spoilt: Machine, toy_data: Path
) -> None:
    def mend(record: Mapping[str, Any]) -> None:
        if "toy-day/miou" in record:
            shutil.copytree(toy_data / "toy/day", spoilt.data / "toy/day", dirs_exist_ok=True)

    run = train(tiny(SKIP), spoilt, mend)
    status = run.status()
    assert status["skipped_files"] == {"train": 2} and status["scored"]["toy-day"]["images"] == 2
    assert "toy/day/images/val/000001.png" in {record["file"] for record in run.remarks()}


def test_a_killed_run_finds_its_counts_again(tiny: Tiny, spoilt: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("rein.training.remarks.Remarks.save", lambda self: None)
        train(tiny(SKIP), spoilt, Cut(7, KeyboardInterrupt()))
    record = Run(spoilt.runs / run_id(tiny(SKIP)))
    assert "skipped_files" not in record.status()
    assert train(tiny(SKIP), spoilt).status()["skipped_files"] == {"train": 2, "toy-day": 1}


def test_a_dangling_label_is_skipped(tiny: Tiny, spoilt: Machine) -> None:
    label = spoilt.data / "toy/day/labels/val/000000.png"
    label.rename(label.with_name("away"))
    label.symlink_to("nowhere")
    shutil.copy(spoilt.data / "toy/game/images/val/000000.png", spoilt.data / "toy/day/images/val/000002.png")
    shutil.copy(spoilt.data / "toy/game/labels/val/000000.png", spoilt.data / "toy/day/labels/val/000002.png")
    assert train(tiny(SKIP), spoilt).status()["skipped_files"] == {"train": 2, "toy-day": 2}


@pytest.mark.parametrize(
    ("error", "state"), [(MemoryError(), "oom"), (OSError(errno.EIO, "Input/output error"), "failed")]
)
def test_a_machines_trouble_ends_a_run_that_skips(
    tiny: Tiny, machine: Machine, error: Exception, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> bytes:
        raise error

    with monkeypatch.context() as patch, pytest.raises((MemoryError, MachineError)):
        patch.setattr(Path, "read_bytes", lambda path: fail(path) if path.suffix == ".png" else read_bytes(path))
        train(tiny(SKIP), machine)
    record = Run(machine.runs / run_id(tiny(SKIP)))
    assert record.state == state and record.remarks() == []
    assert train(tiny(SKIP), machine).state == "done", "the same command goes on"


def test_unknown_ids_that_count_as_void_are_in_the_runs_record(tiny: Tiny, spoilt: Machine) -> None:
    for path in (spoilt.data / "toy/game/labels/train").iterdir():
        ids = np.array(Image.open(path))
        ids[:2] = 99
        Image.fromarray(ids).save(path)
    status = train(tiny({**SKIP, "data.unknown_ids": "void"}), spoilt).status()
    assert status["unknown_ids"] == {"train": {"files": 5, "pixels": 5 * 2 * 192, "ids": ["99"], "values": 1}}
    assert sum("label id 99" in note for note in status["notes"]) == 1


def test_missing_data_fails_before_the_first_step(tiny: Tiny, machine: Machine) -> None:
    experiment = tiny({"data.targets": ["kitti"]})
    with pytest.raises(DataError, match="kitti"):
        train(experiment, machine)
    assert Run(machine.runs / run_id(experiment)).metrics()[0] == []


def test_a_config_error_of_the_model_fails_the_run(tiny: Tiny, machine: Machine) -> None:
    experiment = tiny({"backbone.name": "vit_gigantesque"})
    with pytest.raises(ConfigError, match=r"backbone\.name"):
        train(experiment, machine)
    assert Run(machine.runs / run_id(experiment)).state == "failed"


# ---------------------------------------------------------------- asked to stop

#: Losses are recorded every second step, so that a run can be cut between two records.
LONG = {"steps": 100, "data.crop_size": 32, "evaluation.every": None}


def losses(run: Run) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in run.metrics()[0] if "loss" in record}


def at_step(number: int, happens: Callable[[], None]) -> type[torch.optim.AdamW]:
    """An optimizer in whose step of that number something happens."""
    made = []

    class Happens(torch.optim.AdamW):
        def step(self, *words: Any, **more: Any) -> Any:
            made.append(1)
            if len(made) == number:
                happens()
            return super().step(*words, **more)

    return Happens


@pytest.mark.parametrize("state", ["pruned", "preempted"])
@pytest.mark.parametrize("told", [False, True], ids=["found", "told by an exception"])
def test_a_run_that_is_asked_to_stop_does_so_with_a_checkpoint(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine, state: Any, told: bool
) -> None:
    seldom = replace(machine, checkpoint_seconds=1e6)
    run = Run(machine.runs / run_id(tiny()))

    def observe(record: Mapping[str, Any]) -> None:
        if record["step"] == 2:
            run.ask_to_stop(state, "for a test")
            if told:  # as a scheduler of Ray Tune does
                raise SystemExit(0)

    with pytest.raises(Stopped, match="for a test"):
        train(tiny(), seldom, observe)
    assert (run.state, run.status()["error"]) == (state, "for a test") and not (run.path / "traceback.txt").exists()
    assert [path.name for path in (run.path / "checkpoint").iterdir()] == ["step_0000002"]
    went_on: list[int] = []
    assert_same_end(train(tiny(), seldom, lambda record: went_on.append(record["step"])), finished[0], tiny())
    assert went_on[0] == 3 and run.state == "done", "the request was for the attempt before"
    assert losses(run) == losses(finished[0])


def test_a_run_that_is_stopped_before_it_was_scored_is_scored_when_it_goes_on(
    tiny: Tiny, machine: Machine, tmp_path: Path
) -> None:
    experiment = tiny({"evaluation.every": 1})
    uncut = train(experiment, replace(machine, runs=tmp_path / "elsewhere"))
    with pytest.raises(SystemExit):
        train(experiment, machine, Cut(1, SystemExit(0)))  # the loss of step 1; its scores are due
    assert_same_end(train(experiment, machine), uncut, experiment)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_signal_between_two_records_costs_no_step_and_no_loss(
    tiny: Tiny, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    experiment = tiny({**LONG, "optim.precision": precision})
    uncut = train(experiment, replace(machine, runs=tmp_path / "elsewhere", checkpoint_seconds=1e6))
    seldom = replace(machine, checkpoint_seconds=1e6)
    # In the middle of a step, which is finished.
    ends = at_step(5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        patch.setattr("rein.training.optim.AdamW", ends)
        train(experiment, seldom)
    run = Run(machine.runs / run_id(experiment))
    assert run.state == "preempted" and sorted(losses(run)) == [2, 4]
    assert [path.name for path in (run.path / "checkpoint").iterdir()] == ["step_0000005"]
    assert_same_end(train(experiment, seldom), uncut, experiment)
    assert losses(run) == losses(uncut)


def test_a_checkpoint_is_due_between_two_records_too_and_costs_no_loss(
    tiny: Tiny, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("something else")

    experiment = tiny(LONG)
    uncut = train(experiment, replace(machine, runs=tmp_path / "elsewhere", checkpoint_seconds=1e6))
    often = replace(machine, checkpoint_seconds=1e-9)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="something else"):
        patch.setattr("rein.training.optim.AdamW", at_step(6, fail))
        train(experiment, often)
    run = Run(machine.runs / run_id(experiment))
    names = sorted(path.name for path in (run.path / "checkpoint").iterdir())
    assert names == ["step_0000004", "step_0000005"] and sorted(losses(run)) == [2, 4]
    assert_same_end(train(experiment, replace(machine, checkpoint_seconds=1e6)), uncut, experiment)
    assert losses(run) == losses(uncut)


def test_a_request_to_stop_is_heard_at_a_checkpoint_too(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(machine.runs / run_id(tiny(LONG)))
    monkeypatch.setattr("rein.training.optim.AdamW", at_step(5, lambda: run.ask_to_stop("preempted", "for a test")))
    with pytest.raises(Stopped):
        train(tiny(LONG), replace(machine, checkpoint_seconds=1e-9))
    assert (run.state, sorted(losses(run))) == ("preempted", [2, 4])
    assert max(path.name for path in (run.path / "checkpoint").iterdir()) == "step_0000005"


# ---------------------------------------------------------------- what the disk and the system do


def test_a_checkpoint_that_cannot_be_written_is_tried_again(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tries = checkpoint.save_file, []

    def full(tensors: dict[str, Tensor], path: Path, *more: Any) -> None:
        tries.append(path)
        write(tensors, path, *more)
        if len(tries) <= 2:
            raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    run = train(tiny(), machine)
    assert run.state == "done" and any("No space left" in note for note in run.status()["notes"])
    assert_same_end(run, finished[0], tiny())
    assert [path.name for path in (run.path / "checkpoint").iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("file", ["metrics.jsonl", "status.json"])
def test_a_record_that_cannot_be_written_ends_the_run_and_says_so(
    finished: tuple[Run, Machine], tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    call = {"metrics.jsonl": "append", "status.json": "write_atomic"}[file]
    write, blocked = getattr(ledger, call), []

    def full(path: Path, content: Any) -> None:
        if path.name == file and blocked:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(ledger, call, full)
    with pytest.raises(OSError, match=rf"No space left on device.*{file}"):
        train(tiny(), machine, lambda record: blocked.append(record))
    run = Run(machine.runs / run_id(tiny()))
    assert run.state == ("failed" if file == "metrics.jsonl" else "running") and run.holder() is None
    blocked.clear()
    monkeypatch.undo()
    assert_same_end(train(tiny(), machine), finished[0], tiny())


def test_weights_that_are_not_finite_are_never_kept(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diverges(torch.optim.AdamW):
        def step(self, *words: Any, **more: Any) -> Any:
            result = super().step(*words, **more)
            if max(state["step"].item() for state in self.state.values()) == 2:
                self.param_groups[0]["params"][0].data.fill_(float("nan"))
            return result

    monkeypatch.setattr("rein.training.optim.AdamW", Diverges)
    with pytest.raises(FloatingPointError, match=r"step 2: .* is not finite; a lower"):
        train(tiny(), machine)
    run = Run(machine.runs / run_id(tiny()))
    assert run.state == "diverged"
    assert [path.name for path in (run.path / "checkpoint").iterdir()] == ["step_0000001"]


def test_a_run_whose_process_was_lost_three_times_at_one_step_has_failed(tiny: Tiny, machine: Machine) -> None:
    run = Run.create(machine.runs, tiny())
    for _ in range(3):
        run.start(step=0, steps=3)  # and no end
    with pytest.raises(GoneError, match="lost 3 times in a row at step 0"):
        train(tiny(), machine)
    assert run.state == "failed" and "memory" in run.status()["error"]
    assert train(tiny(), machine).state == "done", "whoever starts it again starts the count anew"


def test_a_run_that_gets_further_each_time_may_be_lost_often(tiny: Tiny, machine: Machine) -> None:
    run = Run.create(machine.runs, tiny())
    for step in range(6):
        run.start(step=0, steps=3)
        run.update(step=step + 1)
        assert run.status()["lost"] <= 1
