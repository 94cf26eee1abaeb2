"""The keys of a config type as a table: type, default, and the `#:` comment that stands above the field."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from typing import Any, get_type_hints

from docs.generate.kinds import words

_COMMENT = re.compile(r"((?: *#:.*\n)+) *(\w+)(?::| =)")


def about(kind: type) -> str:
    """The docstring of a config type, as paragraphs."""
    return inspect.getdoc(kind) or ""


def table(kind: type, prefix: str = "", without: Iterable[str] = ()) -> str:
    """A Markdown table of the keys of a type, each below `prefix` (`tuning.`); nothing where there are none."""
    hints, said = get_type_hints(kind, include_extras=True), comments(kind)
    rows = [
        (f"`{prefix}{one.name}`", words(hints[one.name]), _default(one), _of_yaml(said.get(one.name, "")))
        for one in fields(kind)
        if one.name not in without
    ]
    return markdown(("key", "type", "default", "what"), rows) if rows else ""


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a `|` within a cell is escaped."""
    titles = [*head]
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [titles, ["---"] * len(titles), *lines])


def _default(field: Field[Any]) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "required"
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    return f"`{value if isinstance(value, str) else json.dumps(value)}`" if value != "" else ""


def _of_yaml(comment: str) -> str:
    """A comment in which Python's words for nothing, no and yes are YAML's."""
    return re.sub(r"\b(None|False|True)\b", lambda found: f"`{json.dumps(_PYTHONS[found[1]])}`", comment)


_PYTHONS = {"None": None, "False": False, "True": True}


def comments(kind: type) -> dict[str, str]:
    """Field -> its `#:` comment, behind that of the alias that its type may be (`Also`, `GPUs`)."""
    aliases = _commented(inspect.getsource(sys.modules[kind.__module__]))
    own = _commented(inspect.getsource(kind))
    named = {field.name: str(field.type).removesuffix(" | None") for field in fields(kind)}
    return {name: " ".join(filter(None, (aliases.get(hint), own.get(name)))) for name, hint in named.items()}


def _commented(source: str) -> dict[str, str]:
    found = _COMMENT.finditer(source)
    return {one[2]: " ".join(line.strip().removeprefix("#:").strip() for line in one[1].splitlines()) for one in found}
