"""What a run's network is good for: scores, masks, files for other programs; and networks of theirs as runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import Cache, Compile, DataDir, Device, Json, Runs, Weights, Workers, machine_of
from rein.cli.output import print_result


class Format(StrEnum):
    """What `rein export` can write."""

    openmmlab = "openmmlab"
    merged = "merged"
    torch = "torch"
    onnx = "onnx"


def evaluate(
    run: Annotated[str, typer.Argument(help="A run's id (or its beginning), its folder, or a merged file.")],
    domains: Annotated[list[str] | None, typer.Argument(help="Domains to score instead of the run's own.")] = None,
    also: Annotated[list[str] | None, typer.Option("--domains", help="The same: `--domains a b`.")] = None,
    runs: Runs = Path("runs"),
    data: DataDir = Path("data"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
    workers: Workers = None,
    cache: Cache = None,
    compile_blocks: Compile = False,
    as_json: Json = False,
) -> None:
    """Score a finished run on its own or other domains."""
    from rein.trained.inference import evaluate_run

    wanted = [*(also or []), *(domains or [])]  # an option takes one word, those behind it come as arguments
    print_result(
        evaluate_run(run, wanted, machine_of(runs, data, weights, device, workers, cache, compile_blocks)), as_json
    )


def predict(
    run: Annotated[str, typer.Argument(help="A run's id (or its beginning), its folder, or a merged file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Where masks and overlays go.")] = Path("predictions"),
    runs: Runs = Path("runs"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
) -> None:
    """Write a mask of train ids and a coloured overlay for each image."""
    from rein.trained.inference import predict_images

    for path in predict_images(run, images, out, machine_of(runs, Path("data"), weights, device)):
        typer.echo(path)


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A checkpoint in OpenMMLab's names: .pth or .safetensors.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXPERIMENT] [KEY=VALUE]...", help="What it was trained as [rein_dinov2_gta]."),
    ] = None,
    runs: Runs = Path("runs"),
    weights: Weights = Path("weights"),
    as_json: Json = False,
) -> None:
    """Make a run of a published checkpoint.

    Says what does not fit; nothing in the file is executed.
    """
    from rein.trained.importing import import_file

    print_result(import_file(file, words or [], machine_of(runs, Path("data"), weights, "cpu")), as_json)


def export(
    run: Annotated[str, typer.Argument(help="A run's id (or its beginning) or folder.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="openmmlab: the trained tensors in OpenMMLab's names; merged: the whole network with what is constant "
            "folded; torch: that as a torch.export program; onnx: as ONNX.",
        ),
    ],
    runs: Runs = Path("runs"),
    weights: Weights = Path("weights"),
    as_json: Json = False,
) -> None:
    """Write a run's network for other programs.

    The file is compared with the network before it is kept.
    """
    from rein.trained.exporting import export_run

    print_result(export_run(run, form.value, out, machine_of(runs, Path("data"), weights, "cpu")), as_json)
