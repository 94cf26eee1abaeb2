"""The figures of a report by kind."""

from __future__ import annotations

from collections.abc import Callable

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

KINDS: dict[str, Callable[[Study, Figure], Picture | str]] = {
    "inverted_u": inverted_u, "curves": curves, "predictions": predictions, "radar": radar, "scatter": scatter,
    "lines": lines, "heatmap": heatmap, "ranks": ranks, "selection": selection,
}  # fmt: skip


def draw(study: Study, wanted: Figure) -> Picture | str:
    """Draw a figure, or say in a sentence why there is nothing to draw yet."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import seaborn as sns
    from cycler import cycler

    for point in wanted.points:
        if point not in study.points:
            known = ", ".join(study.points)
            raise ConfigError(
                f"figure {wanted.name!r}: no point {point!r}{nearest(point, study.points)}; the sweep has: {known}"
            )
    if wanted.kind != "predictions" and not study.targets:
        return "the sweep has no target domain"
    study = study.only(wanted.filter, f"figure {wanted.name!r}")
    with plt.rc_context({**STYLE, "axes.prop_cycle": cycler(color=sns.color_palette("colorblind"))}):
        return KINDS[wanted.kind](study, wanted)
