"""The inverted-U tests of a figure with several panels: a row each, which compare as paragraphs do not."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from rein.reports.grid import MISSING, Cell, Column, Grid
from rein.reports.markup import join
from rein.reports.statistics import (
    CLAIM,
    DROP,
    MIN_POINTS,
    MIN_SEEDS,
    InvertedU,
    chance,
    count,
    place_of,
    probability,
)
from rein.reports.statistics.inverted_u import Line
from rein.reports.tables.numbers import cell, difference

COLUMNS = (
    Column("panel", name=True), Column("break at"), Column("rises to the break?"), Column("falls behind it?"),
    Column("inverted U claimed?"), Column("peak (95 % interval)"), Column("points × seeds", "this design"),
    Column("sd", "this design"), Column(f"sees a fall of {DROP:g}", "this design"),
)  # fmt: skip
TESTED = (
    f"Two-lines test: slopes are points per tenfold parameters, of a line up to the break and of one behind it. {CLAIM}"
)
PEAK = (
    "The peak is the vertex of a quadratic in log10(parameters), its interval Fieller's; how well a quadratic fits at "
    "all is not in it."
)
DESIGN = (
    f"This design: parameter counts, the fewest seeds at any of them, the sd in points between the seeds of a count, "
    f"and in what share of sweeps like it a fall of {DROP:g} points from a peak at the middle count would be claimed."
)
FEW = "too few runs"
TOO_FEW = f"Too few: a test takes {MIN_POINTS} parameter counts with {MIN_SEEDS} seeds each."


def verdicts(name: str, of: str, panels: Mapping[str, InvertedU], caveat: str = "") -> Grid:
    """A row a panel, by its title; `of` is what was tested (`average target mIoU`), `caveat` what claims leave open."""
    claimed, tested = sum(one.claimed for one in panels.values()), sum(_tested(one) for one in panels.values())
    few = tested < len(panels)
    title = f"Whether {of} rises and then falls with the trainable parameters, panel by panel"
    caption = join(
        f"{title}.",
        f"Claimed in {claimed} of {len(panels)} panels{f', {tested} of which were tested' if few else ''}.",
        caveat,
    )
    said = [TESTED] * bool(tested) + [PEAK] * bool(claimed) + [DESIGN] * bool(tested) + [TOO_FEW] * few
    rows = tuple(_row(title, found) for title, found in panels.items())
    return Grid(name, caption, COLUMNS, rows, _values(panels), title=title, conventions=tuple(said))


def _tested(found: InvertedU) -> bool:
    return found.break_at is not None


def _row(title: str, found: InvertedU) -> tuple[Cell, ...]:
    design = Cell(f"{found.points} × {found.seeds}")
    if found.break_at is None or found.below is None or found.above is None:
        return (Cell(title), *[Cell(MISSING)] * 3, Cell(FEW), Cell(MISSING), design, *[Cell(MISSING)] * 2)
    return (
        Cell(title),
        cell(10**found.break_at, count(10**found.break_at)),
        _line(found.below, found.rises),
        _line(found.above, found.falls),
        Cell("yes" if found.claimed else "no", "best" if found.claimed else ""),
        _peak(found),
        design,
        cell(found.spread, f"{found.spread:.2f}"),
        cell(found.power, chance(found.power)),
    )


def _line(line: Line, so: bool) -> Cell:
    """`yes (+1.55, p < 0.001)`."""
    return cell(line.slope, f"{'yes' if so else 'no'} ({difference(line.slope, 2)}, p {probability(line.p)})")


def _peak(found: InvertedU) -> Cell:
    if not found.claimed:
        return Cell(MISSING)
    if found.peak is None:
        return Cell("not fixed by the data")
    at, low, high = (place_of(found, place) for place in (found.peak.vertex, found.peak.low, found.peak.high))
    return cell(10**found.peak.vertex, f"{at} ({low} to {high})")


def _values(panels: Mapping[str, InvertedU]) -> pd.DataFrame:
    """All that the tests found, unrounded; places are log10(parameters)."""
    return pd.DataFrame(
        {
            "panel": title, "runs": found.runs, "points": found.points, "seeds": found.seeds,
            "break at": found.break_at,
            **{
                f"{side} {what}": getattr(line, what, None)
                for side, line in (("below", found.below), ("above", found.above))
                for what in ("slope", "p")
            },
            "claimed": found.claimed if _tested(found) else None,
            **{f"peak {what}": getattr(found.peak, what, None) for what in ("vertex", "low", "high")},
            "sd": found.spread, "power": found.power,
        }
        for title, found in panels.items()
    )  # fmt: skip
