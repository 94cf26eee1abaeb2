"""Which variants belong on one axis of trainable parameters, and what a claim about them leaves open."""

from __future__ import annotations

import pandas as pd

from rein.config import Figure
from rein.reports import statistics
from rein.reports.figures.variants import labels
from rein.reports.study import Study

COUNT = "parameters.backbone_trainable"


def on_axis(study: Study, wanted: Figure) -> tuple[list[str], str]:
    """The points that belong on one axis, and a note on those left out.

    Named points, or all whose backbone is the commonest (name and weights): an untrained backbone is a control, not a
    place on the axis of how much of one backbone is tuned.
    """
    if wanted.points:
        left = [point for point in study.points if point not in wanted.points]
        kept = [point for point in wanted.points if point in study.points]
        return kept, f"Not drawn: {_names(study, wanted, left)}." if left else ""
    backbones = (
        study.runs.groupby("point", sort=False)[["backbone.name", "backbone.weights"]].first().apply(tuple, axis=1)
    )
    common = backbones.value_counts(sort=False).idxmax()
    left = [point for point in study.points if backbones[point] != common]
    names = _names(study, wanted, left)
    note = f"Not on this axis, since the backbone or its weights differ: {names}." if left else ""
    return [point for point in study.points if point not in left], note


def caveat(study: Study, runs: pd.DataFrame) -> str:
    """What else differs between the points: a rise and fall over unlike methods says little about the count alone.

    The share is that of simulated sweeps with the 9 counts of `sweeps/paper_trainable.yaml` on DINOv2-L and 3 seeds.
    Every point lies off the curve by a normal offset that all its seeds have, of twice the noise between seeds. The
    curve rises by 3 or 6 points to a ceiling, 60 + h (1 - exp(-b s)) with s in 0..1 along the axis and b of 6 or 20,
    under a noise of 0.5 or 1 point: 20 to 30 % are claimed to fall. Offsets as large as the noise give 12 to 18 %, none
    2 to 4 %; on a flat line it is 10, 3 and under 1 %.
    """
    settings = study.settings[study.runs["run_id"].isin(runs.index)]
    differing = [str(key) for key, column in settings.items() if column.nunique(dropna=False) > 1]
    if "tuning.method" in differing:
        differing = [key for key in differing if not key.startswith("tuning.") or key == "tuning.method"]
    if len(differing) == 1 and pd.api.types.is_numeric_dtype(study.runs[differing[0]]):
        return ""
    return (
        f"The points differ in {', '.join(f'`{key}`' for key in differing)}, not in their count alone, and every "
        f"variant may lie high or low for reasons of its own, which the test takes for a trend: where such offsets are "
        f"twice the noise between seeds, it claims a fall in 20 to 30 % of simulated sweeps (9 points, 3 seeds) whose "
        f"curve only saturates. This is a statement about these variants."
    )


def fits_worse(runs: pd.DataFrame, column: str) -> str:
    """Whether training loss is higher at the largest count than at the best: then a fall is none of overfitting.

    The hypothesis has the loss fall on where `column` falls. A learning rate that one count does not bear, or too few
    steps for it, makes the same shape of `column` with a loss that rises. Empty where the loss of the last steps,
    `final`, is not significantly higher over the seeds of both.
    """
    means = runs.groupby(COUNT)[column].mean()
    best, largest = (means.index.to_numpy(float)[place] for place in (means.argmax(), -1))
    higher, lower = (runs[runs[COUNT] == count].groupby("seed")["final"].mean() for count in (largest, best))
    difference = statistics.over_seeds(higher, lower)
    if difference.low is None or difference.low <= 0:
        return ""
    return (
        f"Training loss is {higher.mean():.2f} at {statistics.count(largest)}, the largest count, and "
        f"{lower.mean():.2f} at {statistics.count(best)}, the best: what falls there has not learnt its source as "
        f"well, which a learning rate or a number of steps that does not suit it explains before its count does."
    )


def _names(study: Study, wanted: Figure, points: list[str]) -> str:
    names = labels(study, wanted.rename, wanted.panels)
    return "; ".join(names[point] or point for point in points)  # a name may have commas
