"""`rein`: the command line as a process, with an exit status for whoever calls it."""

from __future__ import annotations

import logging
import signal
import sys

import typer

from rein.cli.commands import app


def main() -> None:
    """Entry point of the `rein` command: errors of the user's words or files become one line and an exit status."""
    # A scheduler that takes the machine back (Slurm, Kubernetes) asks as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except SystemExit as stop:
        if stop.code == 130:
            resumed = _works_on_runs(sys.argv[1:])
            then = "; a run goes on from its last checkpoint when the same command is given again" if resumed else ""
            typer.echo(f"interrupted{then}", err=True)
        raise
    except Exception as error:
        logging.getLogger("rein").debug("traceback", exc_info=error)
        typer.echo(f"rein: {str(error) or type(error).__name__}", err=True)
        sys.exit(_status_of(error))


def _works_on_runs(words: list[str]) -> bool:
    command = [word for word in words if not word.startswith("-")][:2]
    return command[:1] in (["train"], ["sweep"]) and command[1:] != ["sync"] and not {"--dry-run", "--probe"} & {*words}


def _status_of(error: Exception) -> int:
    from rein.config import ConfigError  # only now: `rein --help` answers without the configs
    from rein.ledger import Stopped

    match error:
        case ConfigError():
            return 2
        case Stopped():
            return 130
    return 1
