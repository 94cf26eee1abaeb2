"""What a domain is: where its images and labels lie, how its labels read, how it is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rein.data.label_tables import LabelTable


class DataError(RuntimeError):
    """A folder, image or label is missing or wrong; the message names the file and the next step."""


class MachineError(DataError):
    """A file could not be read, and that is the machine's trouble and not the file's: no reason to go on without it."""


@dataclass(frozen=True)
class Layout:
    """One way in which people keep a split: a pattern for the images, and one or several for their labels.

    A pattern is a path below the domain's folder. Each `*` stands for a part of one folder's or file's name, and what
    it stood for in an image's path is put in its place in the label's. Case is ignored, and so is the ending: a `.png`
    may be a `.jpg`. Of several labels the first that is there counts, with its own table; without any, the images can
    be looked at and neither trained on nor scored.
    """

    images: str
    labels: tuple[tuple[str, LabelTable], ...]
    #: Images and labels are brought to half their size when they are read, labels by nearest neighbour.
    halve: bool = False


@dataclass(frozen=True)
class Split:
    """`train` or `val` of a domain: the first of its layouts counts of which there is an image with a label."""

    layouts: tuple[Layout, ...]
    #: Only files whose name starts with one of these; empty keeps all.
    prefixes: tuple[str, ...] = ()
    #: Images of the complete split, for the doctor; None where there is no such number.
    count: int | None = None
    #: File that lists the images to keep, one a line; None keeps all.
    names: Path | None = None

    @property
    def labelled(self) -> bool:
        """Whether a layout says where labels lie."""
        return any(layout.labels for layout in self.layouts)


@dataclass(frozen=True)
class Domain:
    """A data set that a net is trained on or tested on."""

    name: str
    #: Names that its folder has below the data folder; the first that is there counts.
    folders: tuple[str, ...]
    splits: Mapping[str, Split] = field(hash=False)
    #: (width, height) that test images are resized to, keeping aspect inside it; None keeps their own.
    evaluation_size: tuple[int, int] | None = None
    note: str = ""
    #: Style of the toy world that is drawn into the data folder on first use.
    toy_style: str | None = None
    #: Corruption of Cityscapes-C and its severity, 1 to 5, that images are read with.
    corruption: tuple[str, int] | None = None

    @property
    def class_names(self) -> set[str]:
        """The classes that its label tables name."""
        tables = (table for split in self.splits.values() for layout in split.layouts for _, table in layout.labels)
        return {name for table in tables for name in table.names.values()} - {"void"}


@dataclass(frozen=True)
class Sample:
    """One image of a split and its label, on disk."""

    image: Path
    label: Path
    table: LabelTable
    halve: bool = False
    corruption: tuple[str, int] | None = None
