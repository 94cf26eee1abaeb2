"""What a run's record must say of a file that it read; it travels with the pixels to whoever keeps the record."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from rein.data.unknown import Unknown


@dataclass(frozen=True)
class Remark:
    """A file that was left out (`skipped`), or whose label ids that its table does not know were read as void."""

    kind: Literal["skipped", "unknown ids"]
    file: Path
    #: One line for a person.
    text: str
    unknown: Unknown = field(default_factory=Unknown)


def skipped(image: Path, reason: object) -> Remark:
    """The remark on an image that is left out."""
    return Remark("skipped", image, str(reason))


def unknown_ids(label: Path, unknown: Unknown) -> tuple[Remark, ...]:
    """The remark on a label file with unknown ids; none where it has none."""
    return (Remark("unknown ids", label, f"{label}: {unknown}", unknown),) if unknown else ()


def to_text(remarks: Iterable[Remark]) -> str:
    """Remarks as another process can read them."""
    return json.dumps([{**asdict(remark), "file": str(remark.file)} for remark in remarks])


def from_text(text: str) -> list[Remark]:
    """The inverse of `to_text`."""
    return [Remark(one["kind"], Path(one["file"]), one["text"], Unknown(**one["unknown"])) for one in json.loads(text)]
