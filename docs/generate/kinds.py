"""A type hint in the words of somebody who writes YAML."""

from __future__ import annotations

from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from rein.config.search import Axis

_PLAIN = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`", NoneType: "`null`"}
_BOUNDS = (("gt", "> {}"), ("ge", "≥ {}"), ("lt", "< {}"), ("le", "≤ {}"), ("min_length", "(at least {})"))


def words(hint: Any) -> str:
    """What may stand at a key: `whole number > 0`, `list of text`, ..."""
    if hint == Axis:
        return "axis"
    inner = get_args(hint)
    match get_origin(hint):
        case origin if origin is Annotated:
            return _bounded(inner[0], inner[1:])
        case origin if origin in (Union, UnionType):
            return " or ".join(dict.fromkeys(words(one) for one in inner))
        case origin if origin is Literal:
            return " or ".join(f"`{one}`" for one in inner)
        case origin if origin is dict:
            return f"mapping of {words(inner[0])} to {words(inner[1])}"
        case origin if origin is list or (origin is tuple and inner[-1] is Ellipsis):
            return f"list of {words(inner[0])}" if inner[0] is not Any else "list"
        case origin if origin is tuple:
            return f"[{', '.join(words(one) for one in inner)}]"
    if is_dataclass(hint):
        method = getattr(hint, "method", None)
        return f"`{method}`" if method else "mapping"
    return _PLAIN.get(hint, "any value")


def _bounded(base: Any, metadata: tuple[Any, ...]) -> str:
    """The base with the bounds that pydantic's annotations set."""
    parts = [part for one in metadata for part in getattr(one, "metadata", [one])]
    found = [
        said.format(value)
        for name, said in _BOUNDS
        for part in parts
        if (value := getattr(part, name, None)) is not None and not callable(value)
    ]
    return f"{words(base)} {' and '.join(found)}".rstrip()
