"""Label values that their table does not know, in few words however many there are."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Values that are named. A label in colours that was resized smoothly has more than a million.
NAMED = 8


@dataclass(frozen=True)
class Unknown:
    """The unknown values of one label file; false where there are none."""

    #: The commonest as people write them, `99` or `#804081`, with their pixels.
    commonest: Mapping[str, int] = field(default_factory=dict, hash=False)
    #: Of all of them: pixels, and how many different values there are.
    pixels: int = 0
    values: int = 0

    @classmethod
    def of(cls, counts: Mapping[int, int], coloured: bool) -> Unknown:
        """From the pixels of every value; colours are 0xRRGGBB."""
        first = heapq.nsmallest(NAMED, counts.items(), key=lambda entry: (-entry[1], entry[0]))
        named = {f"#{value:06x}" if coloured else str(value): pixels for value, pixels in first}
        return cls(named, sum(counts.values()), len(counts))

    def __bool__(self) -> bool:
        return self.values > 0

    def __str__(self) -> str:
        """`label ids 99 (3 pixels), 12 (1 pixel) are not in the domain's table`."""
        kind = "colour" if any(value.startswith("#") for value in self.commonest) else "label id"
        pixels = [f"{value} ({count:,} pixel{'s' * (count > 1)})" for value, count in self.commonest.items()]
        more = f" and {self.values - len(pixels):,} more" if self.values > len(pixels) else ""
        several = self.values > 1
        return f"{kind}{'s' * several} {', '.join(pixels)}{more} {'are' if several else 'is'} not in the domain's table"
