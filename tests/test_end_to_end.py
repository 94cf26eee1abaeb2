"""The demo's own path at a tiny size: the shipped sweep through Ray and MLflow, then the shipped report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rein.config import Sweep, to_dict
from rein.config_io import load

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
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    points = list(sweep["points"])
    assert json.loads(rein("sweep", "demo.yaml", "--json"))["done"] == len(points)
    written = rein("report", "demo", "sweep=demo.yaml").split()
    assert {"report.md", "report.tex", "report.html"} <= {Path(file).name for file in written}
    text = (tmp_path / "reports/out/demo/report.md").read_text()
    assert f"{len(points)} done of {len(points)} planned" in text
    assert [point for point in points if point not in text] == []
    for figure in ("inverted-u", "curves", "predictions"):
        for suffix in ("png", "pdf"):
            assert (tmp_path / f"reports/out/demo/figures/{figure}.{suffix}").stat().st_size > 5000
    assert (tmp_path / "runs/mlflow.db").is_file()
