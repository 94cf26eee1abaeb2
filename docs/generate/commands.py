"""The page of the command line, from what its parser knows."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from typer.main import get_command

from docs.generate.fields import markdown
from rein.cli import app

#: What no option says, by the variable that does.
VARIABLES = {
    "REIN_CHECKPOINT_SECONDS": "Seconds between two checkpoints of a run (300): what a killed one loses at most. 0: "
    "one at every record.",
    "REIN_DOMAINS": "Folders of files that describe domains, parted as in `PATH`, besides `./domains`.",
    "REIN_LEASE_SECONDS": "Seconds without a sign of life (60) after which others take over a run.",
    "REIN_MICRO_BATCH": "Images of a batch that go through the network at once, in each process. Where memory is too "
    "short it is halved by itself.",
    "REIN_SHARD": "1: a run's processes share what of the backbone does not train, for nets that no one GPU holds.",
}


def commands() -> str:
    """Every command with its arguments and options, those of `rein bench` too."""
    root: Any = get_command(app)
    named = dict(_named("rein", root))
    return "\n\n".join(
        [
            "# Commands",
            "What `rein COMMAND --help` prints, on one page. An option with a variable takes its value where it is not "
            "given. Exit status: 0 done, 1 a run failed or a check found something, 2 a usage or config error, 130 "
            "interrupted (the same command goes on).",
            markdown(
                ("command", "what"),
                (
                    (f"[`{name}`](#{name.replace(' ', '-')})", _about(one).partition("\n")[0])
                    for name, one in named.items()
                ),
            ),
            "Before the command's name:",
            _options(root),
            *(part for name, one in named.items() for part in _section(name, one)),
            "## Variables",
            "Beside those of options, `HF_HOME` (the hub's downloads) and MLflow's own (`MLFLOW_TRACKING_URI`).",
            markdown(("variable", "what"), ((f"`{name}`", what) for name, what in VARIABLES.items())),
        ]
    )


def _named(name: str, command: Any) -> Any:
    for word, one in command.commands.items():
        if hasattr(one, "commands"):
            yield from _named(f"{name} {word}", one)
        else:
            yield f"{name} {word}", one


def _section(name: str, command: Any) -> list[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    usage = " ".join([name, *(_usage(argument) for argument in arguments)])
    return [f"## {name}", f"    {usage} [OPTIONS]", _about(command), _options(command)]


def _about(command: Any) -> str:
    return inspect.cleandoc(command.help or "")


def _usage(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    word = word if argument.required or word.startswith("[") else f"[{word}]"
    return word if argument.nargs == 1 or word.endswith("...") else f"{word}..."


def _options(command: Any) -> str:
    hints = get_type_hints(command.callback)
    rows = [_row(param, hints[param.name]) for param in command.params if param.name in hints]
    return markdown(("argument or option", "default", "what"), rows)


def _row(param: Any, hint: Any) -> tuple[str, str, str]:
    text = re.sub(r"\s+", " ", param.help or "")
    if param.param_type_name == "argument":
        return f"`{param.metavar or param.name.upper()}`{_choices(hint)}", "", text
    names = " / ".join(f"`{word}`" for word in (*param.opts, *param.secondary_opts))
    return names if param.is_flag else f"{names}{_choices(hint) or _KINDS.get(hint, ' TEXT')}", _default(param), text


#: How a value is written, by its type; of an option that may be left out too.
_KINDS = {int: " N", int | None: " N", float: " X", Path: " PATH", Path | None: " PATH"}


def _choices(hint: Any) -> str:
    named = isinstance(hint, type) and issubclass(hint, Enum)
    return f" {', '.join(f'`{one.value}`' for one in hint.__members__.values())}" if named else ""


def _default(option: Any) -> str:
    value = getattr(option.default, "value", option.default)
    if value is True and option.secondary_opts:
        value = option.opts[0]
    said = [] if value in (None, False, ()) else [f"`{value}`"]
    return ", or ".join([f"`{option.envvar}`", *said] if option.envvar else said)
