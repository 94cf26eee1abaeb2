"""The demo's own path at a tiny size: the shipped sweep through Ray and MLflow, then the shipped report."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from rein.cli import app
from rein.config import Data, Sweep, to_dict
from rein.config_io import load
from rein.data.selection import training_files
from rein.ledger import runs
from rein.trained.inference import load_model

#: What makes a run of the demo take a second; the points, the toy ViT, the domains and the report are the demo's.
SHORT = {
    "steps": 6,
    "head.width": 32,
    "head.decoder_layers": 1,
    "head.points": 64,
    "evaluation.every": 3,
    "evaluation.images": 2,
    "seed": 0,
}


@pytest.mark.slow
def test_the_demo_from_sweep_to_report(tmp_path: Path, toy_data: Path) -> None:
    sweep = to_dict(load(Sweep, "demo"))
    sweep["vary"] = {key: [value] for key, value in SHORT.items()}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(tmp_path / "runs")}
    environment.pop("MLFLOW_TRACKING_URI", None)

    def rein(*words: str) -> str:
        command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    points = list(sweep["points"])
    assert json.loads(rein("sweep", "demo.yaml", "--json"))["done"] == len(points)
    written = json.loads(rein("report", "demo", "sweep=demo.yaml", "--json"))
    assert {"report.md", "report.tex", "report.html", "inverted-u.png"} <= {Path(file).name for file in written}
    text = (tmp_path / "reports/out/demo/report.md").read_text()
    assert f"{len(points)} done of {len(points)} planned" in text
    assert [point for point in points if point not in text] == []
    for figure in ("inverted-u", "curves", "predictions"):
        for suffix in ("png", "pdf"):
            assert (tmp_path / f"reports/out/demo/figures/{figure}.{suffix}").stat().st_size > 5000
    assert (tmp_path / "runs/mlflow.db").is_file()


@pytest.fixture
def rein(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """`rein` as a function, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    # How long torch waits for a loader process whose error it raised: none of them ends by itself.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    logger = logging.getLogger("rein")
    level = logger.level
    yield lambda *words: CliRunner().invoke(app, [str(word) for word in words])
    logger.setLevel(level)


