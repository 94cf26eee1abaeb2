"""`rein pack` and `rein unpack`: results as files that a repository can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import Domains, Json, Runs
from rein.cli.output import print_result


def pack(
    sweeps: Annotated[list[str], typer.Argument(metavar="SWEEP", help="YAML files or shipped names.")],
    out: Annotated[Path, typer.Option(help="Folder of the files.")],
    domains: Domains = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Write the results of sweeps into a few small files.

    For a repository: `rein unpack` makes runs of them again, and `rein report` its tables and figures.
    """
    from rein.packing import pack as pack_all
    from rein.worlds import load_sweep

    print_result(pack_all([load_sweep(name, world=domains) for name in sweeps], runs.absolute(), out), as_json)


def unpack(
    folder: Annotated[Path, typer.Argument(help="Where `rein pack` has written.")],
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Make runs of packed results, for reports.

    They have no weights; runs that are there are left alone.
    """
    from rein.packing import unpack as unpack_all

    print_result(unpack_all(folder, runs.absolute()), as_json)
