"""How long the results of ten thousand runs take, on four domains of nineteen classes, and a whole report of them.

`python -m tests.benchmarks.test_results_speed FOLDER` makes the ledger, to be looked at or profiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from rein.config import Sweep
from rein.config_io import build, dump
from rein.data.classes import CLASSES
from rein.data.selection import scored_domains
from rein.ledger.run import SCORE_COLUMNS
from rein.sweeps.plan import Planned, expand

#: 4 x 25 x 100 = 10,000 runs of 100 variants.
SWEEP = {
    "points": {
        "frozen": {"tuning.method": "frozen"},
        "lora": {"tuning.method": "lora"},
        "rein": {"tuning.method": "rein"},
        "full": {"tuning.method": "full"},
    },
    "vary": {"optim.lr": [step / 100_000 for step in range(1, 26)], "seed": list(range(100))},
}
DATA = {"sources": ["gta"], "targets": ["cityscapes", "bdd100k", "mapillary"], "holdout": 0.01}
TRAINABLE = {"frozen": 0, "lora": 786_432, "rein": 2_990_081, "full": 304_200_704}
#: As `reports/demo.yaml` has them.
REPORT = {
    "title": "Ten thousand runs",
    "tables": [
        {"name": "main"},
        {"name": "by class", "kind": "classes"},
        {"name": "convergence", "kind": "convergence"},
    ],
    "figures": [{"name": kind, "kind": kind} for kind in ("inverted_u", "curves", "predictions")],
}
STEPS, LOGGED = 40_000, 50


def made_up(folder: Path, runs: int = 10_000) -> Path:
    """A study of a report, a sweep and the first `runs` runs of it in `folder/runs`; returns the report's file."""
    (folder / "base.yaml").write_text(yaml.safe_dump({"data": DATA, "steps": STEPS}))
    sweep = {"experiment": str(folder / "base.yaml"), **SWEEP}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    report = folder / "report.yaml"
    report.write_text(yaml.safe_dump({**REPORT, "sweep": str(folder / "sweep.yaml")}))
    random = np.random.default_rng(0)
    for plan in expand(build(Sweep, sweep))[:runs]:
        _write(folder / "runs" / plan.id, plan, random)
    return report


def _write(folder: Path, plan: Planned, random: np.random.Generator) -> None:
    """What a run of the paper's recipe leaves, as far as a report reads it."""
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(dump(plan.experiment))
    lines, scored = [",".join(SCORE_COLUMNS)], {}
    for domain, role in scored_domains(plan.experiment):
        values = random.uniform(0.2, 0.9, len(CLASSES))
        lines.append(f"{STEPS},{domain},{role},all,miou,{values.mean()}")
        lines += [f"{STEPS},{domain},{role},{c},iou,{v}" for c, v in zip(CLASSES, values, strict=True)]
        scored[domain] = {"images": 500, "digest": "0123456789abcdef"}
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    records = [
        {"step": step, "loss": loss, "lr": 1e-4, "time": 1.7e9 + step}
        for step, loss in zip(
            range(STEPS // LOGGED, STEPS + 1, STEPS // LOGGED), random.uniform(5, 60, LOGGED), strict=True
        )
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    status = {
        "state": "done", "started": 1.7e9, "ended": 1.7e9 + 36_000, "error": None, "notes": [], "host": "node",
        "pid": 1, "attempt": 1, "lost": 0, "furthest": 0, "step": STEPS, "steps": STEPS, "seconds": 36_000.0,
        "peak_memory_mib": 10_000, "data_wait": 0.01, "micro_batch": None, "skipped_files": {}, "scored": scored,
        "parameters.backbone": 304_200_704, "parameters.backbone_trainable": TRAINABLE[plan.point],
        "parameters.head": 20_000_000,
    }  # fmt: skip
    (folder / "status.json").write_text(json.dumps(status, indent=1))
    versions = {"torch": "2.9.1", "timm": "1.0.22", "numpy": "2.3.4", "pandas": "2.3.3"}
    split = {"images": 500, "layout": "*", "labels": {"TRAIN_IDS": 500}, "sha256": 64 * "0", "definition": 16 * "0"}
    environment = {
        "git": {"commit": 40 * "a", "dirty": False}, "python": "3.12.3", "packages": versions, "device": "cpu",
        "threads": 1, "classes": list(CLASSES), "data": {f"{domain}/val": split for domain in scored},
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment, indent=1))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's file of a made-up study."""
    return made_up(tmp_path_factory.mktemp("study"))


def cost(*words: str, folder: Path) -> tuple[float, float, float]:
    """Seconds of the clock, seconds of the CPU and peak memory in MiB of a Python process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


@pytest.mark.benchmark
@pytest.mark.parametrize("losses", [False, True])
def test_10000_runs_are_loaded_in_five_seconds(study: Path, losses: bool) -> None:
    code = f"from rein import results; assert len(results.load(losses={losses})) == {1_300_000 if losses else 800_000}"
    wall, seconds, memory = cost("-c", code, folder=study.parent)
    print(f"losses={losses}: {wall:.1f} s, {seconds:.1f} s of one CPU, {memory:,.0f} MiB at most")
    assert seconds < 5  # of the CPU: the clock's are those of whoever else works on the machine, too


@pytest.mark.benchmark
def test_a_report_of_10000_runs_is_written_in_thirty_seconds(study: Path) -> None:
    wall, seconds, memory = cost("-m", "rein", "report", "report.yaml", "--out", "out", folder=study.parent)
    print(f"{wall:.1f} s, {seconds:.1f} s of one CPU, {memory:,.0f} MiB at most")
    assert seconds < 30
    scores, runs = (
        pd.read_csv(study.parent / "out" / name, usecols=["run_id"]) for name in ("results.csv", "runs.csv")
    )
    assert (len(scores), len(runs)) == (1_300_000, 10_000)


if __name__ == "__main__":
    print(made_up(Path(sys.argv[1])))
