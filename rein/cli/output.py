"""What the commands say: results on stdout, progress and logs on stderr."""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any

import typer


def set_logging(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, with tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
) -> None:
    screen = logging.StreamHandler()
    screen.setLevel(logging.ERROR if quiet else logging.NOTSET)  # warnings go into a run's record all the same
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[screen])
    logging.getLogger("rein").setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def print_result(value: Any, as_json: bool) -> None:
    """A mapping or a list of mappings: JSON for programs, aligned columns for people."""
    if as_json:
        typer.echo(json.dumps(value, indent=1, default=str))
        return
    from tabulate import tabulate

    rows = value if isinstance(value, list) else [{"": key, " ": item} for key, item in value.items()]
    typer.echo(tabulate(rows, headers="keys" if isinstance(value, list) else (), tablefmt="plain"))
