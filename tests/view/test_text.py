"""What MLflow says of runs and sweeps: short, true, and Markdown whatever a thing is called."""

from __future__ import annotations

import shlex
from pathlib import Path

from rein.config import Experiment, Sweep, run_id
from rein.config_io import load
from rein.ledger import Run
from rein.view import text


def test_a_sweep_says_the_question_of_its_file_and_what_varies() -> None:
    sweep = Sweep(
        experiment="toy",
        points={"rein, link add": {}, "full": {"tuning.method": "full"}},
        vary={"seed": (0, 1), "steps": (60,)},
    )
    said = text.question(
        "# Does it *fall*\n# again?\n# rein sweep demo\nexperiment: toy\n# later\n", sweep, "rein sweep mine"
    )
    assert said.startswith("Does it \\*fall\\* again?\n") and "rein sweep demo" not in said and "later" not in said
    assert "* points: `rein, link add`, `full`" in said and "* `seed`: 0, 1" in said
    assert "with `steps` = 60." in said and said.endswith("`rein sweep mine` runs what is left.")


def test_a_sweep_says_how_far_it_is() -> None:
    said = text.of_sweep("", ["done", "done", None, "failed"], {"every run": "#/x"})
    assert said.startswith("**2 of 4 runs done** (2 done, 1 to do, 1 failed).") and "[every run](#/x)" in said


def test_a_run_says_its_last_scores_and_the_command_that_makes_it_again(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "my runs", Experiment(steps=20))
    run.start(step=0, steps=20)
    for step, value in ((10, 0.1), (20, 0.2)):
        run.scores(
            {"step": step, "domain": name, "role": role, "class": "all", "metric": "miou", "value": miou}
            for name, role, miou in (("a", "target", value), ("b", "target", 2 * value), ("s", "source", 0.9))
        )
    run.update(**{"parameters.backbone": 1000, "parameters.backbone_trainable": 10, "parameters.head": 5})
    run.finish("done", seconds=65)
    said = text.of_run(run, run.experiment())
    assert said.startswith("**done** in 1:05: 30.0 % mIoU, the mean of the targets")
    assert "| a (target) | 20.0 |" in said and "| s (source, val split) | 90.0 |" in said and "10.0" not in said
    assert "10 parameters in the backbone (1.00 % of its 1,000)" in said
    words = shlex.split(text.command(run))
    assert words[:2] == ["rein", "train"] and words[3:] == ["--runs", str(run.path.parent)]
    assert run_id(load(Experiment, words[2])) == run.id


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    run = Run.create(tmp_path, Experiment())
    run.start(step=0, steps=2)
    run.finish("failed", RuntimeError("no such <domain>"))
    said = text.of_run(run, run.experiment())
    assert said.startswith("**failed** at step 0") and "    no such <domain>" in said and "traceback.txt" in said


def test_a_title_starts_with_what_differs() -> None:
    axes = "backbone.name=eva02_large_patch14_224.mim_m38m, tuning.rank=64, data.sources=('gta', 'synthia')"
    assert text.titled(f"Rein, linked, {axes}, seed 0") == "EVA02-L, rank 64, GTAV + SYNTHIA, Rein, linked, seed 0"
    assert text.titled("rein, seed 0") == "rein, seed 0" and text.titled("seed 1") == "seed 1"
    assert text.titled("tuning.rank=4") == "rank 4" and text.titled("a1b2c3") == "a1b2c3"


def test_seeds_share_a_colour_and_many_variants_have_none() -> None:
    found = text.colours(["a, seed 0", "b, seed 0", "a, seed 1"])
    assert list(found) == ["a", "b"] and len(set(found.values())) == 2
    assert len(set(text.colours(f"rank {number}" for number in range(40)).values())) == 40
    assert text.colours(f"rank {number}" for number in range(50)) == {}
