"""`rein bench`: our parts beside a peer's, and the parts of a run beside one another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import Cache, Compile, DataDir, Device, Json, Overrides, Weights, Workers, machine_of
from rein.cli.output import print_result


class Work(StrEnum):
    """What `rein bench model` can time."""

    infer = "infer"
    train = "train"


def model(
    work: Annotated[list[Work] | None, typer.Argument(help="Default: both.")] = None,
    size: Annotated[int, typer.Option(min=64, help="Side of the square images.")] = 512,
    backbone: Annotated[
        str, typer.Option(help="A plain ViT of timm; weights are random.")
    ] = "vit_small_patch14_dinov2",
    batch: Annotated[int, typer.Option(min=1)] = 1,
    compiled: Annotated[bool, typer.Option("--compile", help="A third side: ours compiled.")] = False,
    bf16: Annotated[bool, typer.Option("--bf16", help="A third side: ours in bfloat16, or both.")] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Calls of each side, in turns; medians are printed.")] = 7,
    as_json: Json = False,
) -> None:
    """Time our network beside transformers' Mask2Former, on the same weights and inputs."""
    from rein.bench.model import Case, measure

    works = [w.value for w in work or Work]
    print_result(
        [row for w in works for row in measure(Case(w, backbone, size, batch, compiled, bf16), repeats)], as_json
    )


def loader(
    images: Annotated[int, typer.Option(min=4, help="Crops of each side and turn.")] = 64,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes of each side.")] = 2,
    size: Annotated[str, typer.Option(help="Width and height of the files.")] = "1914x1052",
    cache: Annotated[int | None, typer.Option(min=1, help="A third side: ours with this data.cache.")] = None,
    as_json: Json = False,
) -> None:
    """Time our loader beside the same recipe in Pillow and numpy, on PNG files as large as GTAV's."""
    from rein.bench.loader import Case, measure
    from rein.config import ConfigError

    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ConfigError(f"--size {size}: width and height are due, as in 1914x1052")
    found = measure(Case(images, workers, (int(width), int(height)), cache))
    for rows in [found] if as_json else found.values():
        print_result(rows, as_json)


def overhead(
    few: Annotated[int, typer.Option(min=1, help="Runs of the smaller sweep.")] = 2,
    many: Annotated[int, typer.Option(min=2, help="Runs of the larger one.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a run.")] = 3,
    repeats: Annotated[int, typer.Option(min=1, help="Sweeps of each side and size; medians are printed.")] = 3,
    as_json: Json = False,
) -> None:
    """Time a sweep beside a bare loop of subprocesses that runs the same tiny trials."""
    from rein.bench.overhead import Case, measure
    from rein.config import ConfigError

    if many <= few:
        raise ConfigError(f"--many {many}: must be more than --few {few}, for a line goes through both")
    print_result(measure(Case(few, many, repeats, steps)), as_json)


def run(
    experiment: Annotated[str, typer.Argument(help="A YAML file or a shipped name.")],
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are made.")] = 30,
    data: DataDir = Path("data"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
    workers: Workers = None,
    cache: Cache = None,
    compile_blocks: Compile = False,
    as_json: Json = False,
) -> None:
    """Time the parts of a run: a few steps and one evaluation, and what the whole would take.

    It leaves no run behind. Imports and the copy to MLflow are not in it. On CUDA every part waits for its kernels, so
    that they are counted where they were launched, and a run takes longer than unwatched; that has not been tried.
    """
    from rein.bench.parts import how, table
    from rein.bench.run import measure
    from rein.config import Experiment
    from rein.config_io import load

    machine = machine_of(Path("runs"), data, weights, device, workers, cache, compile_blocks)
    taken = measure(load(Experiment, experiment, overrides or ()), machine, steps)
    found = {"parts": table(taken), "how": how(taken)}
    for said in [found] if as_json else found.values():
        print_result(said, as_json)
