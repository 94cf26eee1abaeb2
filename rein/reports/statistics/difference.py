"""A difference of two variants and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Difference:
    """The first variant's mean less the second's, in the unit of the values; nan where they share nothing."""

    value: float
    #: Seeds, or images, that both share.
    n: int
    #: 95 % interval and two-sided p; None where there are too few to test.
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def untested(self) -> Difference:
        """The number alone, without interval and p."""
        return replace(self, low=None, high=None, p=None)
