"""The paper's sweeps and its document: on a tiny toy world from real runs, and on an empty ledger."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from rein.config import Experiment, Machine, Report, Sweep, World
from rein.config_io import find, load, override, read_yaml
from rein.data.classes import CLASSES
from rein.reports.markup import slug
from rein.reports.write import write
from rein.sweeps.drive import drive
from rein.sweeps.plan import expand

ROOT = Path(__file__).parents[1]
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("paper_*.yaml"))

#: What makes a run of the toy world one of a second.
SMALLER = {
    "tuning.token_length": 5, "head.width": 16, "head.decoder_layers": 1, "head.heads": 2, "head.queries": 5,
    "head.encoder_ffn": 16, "head.decoder_ffn": 16, "head.points": 16,
    "evaluation.every": 1, "evaluation.images": 1, "steps": 2,
}  # fmt: skip


#: The columns that the toy world has no domain for.
LACKING = {"target cityscapes-c-frost mean"}


@pytest.fixture
def world(tmp_path: Path) -> str:
    """The shipped toy world with the smallest runs, one seed of each."""
    folder = tmp_path / "world"
    folder.mkdir()
    smaller = override(read_yaml(find(Experiment, "toy_paper")), SMALLER)
    (folder / "smaller.yaml").write_text(yaml.safe_dump(smaller))
    there = read_yaml(find(World, "toy")) | {"experiment": str(folder / "smaller.yaml"), "vary": {"seed": [0]}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(there))
    return str(folder / "tiny.yaml")


@pytest.fixture
def ledger(toy_data: Path, world: str, tmp_path: Path) -> Path:
    """The runs of every sweep of the paper there, over a hundred."""
    runs = tmp_path / "runs"
    machine = Machine(data=toy_data, runs=runs, weights=runs, device="cpu", threads=1)
    for name in SWEEPS:
        said = drive(name, [], machine, "local", track=False, world=world)
        assert said["runs"] == said.get("done"), name
    return runs


def chapters() -> list[Report]:
    return [load(Report, part) for part in load(Report, "paper").parts]


def without_number(measured: pd.DataFrame, out: Path, chapter: Report) -> list[str]:
    """Columns of means in which a row with runs has no number, though the world has what they are of."""
    scores = pd.read_csv(out / f"results-{slug(chapter.sweep)}.csv")
    seen = set(scores.loc[(scores["domain"] == "toy-day") & scores["value"].notna(), "class"])
    lacking = LACKING | {f"{name} mean" for name in CLASSES if name not in seen}
    means = measured[[column for column in measured if column.endswith(" mean") and column not in lacking]]
    assert not means.empty
    return [str(column) for column in means if means[column].isna().any()]


@pytest.mark.slow
def test_every_table_and_figure_of_the_paper_comes_out_of_real_runs(ledger: Path, world: str, tmp_path: Path) -> None:
    assert len(list(ledger.glob("*/scores.csv"))) > 100
    out = tmp_path / "out"
    write(load(Report, "paper"), ledger, out, "paper", world)
    texts = {format: (out / f"report.{format}").read_text() for format in ("md", "tex", "html")}
    for format, text in texts.items():
        assert "Not drawn" not in text and "partial:" not in text, format
    for file in (*out.glob("tables/*.md"), *out.glob("figures/*.tex")):
        # A table or figure that is torn from the document says where its numbers are from.
        assert "Measured in the toy world" in " ".join(file.read_text().split()), file.name
    for chapter in chapters():
        assert chapter.title in texts["md"] and chapter.title in texts["html"]
        for figure in chapter.figures:
            assert all((out / "figures" / f"{figure.name}.{suffix}").is_file() for suffix in ("png", "pdf"))
            assert f"figures/{figure.name}.png" in texts["md"] and f"figures/{figure.name}.tex" in texts["tex"]
        for wanted in chapter.tables:
            values = pd.read_csv(out / "tables" / f"{wanted.name}.csv")
            assert len(values) and f"{wanted.name}" in texts["tex"]
            if "runs planned" in values:
                measured = values[values["runs planned"] > 0]
                assert (measured["runs done"] == measured["runs planned"]).all() and len(measured), wanted.name
            if wanted.kind in ("domains", "pivot", "classes"):
                assert without_number(measured, out, chapter) == [], wanted.name


def test_the_whole_document_is_there_before_anything_has_run(tmp_path: Path) -> None:
    write(load(Report, "paper"), tmp_path / "runs", tmp_path / "out", "paper")
    text = (tmp_path / "out/report.md").read_text()
    runs = {run.id for name in SWEEPS for run in expand(load(Sweep, name))}
    assert f"partial: 0 of {len(runs)} runs done" in text
    for chapter in chapters():
        assert chapter.title in text
        assert all((tmp_path / "out/tables" / f"{wanted.name}.tex").is_file() for wanted in chapter.tables)
    for published in ("82.5", "49.1", "60.0"):
        assert published in text, "later numbers too"
