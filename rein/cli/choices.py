"""A word of the command line that is none of an option's choices, said as other wrong words are."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

#: What Typer says of it, of all versions; those with pydantic put `Value error, ` before the reason.
_NO_CHOICE = re.compile(r"Invalid value for '([^']+)': (?:Value error, )?'(.*)' is not one of (.+?)\.?", re.DOTALL)


class Commands(TyperGroup):
    """Commands whose refusal of a choice names the option, the choices, and the nearest of them."""

    def invoke(self, ctx: typer.Context) -> Any:
        """Run what the words name. Raises ConfigError for a word that is no choice."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from rein.config import ConfigError

            if said := _NO_CHOICE.fullmatch(error.format_message()):
                raise ConfigError(_refusal(*said.groups())) from None
            raise


def _refusal(name: str, word: str, choices: str) -> str:
    from rein.config import nearest

    known = re.findall(r"'([^']*)'", choices)
    return f"{name}: {word!r} is none of {', '.join(known)}{nearest(word, known)}"
