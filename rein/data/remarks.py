"""What a run's record must say of a file that it read; it travels with the pixels to whoever keeps the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Remark:
    """A file that was left out (`skipped`), or whose label ids that its table does not know were read as void."""

    kind: Literal["skipped", "unknown ids"]
    file: Path
    #: One line for a person.
    text: str
    #: Pixels of every unknown id.
    pixels: Mapping[int, int] = field(default_factory=dict, hash=False)


def skipped(image: Path, reason: object) -> Remark:
    """The remark on an image that is left out."""
    return Remark("skipped", image, str(reason))


def unknown_ids(label: Path, pixels: Mapping[int, int]) -> tuple[Remark, ...]:
    """The remark on a label file with unknown ids; none where it has none."""
    if not pixels:
        return ()
    ids = ", ".join(map(str, sorted(pixels)))
    return (Remark("unknown ids", label, f"{label}: label ids {ids} are not in the domain's table", pixels),)
