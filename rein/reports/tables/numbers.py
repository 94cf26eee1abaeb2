"""Numbers as cells: rounded text, the value behind it, marks for the best."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from rein.reports.grid import MISSING, Cell

#: What is marked in a column: its highest value, its lowest, or nothing.
Best = Literal["max", "min", "none"]


def number(mean: float, sd: float, digits: int, signed: bool = False) -> str:
    """`45.3 ± 0.4`, without ± for one seed (sd nan), `–` for none; `signed` as a difference is, `+1.2 ± 0.3`."""
    if math.isnan(mean):
        return MISSING
    text = difference(mean, digits) if signed else f"{mean:.{digits}f}".replace("-", "−")
    return text if math.isnan(sd) else f"{text} ± {sd:.{digits}f}"


def difference(value: float, digits: int) -> str:
    """With its sign, `+1.2`, `−0.3`; `0.0` where nothing is left of it, `–` for none."""
    if math.isnan(value):
        return MISSING
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def digits_for(values: Iterable[float], least: int = 1) -> int:
    """So many decimals that the smallest of several numbers has two digits that count; four at most."""
    sizes = [abs(value) for value in values if value and not math.isnan(value)]
    return min(max(least, 1 - math.floor(math.log10(min(sizes)))), 4) if sizes else least


def cell(value: float, text: str, mark: str = "", notes: str = "") -> Cell:
    """A cell that a table can be sorted by: nan is no value."""
    return Cell(text, mark, None if math.isnan(value) else float(value), notes=notes)


def ranks(means: Iterable[float], best: Best = "max") -> list[str]:
    """`best` for the best of several means, `second` for the next where there are three or more; ties share."""
    means = [-mean if best == "min" else mean for mean in means]
    order = sorted({mean for mean in means if not math.isnan(mean)}, reverse=True)
    filled = sum(not math.isnan(mean) for mean in means)
    if best == "none" or len(order) < 2:  # where all are equal none is best
        return [""] * len(means)
    second = order[1] if filled > 2 else None
    return ["best" if mean == order[0] else "second" if mean == second else "" for mean in means]
