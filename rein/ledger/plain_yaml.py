"""The plainest YAML, which is what the ledger is written in, read some thirty times as fast as any YAML is.

A ledger of ten thousand runs holds three quarters of a million lines. What is not plain is left to a YAML library.
"""

from __future__ import annotations

import re
from typing import Any

#: `key: value`, `key:` or `- value`, indented by spaces, with a value of words.
_LINE = re.compile(r"( *)(?:([A-Za-z_]\w*):|-)(?: (\S+(?: \S+)*))?")
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(?:e[+-][0-9]+)?")
_WORDS = re.compile(r"[A-Za-z_][\w./-]*(?: [\w./-]+)*", re.ASCII)
_CONSTANTS: dict[str | None, Any] = {None: None, "null": None, "true": True, "false": False}
#: Words that are no strings to YAML 1.1.
_NO_STRINGS = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


class _NotPlainError(ValueError):
    pass


def read(text: str) -> dict[str, Any] | None:
    """The mapping that a text of plain lines means; None for any other text, which may be YAML all the same."""
    try:
        lines = [_split(line) for line in text.removesuffix("\n").split("\n")]
        values, end = _mapping(lines, 0, 0)
    except _NotPlainError:
        return None
    return values if end == len(lines) else None


def _split(line: str) -> tuple[int, str | None, str | None]:
    match = _LINE.fullmatch(line)
    if not match:
        raise _NotPlainError
    return len(match[1]), match[2], match[3]


def _mapping(lines: list[tuple[int, str | None, str | None]], at: int, indent: int) -> tuple[dict[str, Any], int]:
    """The mapping whose lines begin at a line and are indented so far, and the line behind it."""
    values: dict[str, Any] = {}
    while at < len(lines):
        depth, key, value = lines[at]
        if depth != indent or key is None:
            if depth >= indent:
                raise _NotPlainError
            break
        if key.lower() in _NO_STRINGS or key in values:
            raise _NotPlainError
        at += 1
        below = lines[at] if value is None and at < len(lines) else None
        if below and below[1] is None and below[0] == indent:
            values[key], at = _list(lines, at, indent)
        elif below and below[0] > indent:
            values[key], at = _mapping(lines, at, below[0])
        else:
            values[key] = _scalar(value)
    return values, at


def _list(lines: list[tuple[int, str | None, str | None]], at: int, indent: int) -> tuple[list[Any], int]:
    values = []
    while at < len(lines) and lines[at][:2] == (indent, None):
        values.append(_scalar(lines[at][2]))
        at += 1
    return values, at


def _scalar(text: str | None) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    assert text is not None
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text == "[]":
        return []
    if _WORDS.fullmatch(text) and text.lower() not in _NO_STRINGS:
        return text
    raise _NotPlainError
