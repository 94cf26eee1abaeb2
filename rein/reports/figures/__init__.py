"""The figures of a report by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rein import published
from rein.config import ConfigError, Figure, nearest
from rein.reports.figures.curves import curves
from rein.reports.figures.heatmap import heatmap
from rein.reports.figures.inverted_u import inverted_u
from rein.reports.figures.lines import lines
from rein.reports.figures.picture import STYLE, Picture
from rein.reports.figures.predictions import predictions
from rein.reports.figures.radar import radar
from rein.reports.figures.ranks import ranks
from rein.reports.figures.scatter import scatter
from rein.reports.figures.selection import selection
from rein.reports.study import Study
from rein.reports.tables.targets import of_targets
from rein.reports.takes import check_keys


@dataclass(frozen=True)
class Kind:
    """How a kind of figure is drawn, and which of a figure's fields it knows beside `name`, `caption` and `filter`."""

    draw: Callable[[Study, Figure], Picture | str]
    takes: str


KINDS = {
    "inverted_u": Kind(inverted_u, "points domains rename panels"),
    "curves": Kind(curves, "points domains rename"),
    "predictions": Kind(predictions, "points domains rename"),
    "radar": Kind(radar, "points domains rename published hue"),
    "scatter": Kind(scatter, "points domains rename published hue"),
    "lines": Kind(lines, "points domains rename published hue x"),
    "heatmap": Kind(heatmap, "points domains rename published"),
    "ranks": Kind(ranks, "points domains rename"),
    "selection": Kind(selection, "points domains rename"),
}


def draw(study: Study, wanted: Figure) -> Picture | str:
    """Draw a figure, or say in a sentence why there is nothing to draw yet.

    Raises ConfigError for what its kind does not know, and for points that are not there.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import seaborn as sns
    from cycler import cycler

    where, kind = f"figure {wanted.name!r}", KINDS[wanted.kind]
    check_keys(wanted, kind.takes)
    study = material(study, wanted)
    for point in wanted.points:
        if point not in study.points:
            there = "the sweep has" if not wanted.filter else "its `filter` leaves"
            known = ", ".join(study.points)
            raise ConfigError(f"{where}: no point {point!r}{nearest(point, study.points)}; {there}: {known}")
    try:
        if wanted.published:
            published.rows(wanted.published)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if wanted.kind != "predictions" and not study.targets:
        return "the sweep has no target domain"
    with plt.rc_context({**STYLE, "axes.prop_cycle": cycler(color=sns.color_palette("colorblind"))}):
        return kind.draw(study, wanted)


def material(study: Study, wanted: Figure) -> Study:
    """What of a study a figure is about: the runs that its filter leaves, and the targets that it names."""
    study = study.only(wanted.filter, f"figure {wanted.name!r}")
    return of_targets(study, wanted) if wanted.domains else study
