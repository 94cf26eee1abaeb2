"""The committed study: report and notebook come from its results, rates from their rule, README from the report."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from matplotlib.testing.compare import compare_images
from nbclient import NotebookClient

from rein.config import Report, Sweep
from rein.config_io import load
from rein.packing import unpack
from rein.reports.study import gather, miou
from rein.reports.write import write
from rein.sweeps.plan import expand

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "docs/study"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger that the committed results make."""
    place = tmp_path_factory.mktemp("study") / "runs"
    unpack(STUDY / "results", place)
    return place


@pytest.mark.slow
def test_the_report_is_what_the_results_give(runs: Path, tmp_path: Path) -> None:
    write(load(Report, "study"), runs, tmp_path, "study")
    assert (tmp_path / "report.md").read_text() == (STUDY / "report.md").read_text(), "make study-report"
    for kind, suffix in (("tables", "csv"), ("figures", "png")):
        kept, made = ({path.name for path in (place / kind).glob(f"*.{suffix}")} for place in (STUDY, tmp_path))
        assert kept == made and kept
    for path in (STUDY / "tables").glob("*.csv"):
        assert path.read_text() == (tmp_path / "tables" / path.name).read_text()
    for path in (STUDY / "figures").glob("*.png"):
        assert compare_images(str(path), str(tmp_path / "figures" / path.name), tol=1) is None


def test_every_run_of_the_study_is_done(runs: Path) -> None:
    planned = {run.id for part in load(Report, "study").parts for run in expand(load(Sweep, load(Report, part).sweep))}
    assert {path.name for path in runs.iterdir()} == planned
    assert all('"state": "done"' in (path / "status.json").read_text() for path in runs.iterdir())


def test_every_tuning_has_the_rate_that_was_best_on_the_source(runs: Path) -> None:
    best: dict[str, float] = {}
    for rates in ("study_rate_biases", "study_rate_blocks"):
        study = gather(load(Report, rates), runs)
        scores = miou(study)["source"].mean(axis=1)
        found = study.runs.assign(score=study.runs["run_id"].map(scores)).sort_values("score")
        best |= dict(zip(found["name"], found["optim.backbone_lr"], strict=True))  # the last one is the best
    assert len(best) == 6
    for sweep in ("study_camvid", "study_carla"):
        used = {run.point: run.experiment.optim.backbone_lr for run in expand(load(Sweep, sweep))}
        assert {name: used[name] for name in best} == best


def test_readme_shows_the_reports_table_and_figure() -> None:
    readme, report = (place.read_text() for place in (ROOT / "README.md", STUDY / "report.md"))
    table = re.search(r"(?:^\|.*\n)+", readme, re.MULTILINE)
    assert table and table[0] in report
    assert "docs/study/figures/inverted-u.png" in readme


@pytest.mark.slow
def test_the_notebook_says_what_it_says_here() -> None:
    """Every cell again, in a new kernel: the tables as they are stored, and a figure."""
    kept = nbformat.read(STUDY / "inverted_u.ipynb", as_version=4)
    made = nbformat.read(STUDY / "inverted_u.ipynb", as_version=4)
    NotebookClient(made, timeout=300, resources={"metadata": {"path": str(STUDY)}}).execute()
    assert said(made) == said(kept)
    assert sum("image/png" in output.get("data", {}) for cell in made.cells for output in cell.get("outputs", ())) == 1


def said(notebook: nbformat.NotebookNode) -> list[str]:
    """What the cells show as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert outputs and all(output.output_type in {"execute_result", "display_data"} for output in outputs)
    return [output.data["text/plain"] for output in outputs if "image/png" not in output.data]
