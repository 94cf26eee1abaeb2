"""What a finding is, and how it says things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path

from rein.check.pair import Pair
from rein.data.domain import Sample
from rein.data.label_tables import TABLES, LabelTable

Pairs = Mapping[Sample, Pair]


@dataclass(frozen=True)
class Named:
    """A file that a finding names."""

    file: str
    #: What is the matter with it, where that differs from file to file.
    reason: str | None = None
    #: The file that it repeats.
    other: str | None = None


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found, in a sentence, and the files that it was found in."""

    kind: str
    text: str
    files: tuple[Named, ...] = ()


def table_name(table: LabelTable) -> str:
    """What a table is called in a domain file, or `own table`."""
    return next((name for name, known in TABLES.items() if known == table), "own table")


def written(value: int, table: LabelTable) -> str:
    """A value as people write it: an id, or #rrggbb."""
    return f"#{value:06x}" if table.coloured else str(value)


def amount(items: int | Sized, one: str, many: str) -> str:
    """`1 image is`, `2,000 images are`."""
    size = items if isinstance(items, int) else len(items)
    return f"{size:,} {one if size == 1 else many}"


def sides(size: tuple[int, int]) -> str:
    """`480x360`."""
    return f"{size[0]}x{size[1]}"


def paths(files: Iterable[Path]) -> tuple[Named, ...]:
    """Files as a finding names them."""
    return tuple(Named(str(file)) for file in files)


def repeated(pairs: Iterable[tuple[Path, Path]]) -> tuple[Named, ...]:
    """Files and the ones that they repeat."""
    return tuple(Named(str(file), other=str(other)) for file, other in pairs)
