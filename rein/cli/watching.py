"""What looks after runs while others work on them: state, logs, an end, a copy for MLflow."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import Json, Runs
from rein.cli.output import print_result


def status(
    sweeps: Annotated[list[str] | None, typer.Argument(help="Default: all runs, by sweep.")] = None,
    every_run: Annotated[bool, typer.Option("--all", help="List every run, also what is done or to do.")] = False,
    watch: Annotated[
        bool | None, typer.Option("--watch/--once", help="Keep looking until Ctrl-C; default: in a terminal.")
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """What runs where, how far, and what went wrong.

    Reads the runs folder alone.
    """
    from rich.console import Console

    from rein.sweeps.watching.status import Ledger, show, summary

    ledger = Ledger(runs.absolute(), sweeps or ())
    if as_json:
        print_result(summary(ledger), as_json)
        return
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal or "COLUMNS" in os.environ else 160)
    show(ledger, console, terminal if watch is None else watch, every_run)


def stop(
    names: Annotated[list[str], typer.Argument(metavar="RUN|SWEEP...", help="Ids of runs, names of sweeps.")],
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until they have let go.")] = 600.0,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Ask runs and sweeps to write checkpoints and end.

    `rein sweep` and `rein train` go on from there.
    """
    from rein.sweeps.watching.stopping import stop as stop_all
    from rein.sweeps.watching.stopping import told

    rows = stop_all(names, runs.absolute(), wait, say=lambda text: typer.echo(text, err=True))
    print_result(rows if as_json else told(rows), as_json)
    if any(row["outcome"] == "at work" for row in rows):
        raise typer.Exit(1)


def logs(
    run: Annotated[str, typer.Argument(help="A run's id (or its beginning) or folder.")],
    keep_following: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    lines: Annotated[int | None, typer.Option("--lines", "-n", min=0, help="Only the last so many.")] = None,
    runs: Runs = Path("runs"),
) -> None:
    """What a run has said, and how it ended.

    Attempts, records, warnings, the traceback at the end.
    """
    from rein.ledger import find
    from rein.sweeps.watching import logs as run_logs

    found = find(runs.absolute(), run)
    for line in run_logs.follow(found, lines) if keep_following else run_logs.lines(found, lines):
        typer.echo(line)


def sync(
    sweeps: Annotated[list[str] | None, typer.Argument(help="Default: all runs.")] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Copy to MLflow what it lacks of the runs folder.

    After it was away, or whole after its store was lost.
    """
    from rein.sweeps.watching.syncing import sync as sync_all
    from rein.sweeps.watching.syncing import told

    rows = sync_all(sweeps or [], runs.absolute(), say=lambda text: typer.echo(text, err=True))
    if rows or as_json:
        print_result(rows if as_json else told(rows), as_json)
    else:
        typer.echo(f"no runs in {runs.absolute()}")
    if any(row["failed"] for row in rows):
        raise typer.Exit(1)


def ui(
    runs: Runs = Path("runs"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens.")] = 5000,
    host: Annotated[str, typer.Option(help="Who reaches it: by default this machine alone.")] = "127.0.0.1",
) -> None:
    """Show the runs in MLflow's UI, until Ctrl-C.

    Copies to it first what it lacks; with MLFLOW_TRACKING_URI a server's address is printed.
    """
    from rein.sweeps.watching.ui import address, show

    folder = runs.absolute()
    if server := address(folder):
        typer.echo(server)
        return
    show(folder, host, port, say=lambda text: typer.echo(text, err=True), ready=typer.echo)
