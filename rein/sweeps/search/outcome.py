"""What a search may know of a run: its mean mIoU on the sources' val splits, step by step. Nothing of a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rein.ledger import Run


def source_val(record: Mapping[str, Any], sources: Sequence[str]) -> float | None:
    """The mean over the sources of a scored record; None where it has none. Records of older runs lack the mean."""
    if "source_val" in record:
        return record["source_val"]
    found = [record[f"{name}/miou"] for name in sources if f"{name}/miou" in record]
    return fmean(found) if found else None


def curve(run: Run, sources: Sequence[str]) -> dict[int, float]:
    """Step -> `source_val`, in the order of steps; of a step that was scored twice the later one counts."""
    found = {record["step"]: source_val(record, sources) for record in run.metrics()[0] if "loss" not in record}
    return {step: value for step, value in sorted(found.items()) if value is not None and math.isfinite(value)}
