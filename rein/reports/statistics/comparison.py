"""Whether one variant is better than another: what the seeds say, and what the images say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rein.reports.statistics.difference import Difference
from rein.reports.statistics.holm import holm
from rein.reports.statistics.limits import ALPHA


@dataclass(frozen=True)
class Comparison:
    """Two variants over shared seeds, and over images where their counts are known.

    The two answer different questions. Seeds: would another training come out so? Images: would other images of these
    domains? Thousands of images tell any two nets apart, even two seeds of one variant, so images alone earn no star;
    and seeds alone may agree on a difference that a handful of images makes.

    With 3 seeds the t test stands on 2 degrees of freedom and on the normal shape of differences that 3 values cannot
    show: before correction the mean must be 2.5 times the differences' standard deviation, after correction over 10
    comparisons 8 times. A true gain is mostly missed, so a lacking star says nothing; and a star may come of a
    deviation that is small by luck (one of 3 values is under a quarter of its truth in 6 % of cases), so read the
    difference and its interval first.
    """

    seeds: Difference
    images: Difference | None = None
    #: Each p corrected over the comparisons of a table; None until `corrected`, or where nothing was tested.
    p: float | None = None
    p_images: float | None = None

    @property
    def difference(self) -> float:
        """The first variant's mean less the second's, over shared seeds."""
        return self.seeds.value

    @property
    def significant(self) -> bool:
        """The star: the corrected p under ALPHA, over seeds and, where images are known, over them the same way."""
        if self.p is None or self.p >= ALPHA:
            return False
        if self.images is None:
            return True
        return self.p_images is not None and self.p_images < ALPHA and self.images.value * self.seeds.value > 0


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of one table, each with its p corrected after Holm over all that were tested.

    Seeds and images are a family of their own each: a star asks for both, so that it is as rare as the rarer one.
    """
    seeds = _holm([one.seeds.p for one in comparisons])
    images = _holm([one.images.p if one.images else None for one in comparisons])
    return [replace(one, p=p, p_images=q) for one, p, q in zip(comparisons, seeds, images, strict=True)]


def _holm(ps: Sequence[float | None]) -> list[float | None]:
    found = holm([math.nan if p is None else p for p in ps])
    return [None if math.isnan(p) else float(p) for p in found]
