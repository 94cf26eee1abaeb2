"""The command line: names and overrides in, results on stdout, progress and logs on stderr.

Exit status: 0 done, 1 a run failed, 2 a usage or config error, 130 interrupted (the same command goes on).
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rein.choices import Commands

app = typer.Typer(
    name="rein",
    cls=Commands,
    help=__doc__.splitlines()[0] if __doc__ else None,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, and half the start-up time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
Track = Annotated[bool, typer.Option("--track/--no-track", help="Copy the runs to MLflow (MLFLOW_TRACKING_URI).")]


class Executor(StrEnum):
    """What runs the runs of a sweep."""

    ray = "ray"
    local = "local"


class Kind(StrEnum):
    """What `rein list` can print."""

    experiments = "experiments"
    sweeps = "sweeps"
    reports = "reports"
    runs = "runs"
    domains = "domains"
    tunings = "tunings"
    heads = "heads"
    backbones = "backbones"


class Format(StrEnum):
    """What `rein export` can write."""

    openmmlab = "openmmlab"
    merged = "merged"
    torch = "torch"
    onnx = "onnx"


class Work(StrEnum):
    """What `rein bench model` can time."""

    infer = "infer"
    train = "train"


bench = typer.Typer(help="Benchmarks beside a peer, in one run.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, with tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
) -> None:
    screen = logging.StreamHandler()
    screen.setLevel(logging.ERROR if quiet else logging.NOTSET)  # warnings go into a run's record all the same
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[screen])
    logging.getLogger("rein").setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


@app.command()
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

    machine = _machine(runs, data, weights, device, workers, cache, compile_blocks)
    said = drive_one(load(Experiment, experiment, overrides or ()), machine, Path(experiment).stem, track)
    if said:  # of several processes the first speaks
        _print(said, as_json)


@app.command()
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
    from rein.inference import evaluate_run

    wanted = [*(also or []), *(domains or [])]  # an option takes one word, those behind it come as arguments
    _print(evaluate_run(run, wanted, _machine(runs, data, weights, device, workers, cache, compile_blocks)), as_json)


@app.command()
def predict(
    run: Annotated[str, typer.Argument(help="A run's id (or its beginning), its folder, or a merged file.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Where masks and overlays go.")] = Path("predictions"),
    runs: Runs = Path("runs"),
    weights: Weights = Path("weights"),
    device: Device = "auto",
) -> None:
    """Write a mask of train ids and a coloured overlay for each image."""
    from rein.inference import predict_images

    for path in predict_images(run, images, out, _machine(runs, Path("data"), weights, device)):
        typer.echo(path)


@app.command("import")
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
    from rein.importing import import_file

    _print(import_file(file, words or [], _machine(runs, Path("data"), weights, "cpu")), as_json)


@app.command()
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
    from rein.exporting import export_run

    _print(export_run(run, form.value, out, _machine(runs, Path("data"), weights, "cpu")), as_json)


@app.command()
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
        str | None, typer.Option(help="A Ray cluster: auto, ray://host:10001; else this machine.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="At most so many runs at once; default: what the resources hold.")
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

    machine = _machine(runs, data, weights, device, workers, cache, compile_blocks)
    if dry_run or probe:
        from rein.sweeps.bill import bill
        from rein.sweeps.bill import screen as bill_screen
        from rein.sweeps.bill.estimate import bill_of
        from rein.sweeps.bill.where_it_runs import Place

        drawn = bill_of(name, overrides or [], Place.find(machine, executor.value, address, jobs), probe)
        if as_json:
            _print(bill.as_json(drawn), as_json)
        else:
            bill_screen.show(drawn, Path(name).stem)
        if bill.problems(drawn):
            raise typer.Exit(2)
        return
    result = drive(name, overrides or [], machine, executor.value, address, jobs, track, keep_going)
    _print(result, as_json)
    if result["failed"]:
        raise typer.Exit(1)
    if result.get("left"):  # it was stopped, and the same command goes on
        raise typer.Exit(130)


@app.command()
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
        _print(summary(ledger), as_json)
        return
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal or "COLUMNS" in os.environ else 160)
    show(ledger, console, terminal if watch is None else watch, every_run)


@app.command()
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
    _print(rows if as_json else told(rows), as_json)
    if any(row["outcome"] == "at work" for row in rows):
        raise typer.Exit(1)


@app.command()
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


@app.command()
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
        _print(rows if as_json else told(rows), as_json)
    else:
        typer.echo(f"no runs in {runs.absolute()}")
    if any(row["failed"] for row in rows):
        raise typer.Exit(1)


@app.command()
def report(
    name: Annotated[str, typer.Argument(metavar="REPORT", help="A YAML file or a shipped name.")],
    overrides: SweepOverrides = None,
    out: Annotated[Path | None, typer.Option(help="Where the document goes; default reports/out/NAME.")] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Write a report of what the ledger holds.

    Markdown, LaTeX, HTML and figures.
    """
    from rein.config import Report
    from rein.config_io import load
    from rein.reports.write import write

    target = out or Path("reports/out") / Path(name).stem
    for path in write(load(Report, name, overrides or ()), runs.absolute(), target, name=Path(name).stem):
        typer.echo(path)


