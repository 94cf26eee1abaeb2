"""Which function each word of the command line calls, in the order in which `rein --help` lists them."""

from __future__ import annotations

import typer

from rein.cli import benchmarks, doctor, output, study, trained, training, watching
from rein.cli.choices import Commands

app = typer.Typer(
    name="rein",
    cls=Commands,
    help="The command line: names and overrides in, results on stdout, progress and logs on stderr.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help, and half the start-up time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(output.set_logging)
for word, command in {
    "train": training.train,
    "evaluate": trained.evaluate,
    "predict": trained.predict,
    "import": trained.import_checkpoint,
    "export": trained.export,
    "sweep": training.sweep,
    "status": watching.status,
    "stop": watching.stop,
    "logs": watching.logs,
    "sync": watching.sync,
    "ui": watching.ui,
    "report": study.report,
    "list": study.list_names,
    "check": doctor.check,
    "init": study.init,
}.items():
    app.command(word)(command)

bench = typer.Typer(help="Where time goes: ours beside a peer, and a run part by part.", no_args_is_help=True)
for command in (benchmarks.run, benchmarks.model, benchmarks.loader, benchmarks.overhead):
    bench.command()(command)
app.add_typer(bench, name="bench")
