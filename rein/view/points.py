"""A run's records and scores as the points of MLflow's charts: (name, value, step, seconds since 1970).

The UI makes a section of what stands before a name's last slash: `toy-night/miou` is a chart of the section
`toy-night`, `toy-night/iou/road` one of `toy-night/iou`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Point = tuple[str, float, int, float]


def points(
    records: Sequence[Mapping[str, Any]], rows: Iterable[Mapping[str, str]] = (), otherwise: float = 0.0
) -> list[Point]:
    """The points of some records of metrics.jsonl, and of the rows of scores.csv that belong to them.

    A row has the time of the record of its step, so that a point that is made twice is the same one. `otherwise`: the
    time of a record that has none, as those of unpacked results.
    """
    records = [{"time": otherwise, **record} for record in records]
    return [*_recorded(records), *_per_class(records, rows)]


def is_scored(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the records tells of scores."""
    return any("loss" not in record for record in records)


def _recorded(records: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    for record in records:
        for key, value in record.items():
            if key not in ("step", "time") and value == value:  # nan: a domain without labelled pixels
                yield key, value, record["step"], record["time"]


def _per_class(records: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, str]]) -> Iterator[Point]:
    """IoU by class; of a step that was scored twice scores.csv has the later one."""
    times = {record["step"]: record["time"] for record in records if "loss" not in record}
    for row in rows:
        step = int(row["step"])
        if row["metric"] == "iou" and step in times:
            yield f"{row['domain']}/iou/{legal(row['class'])}", float(row["value"]), step, times[step]


def legal(name: str) -> str:
    """A class's name as MLflow takes it in the name of a metric: letters, digits, and `_ . : -` and spaces."""
    return re.sub(r"[^\w .:-]", "_", name).strip(" .") or "_"
