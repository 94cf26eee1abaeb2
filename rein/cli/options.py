"""Options that several commands take, and the machine that they describe."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rein.config import Machine

Overrides = Annotated[list[str] | None, typer.Argument(help="dotted.key=value changes, for example tuning.rank=8")]
SweepOverrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes, for example 'vary={seed: [0, 1, 2]}'")
]
Runs = Annotated[Path, typer.Option("--runs", envvar="REIN_RUNS", help="Where runs are recorded.")]
DataDir = Annotated[Path, typer.Option("--data", envvar="REIN_DATA", help="Folder that holds the data sets.")]
Weights = Annotated[Path, typer.Option("--weights", envvar="REIN_WEIGHTS", help="Folder of local weight files.")]
Device = Annotated[str, typer.Option(envvar="REIN_DEVICE", help="cpu, cuda, or auto.")]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Loader processes a run; default: 4 beside a GPU, none on the CPU.")
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", envvar="REIN_CACHE", help="Node-local folder of decoded images (data.cache)."),
]
Compile = Annotated[bool, typer.Option("--compile", help="torch.compile the blocks; takes a minute first.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Domains = Annotated[
    str | None,
    typer.Option("--domains", help="A world whose domains and backbones stand for the sweep's own: toy, or a YAML."),
]
Track = Annotated[bool, typer.Option("--track/--no-track", help="Copy the runs to MLflow (MLFLOW_TRACKING_URI).")]


def machine_of(
    runs: Path,
    data: Path,
    weights: Path,
    device: str,
    workers: int | None = None,
    cache: Path | None = None,
    compiled: bool = False,
) -> Machine:
    """The machine that the options describe, its folders absolute."""
    from rein.config import Machine

    # Without `..`: people read these, and links stay links.
    folders = {"runs": runs, "data": data, "weights": weights} | ({"cache": cache} if cache else {})
    places: dict[str, Any] = {name: Path(os.path.normpath(folder.absolute())) for name, folder in folders.items()}
    return replace(Machine(), **places, device=device, workers=workers, compile=compiled)
