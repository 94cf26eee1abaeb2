"""`rein check`: whether machine and data are as a run needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import DataDir, Device, Json, Runs, Weights, machine_of
from rein.cli.output import print_result


def check(
    domains: Annotated[list[str] | None, typer.Argument(help="Domains; default: all that are found.")] = None,
    files: Annotated[
        int | None, typer.Option(min=1, help="Images of a split to read, evenly spaced; default: all up to 5,000.")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Draw images under their labels: FILE.png, or a folder for a PNG a domain. Look at it."),
    ] = None,
    sheet_images: Annotated[int, typer.Option(min=1, help="Images of a split on the sheet.")] = 6,
    runs: Runs = Path("runs"),
    data: DataDir = Path("data"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that read files; default: one a CPU if there are many.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Also ask every node of a Ray cluster: auto, HEAD:6379, ray://HEAD:10001.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The doctor: device, folders, tracker, data.

    The data's files are read, and the bad ones are named.
    """
    from rein.check import data as check_data
    from rein.check import machine as check_machine
    from rein.check import screen
    from rein.check import sheet as contact_sheet
    from rein.check.survey import survey

    if sheet:
        contact_sheet.refuse(sheet)
    machine = machine_of(runs, data, weights, device)
    cluster = []
    if address:  # before all that takes its time
        from rein.sweeps.on_ray.nodes import check_cluster

        cluster = check_cluster(address, machine.runs)
    surveys = survey(domains or [], machine.data)  # first: it draws a toy domain that is asked for
    splits = check_data.check_data(surveys, files or check_data.FILES, workers)
    rows = check_machine.check_machine(machine) + cluster
    totals = check_data.totals(rows, splits)
    if as_json:
        print_result({"totals": totals, "machine": rows, "splits": splits}, as_json)
    else:
        screen.show(rows, splits)
    if sheet:
        for path in contact_sheet.draw(surveys, splits, sheet, sheet_images):
            typer.echo(path, err=as_json)
    if totals["problems"]:
        raise typer.Exit(1)
