"""What trains: one run, or all that a sweep still lacks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rein.cli.options import (
    Cache,
    Compile,
    DataDir,
    Device,
    Domains,
    Json,
    Overrides,
    Runs,
    SweepOverrides,
    Track,
    Weights,
    Workers,
    machine_of,
)
from rein.cli.output import print_result
from rein.cli.watching import sync


class Executor(StrEnum):
    """What runs the runs of a sweep."""

    ray = "ray"
    local = "local"


def train(
    experiment: Annotated[str, typer.Argument(help="A YAML file or a shipped name.")],
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    data: DataDir = Path("data"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
    workers: Workers = None,
    cache: Cache = None,
    compile_blocks: Compile = False,
    track: Track = True,
    as_json: Json = False,
) -> None:
    """Train and score one experiment.

    The same command goes on where it was cut.
    """
    from rein.config import Experiment
    from rein.config_io import load
    from rein.sweeps.drive import drive_one

    machine = machine_of(runs, data, weights, device, workers, cache, compile_blocks)
    said = drive_one(load(Experiment, experiment, overrides or ()), machine, Path(experiment).stem, track)
    if said:  # of several processes the first speaks
        print_result(said, as_json)


def sweep(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SWEEP", help="A YAML file or a shipped name.")],
    overrides: SweepOverrides = None,
    runs: Runs = Path("runs"),
    data: DataDir = Path("data"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
    workers: Workers = None,
    cache: Cache = None,
    compile_blocks: Compile = False,
    executor: Annotated[
        Executor, typer.Option(help="ray, or local: without Ray, in this process, or in --jobs of them.")
    ] = Executor.ray,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster: auto, HEAD:6379, ray://HEAD:10001; else this machine.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many runs at once; default: what the resources hold, and one with local."),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on though the first runs failed alike and none is done.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what is left and what it takes: time, memory, disk; run nothing."),
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="As --dry-run, trying a few steps of what no run tells of.")
    ] = False,
    domains: Domains = None,
    track: Track = True,
    as_json: Json = False,
) -> None:
    """Run what a sweep still lacks.

    Skips what is done, goes on with what was cut, adds what the axes gained.

    `rein sweep sync [SWEEP]...` copies to MLflow what it lacks, as `rein sync` does.
    """
    if name == "sync":  # a sweep of that name is reached by its path
        _refuse_beside_sync(context)
        sync(overrides, runs, as_json)
        return
    from rein.sweeps.drive import drive

    machine = machine_of(runs, data, weights, device, workers, cache, compile_blocks)
    if dry_run or probe:
        from rein.sweeps.bill import bill
        from rein.sweeps.bill import screen as bill_screen
        from rein.sweeps.bill.estimate import bill_of
        from rein.sweeps.bill.where_it_runs import Place
        from rein.worlds import name_in

        drawn = bill_of(name, overrides or [], Place.find(machine, executor.value, address, jobs), probe, domains)
        if as_json:
            print_result(bill.as_json(drawn), as_json)
        else:
            bill_screen.show(drawn, name_in(name, domains))
        if bill.problems(drawn):
            raise typer.Exit(2)
        return
    result = drive(name, overrides or [], machine, executor.value, address, jobs, track, keep_going, domains)
    print_result(result, as_json)
    if result["failed"]:
        raise typer.Exit(1)
    if result.get("left"):  # it was stopped, and the same command goes on
        raise typer.Exit(130)


def _refuse_beside_sync(context: typer.Context) -> None:
    """Raise ConfigError for options of `rein sweep` that say nothing to `rein sweep sync`."""
    from rein.config import ConfigError

    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in {"name", "overrides", "runs", "as_json"} or source is None or source.name != "COMMANDLINE":
            continue
        is_off = context.params[option.name or ""] is False and option.secondary_opts
        words = option.secondary_opts if is_off else option.opts
        raise ConfigError(f"rein sweep sync: {words[0]} is no option of it; it takes --runs and --json")
