"""A study: a folder to start from, what can be named in it, the reports of what was run."""

from __future__ import annotations

import logging
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import Domains, Json, Runs, SweepOverrides
from rein.cli.output import print_result

#: The folders of what stands in a report, beside its documents.
_BESIDE = ("tables", "figures")


class Kind(StrEnum):
    """What `rein list` can print."""

    experiments = "experiments"
    sweeps = "sweeps"
    reports = "reports"
    worlds = "worlds"
    runs = "runs"
    domains = "domains"
    tunings = "tunings"
    heads = "heads"
    backbones = "backbones"


def report(
    name: Annotated[str, typer.Argument(metavar="REPORT", help="A YAML file or a shipped name.")],
    overrides: SweepOverrides = None,
    out: Annotated[Path | None, typer.Option(help="Where the document goes; default reports/out/NAME.")] = None,
    domains: Domains = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Whether latexmk, where installed, makes a PDF.")] = True,
    track: Annotated[
        bool, typer.Option("--track/--no-track", help="Attach it to the sweep in MLflow, where the sweep is there.")
    ] = True,
) -> None:
    """Write a report of what the ledger holds.

    Markdown, LaTeX, HTML, PDF and figures. Prints the documents; with --json every file.
    """
    from rein.config import ConfigError, Report
    from rein.config_io import load
    from rein.reports.write import write
    from rein.worlds import name_in

    called, wanted = name_in(name, domains), load(Report, name, overrides or ())
    target = out or Path("reports/out") / called
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror
        raise ConfigError(f"--out {target}: cannot be made ({why}); name a folder that can be written to") from None
    paths = write(wanted, runs.absolute(), target, Path(name).stem, domains, pdf)
    if as_json:
        print_result(paths, as_json)
    else:
        _tell(paths, target)
    if track:
        sweeps = [one.sweep for one in (wanted, *(load(Report, part) for part in wanted.parts)) if one.sweep]
        _attach(runs.absolute(), [name_in(sweep, domains) for sweep in sweeps], called, target, paths)


def _tell(paths: list[Path], folder: Path) -> None:
    """The documents, and how much lies beside them."""
    for path in paths:
        if path.parent == folder and path.stem == "report":
            typer.echo(path)
    counted = {kind: len({path.stem for path in paths if path.parent == folder / kind}) for kind in _BESIDE}
    found = [f"{number} {kind if number > 1 else kind[:-1]}" for kind, number in counted.items() if number]
    if found:
        typer.echo(f"{' and '.join(found)} in {folder}")


def _attach(runs: Path, sweeps: list[str], name: str, target: Path, paths: list[Path]) -> None:
    """A tracker that is away costs a report nothing but a warning."""
    from rein.sweeps.watching.attaching import attach

    small = [path for path in paths if not path.name.startswith("results")]  # which may be large, and are the runs' own
    try:
        for page in attach(runs, sweeps, name, target, small):
            typer.echo(f"attached to the sweep in MLflow, which `rein ui` shows: {page}", err=True)
    except OSError as error:
        logging.getLogger("rein").warning("the report is not attached to its sweep: %s", error)


def list_names(kind: Kind, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Print what can be named.

    Experiments, sweeps, reports, worlds, runs, domains, tunings, heads, backbones.
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
