"""A study: a folder to start from, what can be named in it, the reports of what was run."""

from __future__ import annotations

import logging
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import Json, Runs, SweepOverrides
from rein.cli.output import print_result


class Kind(StrEnum):
    """What `rein list` can print."""

    experiments = "experiments"
    sweeps = "sweeps"
    reports = "reports"
    runs = "runs"
    domains = "domains"
    tunings = "tunings"
    heads = "heads"
    backbones = "backbones"


def report(
    name: Annotated[str, typer.Argument(metavar="REPORT", help="A YAML file or a shipped name.")],
    overrides: SweepOverrides = None,
    out: Annotated[Path | None, typer.Option(help="Where the document goes; default reports/out/NAME.")] = None,
    runs: Runs = Path("runs"),
    track: Annotated[
        bool, typer.Option("--track/--no-track", help="Attach it to the sweep in MLflow, where the sweep is there.")
    ] = True,
) -> None:
    """Write a report of what the ledger holds.

    Markdown, LaTeX, HTML and figures.
    """
    from rein.config import Report
    from rein.config_io import load
    from rein.reports.write import write

    target, stem = out or Path("reports/out") / Path(name).stem, Path(name).stem
    wanted = load(Report, name, overrides or ())
    paths = write(wanted, runs.absolute(), target, name=stem)
    for path in paths:
        typer.echo(path)
    if track:
        _attach(runs.absolute(), Path(wanted.sweep).stem, stem, target, paths)


def _attach(runs: Path, sweep: str, name: str, target: Path, paths: list[Path]) -> None:
    """A tracker that is away costs a report nothing but a warning."""
    from rein.sweeps.watching.attaching import attach

    try:
        page = attach(runs, sweep, name, target, [path for path in paths if path.name != "results.csv"])
    except OSError as error:
        logging.getLogger("rein").warning("the report is not attached to its sweep: %s", error)
    else:
        if page:
            typer.echo(f"attached to the sweep in MLflow: {page}", err=True)


def list_names(kind: Kind, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Print what can be named.

    Experiments, sweeps, reports, runs, domains, tunings, heads, backbones.
    """
    from rein.catalogue import entries, shown

    rows = entries(kind.value, runs)
    print_result(rows if as_json else shown(kind.value, rows), as_json)


def init(folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """Make a study folder to start from.

    It has one commented experiment, sweep and report.
    """
    from rein.scaffold import create

    for path in create(folder):
        typer.echo(path)
    typer.echo(f"next: cd {shlex.quote(str(folder))} && rein train mine", err=True)