@pytest.fixture
def study(tmp_path: Path, tiny_file: Path, toy_data: Path) -> Path:
    """A copy of the toy data, and a sweep with a run that reads all of it beside one that reads little."""
    for style in ("game", "day", "night"):
        shutil.copytree(toy_data / "toy" / style, tmp_path / "data/toy" / style)
    points = {"all": {}, "little": {"data.fraction": "1/7", "data.targets": ["toy-night"]}}
    vary = {"steps": [4], "evaluation.images": [None]}
    (tmp_path / "sweep.yaml").write_text(
        yaml.safe_dump({"experiment": str(tiny_file), "points": points, "vary": vary}, sort_keys=False)
    )
    report = {"title": "T", "sweep": "sweep.yaml", "tables": [{"name": "main"}]}
    (tmp_path / "report.yaml").write_text(yaml.safe_dump(report))
    return tmp_path


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("where", ["train", "val"])
def test_a_corrupt_file_ends_the_runs_that_read_it_and_no_other(
    rein: Callable[..., Result], study: Path, where: str, workers: int
) -> None:
    bad = spoil(study, where)
    done = rein("sweep", "sweep.yaml", "--executor", "local", "--no-track", "--json",
                "--data", "data", "--device", "cpu", "--workers", workers)  # fmt: skip
    assert done.exit_code == 1 and json.loads(done.stdout) == {
        "runs": 2, "already done": 0, "failed": 1, "done": 1,
    }  # fmt: skip
    found = {run.experiment().data.fraction == 1: run.status() for run in runs(study / "runs")}
    assert (found[True]["state"], found[False]["state"]) == ("failed", "done")
    error = found[True]["error"]
    assert error.startswith(f"{bad}: not a readable image") and error.endswith("on_error=skip goes on without them")
    assert f"failed: all ({min(r.id for r in runs(study / 'runs') if r.state == 'failed')}): {error}" in done.stderr


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("where", "words"), [("train", "training: 1 image"), ("val", "toy-day: 1 of 2 images")])
def test_a_corrupt_file_that_is_skipped_is_in_the_report(
    rein: Callable[..., Result],
    study: Path,
    where: str,
    words: str,
    workers: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = spoil(study, where)
    skip = "vary={steps: [4], evaluation.images: [null], data.on_error: [skip]}"
    done = rein("sweep", "sweep.yaml", skip, "--executor", "local", "--no-track", "--json",
                "--data", "data", "--device", "cpu", "--workers", workers)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {
        "runs": 2, "already done": 0, "done": 2, "failed": 0, "runs that skipped files": 1,
    }  # fmt: skip
    (record,) = [record for run in runs(study / "runs") for record in run.remarks()]
    assert study / "data" / record["file"] == bad and record["kind"] == "skipped"
    assert f"{bad}: not a readable image" in caplog.text, "it is warned of while the sweep runs"
    assert "done      all" in done.stderr and "1 image skipped" in done.stderr
    assert rein("report", "report.yaml", skip, "--out", "out").exit_code == 0
    text = (study / "out/report.md").read_text()
    assert f"In 1 of 2 runs files were skipped ({words})" in text
    assert "files were skipped in 1 of 2 runs" in text.split("## Table")[0]


def spoil(study: Path, where: str) -> Path:
    """Cut one file short: a training image that `little` does not read, or a test image."""
    bad = study / "data/toy/day/images/val/000001.png"
    if where == "train":
        read = training_files(Data(sources=("toy-game",), fraction=1 / 7), study / "data")[0]
        bad = next(path for path in sorted((study / "data/toy/game/images/train").iterdir()) if path != read[0].image)
    bad.write_bytes(bad.read_bytes()[:500])
    return bad


def test_three_classes_of_ones_own_from_training_to_report(rein: Callable[..., Result], study: Path) -> None:
    classes = ("road", "sky", "car")
    own = f"vary={{steps: [2], data.classes: [[{', '.join(classes)}]]}}"
    place = ("--data", "data", "--device", "cpu")
    done = rein("sweep", "sweep.yaml", own, "--executor", "local", "--no-track", *place)
    assert done.exit_code == 0, done.stderr
    run = next(run for run in runs(study / "runs") if run.experiment().data.fraction == 1)
    assert set(pd.read_csv(run.path / "scores.csv")["class"]) <= {"all", *classes}
    assert np.load(run.path / "confusion.npz")["toy-day"].shape == (3, 3)
    assert json.loads(rein("evaluate", run.id, "toy-night", *place, "--json").stdout)[0]["miou"] >= 0
    image = study / "data/toy/day/images/val/000000.png"
    assert rein("predict", run.id, image, "--device", "cpu").exit_code == 0
    assert np.array(Image.open(study / "predictions/000000_mask.png")).max() < 3
    assert rein("export", run.id, "--format", "merged", "--out", "merged.safetensors").exit_code == 0
    assert load_model("merged.safetensors")[1].classes == classes
    report = [own, "tables=[{name: classes, kind: classes}]", "figures=[{name: p, kind: predictions}]"]
    assert rein("report", "report.yaml", *report, "--out", "out").exit_code == 0
    head = (study / "out/tables/classes.md").read_text().splitlines()[0]
    assert head.split("|")[-2 - len(classes) : -1] == [f" {name} " for name in (*classes, "mIoU")]
    assert (study / "out/figures/p.png").is_file()


@pytest.mark.slow
def test_a_quiet_run_keeps_its_warnings_in_its_record(study: Path) -> None:
    spoil(study, "val")
    code = "from rein.cli import main; main()"
    words = ("-q", "train", "tiny.yaml", "data.on_error=skip", "evaluation.images=2", "steps=1", "--no-track",
             "--data", "data", "--device", "cpu")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=study)
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = runs(study / "runs")
    assert any("000001.png: not a readable image" in note for note in run.status()["notes"])
