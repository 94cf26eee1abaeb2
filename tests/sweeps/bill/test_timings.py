"""Seconds read back from records that were made with known ones, and what they say of other runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.config import Experiment, run_id
from rein.ledger import Run
from rein.sweeps.bill.shape import Shapes, shape
from rein.sweeps.bill.timings import Seen, Timing, Timings, read, scores
from rein.sweeps.plan import Planned

Tiny = Callable[..., Experiment]
STEP, SCORE, START = 0.25, 3.0, 7.0
HERE = "cpu, 1 thread"


def made(root: Path, experiment: Experiment, gap: float = 0.0) -> Run:
    """A finished run whose steps, scores and start took just so long, with a pause of `gap` in its middle."""
    run = Run.create(root, experiment)
    now, every = START, experiment.evaluation.every
    for step in range(1, experiment.steps + 1):
        now += STEP + (gap if step == experiment.steps // 2 else 0)
        run.append({"step": step, "loss": 1.0, "time": now})
        if step == experiment.steps or (every and step % every == 0):
            now += SCORE
            run.append({"step": step, "toy-day/miou": 0.5, "time": now})
    run.update(state="done", attempt=1, started=0.0, seconds=now - gap, step=experiment.steps, peak_memory_mib=600)
    (run.path / "environment.json").write_text(json.dumps({"device": "cpu", "threads": 1}))
    return run


def plan(experiment: Experiment) -> Planned:
    return Planned(run_id(experiment), "", {}, experiment)


@pytest.mark.parametrize("gap", [0.0, 500.0])
def test_a_run_foretells_its_like_of_another_length(tiny: Tiny, tmp_path: Path, gap: float) -> None:
    run = made(tmp_path, tiny({"steps": 40, "evaluation.every": 15}), gap)
    longer = tiny({"steps": 100, "seed": 5, "evaluation.every": 30, "optim.lr": 0.1})
    plans = [plan(tiny({"steps": 40, "evaluation.every": 15})), plan(longer)]
    timings = Timings(read(plans, {run.id: run.status()}, tmp_path))
    found = timings.of(shape(longer), HERE)
    assert found and found.origin == "1 run" and found.memory_mib == 600
    assert found.seconds(longer) == pytest.approx(START + 100 * STEP + 4 * SCORE)
    assert found.seconds(longer, done=60) == pytest.approx(START + 40 * STEP + 2 * SCORE)


def test_what_differs_is_said_and_another_backbone_tells_nothing(tiny: Tiny, tmp_path: Path) -> None:
    run = made(tmp_path, tiny({"steps": 20}))
    near, far = tiny({"tuning.rank": 3}), tiny({"backbone.name": "vit_toy_patch8_96"})
    timings = Timings(
        read([plan(near), plan(far)], {}, tmp_path), flops=lambda net: 300 if net.tuning.rank == 3 else 200
    )
    found = timings.of(shape(near), HERE)
    assert found and found.origin == "1 run of other tuning.rank by FLOPs"
    assert found.step == pytest.approx(1.5 * STEP) and run.state == "done"
    elsewhere = timings.of(shape(near), "NVIDIA L4")
    assert elsewhere and "on cpu, 1 thread" in elsewhere.origin
    assert timings.of(shape(far), HERE) is None and timings.seconds_of(plan(far), HERE) == float("inf")


def test_predictions_are_checked_on_the_runs_that_are_done(tiny: Tiny) -> None:
    exact = Timing(1.0, 0.0, 0.0, None, HERE, "")
    slow = Timing(2.0, 0.0, 0.0, None, HERE, "")
    seen = [Seen(tiny({"seed": 0, "steps": 10}), exact, 10.0), Seen(tiny({"seed": 1, "steps": 10}), slow, 20.0)]
    assert Timings(seen).ratios() == pytest.approx([0.5, 2.0])


@given(steps=st.integers(1, 200), every=st.none() | st.integers(1, 60), data=st.data())
def test_scores_are_counted_as_training_makes_them(steps: int, every: int | None, data: st.DataObject) -> None:
    experiment = Experiment(steps=steps, evaluation=type(Experiment().evaluation)(every=every))
    done = data.draw(st.integers(0, steps - 1))
    told = [step for step in range(done + 1, steps + 1) if step == steps or (every and step % every == 0)]
    assert scores(experiment, done) == len(told)


def test_runs_that_cost_the_same_have_one_shape(tiny: Tiny) -> None:
    shapes = Shapes()
    same = {"seed": 3, "optim.lr": 0.5, "steps": 9, "evaluation.every": 2, "data.flip": 0.1}
    assert shapes(tiny()) is shapes(tiny(same))
    for change in ({"tuning.rank": 3}, {"data.crop_size": 64}, {"optim.precision": "bf16"}, {"evaluation.images": 2}):
        assert shapes(tiny(change)) is not shapes(tiny())


def test_records_without_times_tell_nothing(tiny: Tiny, tmp_path: Path) -> None:
    run = made(tmp_path, tiny({"steps": 20}))
    records = [{key: value for key, value in record.items() if key != "time"} for record in run.metrics()[0]]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert read([plan(tiny({"steps": 20}))], {run.id: run.status()}, tmp_path) == []
