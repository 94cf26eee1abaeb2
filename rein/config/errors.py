"""A refusal of the user's words, and the nearest word that is known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A wrong word in a file or on the command line; the message names it, its place and the next step."""


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean `x`?)`, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean `{close[0]}`?)" if close else ""