@app.command("list")
def list_names(kind: Kind, runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Print what can be named.

    Experiments, sweeps, reports, runs, domains, tunings, heads, backbones.
    """
    from rein.catalogue import entries, shown

    rows = entries(kind.value, runs)
    _print(rows if as_json else shown(kind.value, rows), as_json)


@app.command()
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
        str | None, typer.Option(help="Also ask every node of a Ray cluster: auto, ray://host:10001.")
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
    if address:
        from rein.sweeps.on_ray.address import check_address

        check_address(address)
    machine = _machine(runs, data, weights, device)
    surveys = survey(domains or [], machine.data)  # first: it draws a toy domain that is asked for
    splits = check_data.check_data(surveys, files or check_data.FILES, workers)
    rows = check_machine.check_machine(machine)
    if address:
        from rein.sweeps.on_ray.nodes import check_cluster

        rows += check_cluster(address, machine.runs)
    totals = check_data.totals(rows, splits)
    if as_json:
        _print({"totals": totals, "machine": rows, "splits": splits}, as_json)
    else:
        screen.show(rows, splits)
    if sheet:
        for path in contact_sheet.draw(surveys, splits, sheet, sheet_images):
            typer.echo(path, err=as_json)
    if totals["problems"]:
        raise typer.Exit(1)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """Make a study folder to start from.

    It has one commented experiment, sweep and report.
    """
    from rein.scaffold import create

    for path in create(folder):
        typer.echo(path)
    typer.echo(f"next: cd {shlex.quote(str(folder))} && rein train mine", err=True)


@bench.command("model")
def bench_model(
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
    _print([row for w in works for row in measure(Case(w, backbone, size, batch, compiled, bf16), repeats)], as_json)


@bench.command("loader")
def bench_loader(
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
        _print(rows, as_json)


@bench.command("overhead")
def bench_overhead(
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
    _print(measure(Case(few, many, repeats, steps)), as_json)


def main() -> None:
    """Entry point of the `rein` command: errors of the user's words or files become one line and an exit status."""
    from rein.config import ConfigError

    # A scheduler that takes the machine back (Slurm, Kubernetes) asks as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except SystemExit as stop:
        if stop.code == 130:
            resumed = {"train", "sweep"} & set(sys.argv[1:])
            then = "; a run goes on from its last checkpoint when the same command is given again" if resumed else ""
            typer.echo(f"interrupted{then}", err=True)
        raise
    except ConfigError as error:
        _fail(error, 2)
    except Exception as error:
        from rein.ledger import Stopped

        _fail(error, 130 if isinstance(error, Stopped) else 1)


def _fail(error: Exception, status: int) -> None:
    logging.getLogger("rein").debug("traceback", exc_info=error)
    typer.echo(f"rein: {str(error) or type(error).__name__}", err=True)
    sys.exit(status)


def _machine(
    runs: Path,
    data: Path,
    weights: Path,
    device: str,
    workers: int | None = None,
    cache: Path | None = None,
    compiled: bool = False,
) -> Any:
    from rein.config import Machine

    # Without `..`: people read these, and links stay links.
    folders = {"runs": runs, "data": data, "weights": weights} | ({"cache": cache} if cache else {})
    places: dict[str, Any] = {name: Path(os.path.normpath(folder.absolute())) for name, folder in folders.items()}
    return replace(Machine(), **places, device=device, workers=workers, compile=compiled)


def _refuse_beside_sync(context: typer.Context) -> None:
    """Raise ConfigError for options of `rein sweep` that say nothing to `rein sweep sync`."""
    from rein.config import ConfigError

    for name in context.params.keys() - {"name", "overrides", "runs", "as_json"}:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"rein sweep sync: {option} is no option of it; it takes --runs and --json")


def _print(value: Any, as_json: bool) -> None:
    """A mapping or a list of mappings: JSON for programs, aligned columns for people."""
    if as_json:
        typer.echo(json.dumps(value, indent=1, default=str))
        return
    from tabulate import tabulate

    rows = value if isinstance(value, list) else [{"": key, " ": item} for key, item in value.items()]
    typer.echo(tabulate(rows, headers="keys" if isinstance(value, list) else (), tablefmt="plain"))
