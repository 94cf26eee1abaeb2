"""A run's record of the files that it skipped or could not read in full: each file once, however a run was cut."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rein.data.remarks import Remark
from rein.data.unknown import NAMED
from rein.ledger import Run

log = logging.getLogger(__name__)

#: What follows the first remark of its kind; the others are in the run's record alone.
_WARNING = {
    "skipped": "the image is left out (data.on_error=skip), as all others that remarks.jsonl of the run lists",
    "unknown ids": "read as void (data.unknown_ids=void); remarks.jsonl of the run lists all such files",
}


class Remarks:
    """Adds an attempt's remarks to those of earlier ones: in remarks.jsonl, counted in the status, warned of once.

    remarks.jsonl is written at once and the counts by `save`: a run that is killed in between finds them again. Left
    as a context, it saves.
    """

    def __init__(self, run: Run, root: Path) -> None:
        self.run, self.root = run, root
        self.known: set[tuple[str, str, str]] = set()
        self.totals: defaultdict[str, _Total] = defaultdict(_Total)
        self.warned: set[tuple[str, str]] = set()
        self.saved = summary({})
        for record in run.remarks():
            self.known.add(_key(record))
            self.totals[record["where"]].count(record)
        if self.known:
            counts = Counter((where, kind) for where, kind, _ in self.known)
            said = ", ".join(f"{where} {kind}: {number}" for (where, kind), number in sorted(counts.items()))
            log.warning("an earlier attempt at this run remarked on files (%s); remarks.jsonl lists them", said)

    def __enter__(self) -> Remarks:
        self.save()
        return self

    def __exit__(self, *_: object) -> None:
        self.save()

    def add(self, where: str, remarks: Iterable[Remark]) -> None:
        """Record and count what is new of the training images (`train`)."""
        for record in self._record(where, remarks)[1]:
            self.totals[where].count(record)

    def scored(self, domain: str, remarks: Iterable[Remark]) -> None:
        """Record what is new of a domain's images; its counts are those of this scoring alone."""
        self.totals[domain] = _Total()
        for record in self._record(domain, remarks)[0]:
            self.totals[domain].count(record)

    def save(self) -> None:
        """Write the counts into the status, if there are other ones than before."""
        counts = summary(self.totals)
        if counts != self.saved:
            self.run.update(**counts)
            self.saved = counts

    def _record(self, where: str, remarks: Iterable[Remark]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The remarks as records, and those of them that are new: they are written."""
        records, new = [], []
        for remark in remarks:
            records.append(record := self._of(where, remark))
            if _key(record) not in self.known:
                self.known.add(_key(record))
                new.append(record)
            if (where, remark.kind) not in self.warned:
                self.warned.add((where, remark.kind))
                log.warning("%s: %s; %s", where, remark.text, _WARNING[remark.kind])
        if new:
            self.run.remark(new)
        return records, new

    def _of(self, where: str, remark: Remark) -> dict[str, Any]:
        # Relative, since the next attempt may be made on a machine that has the data elsewhere.
        file = remark.file.relative_to(self.root) if remark.file.is_relative_to(self.root) else remark.file
        record = {"where": where, "kind": remark.kind, "file": str(file), "text": remark.text}
        return {**record, **asdict(remark.unknown)} if remark.unknown else record


@dataclass
class _Total:
    """What was met in one place: images left out, and values read as void."""

    skipped: int = 0
    files: int = 0
    pixels: int = 0
    #: Of the values that records name.
    named: Counter[str] = field(default_factory=Counter)
    #: The most different values of one file.
    values: int = 0

    def count(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "skipped":
            self.skipped += 1
            return
        self.files += 1
        self.pixels += record["pixels"]
        self.named.update(record["commonest"])
        self.values = max(self.values, record["values"])

    def unknown(self) -> dict[str, Any]:
        ids = [value for value, _ in self.named.most_common(NAMED)]
        values = max(self.values, len(self.named))
        return {"files": self.files, "pixels": self.pixels, "ids": ids, "values": values}


def summary(totals: Mapping[str, _Total]) -> dict[str, dict[str, Any]]:
    """`skipped_files`: images left out; `unknown_ids`: what was read as void; both by where.

    Of unknown ids: files, pixels, the commonest, and how many different ones there are at least.
    """
    return {
        "skipped_files": {where: total.skipped for where, total in totals.items() if total.skipped},
        "unknown_ids": {where: total.unknown() for where, total in totals.items() if total.files},
    }


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["where"], record["kind"], record["file"]
