"""Config values as plain mappings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any


def to_dict(value: Any) -> dict[str, Any]:
    """The plain nested mapping of a config value, defaults filled in, tuples as lists."""
    return json.loads(json.dumps(asdict(value)))


def flatten(value: Any) -> dict[str, Any]:
    """Dotted key -> value over a whole config: `{"tuning.rank": 16, ...}`."""
    return dict(dotted(to_dict(value)))


def dotted(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested mapping by their dotted keys."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
