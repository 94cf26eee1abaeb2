"""A run's record of the files that it skipped or could not read in full: each file once, however a run was cut."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rein.data.remarks import Remark
from rein.ledger import Run

log = logging.getLogger(__name__)

#: What follows the first remark of its kind; the others are in the run's record alone.
_WARNING = {
    "skipped": "the image is left out (data.on_error=skip), as all others that remarks.jsonl of the run lists",
    "unknown ids": "read as void (data.unknown_ids=void); remarks.jsonl of the run lists all such files",
}


class Remarks:
    """Adds an attempt's remarks to those of earlier ones: in remarks.jsonl, counted in the status, warned of once."""

    def __init__(self, run: Run, root: Path) -> None:
        self.run, self.root = run, root
        self.records = run.remarks()
        self.known = {_key(record) for record in self.records}
        self.warned: set[tuple[str, str]] = set()
        if self.records:
            run.update(**summary(self.records))
            counts = ", ".join(f"{where} {kind}: {n}" for (where, kind), n in _counts(self.records).items())
            log.warning("an earlier attempt at this run remarked on files (%s); remarks.jsonl lists them", counts)

    def add(self, where: str, remarks: Iterable[Remark]) -> None:
        """Record what is new of a domain's files, or of the training images (`train`)."""
        new = []
        for remark in remarks:
            # Relative, since the next attempt may be made on a machine that has the data elsewhere.
            file = remark.file.relative_to(self.root) if remark.file.is_relative_to(self.root) else remark.file
            record = {"where": where, "kind": remark.kind, "file": str(file), "text": remark.text}
            record |= {"pixels": {str(id): number for id, number in remark.pixels.items()}} if remark.pixels else {}
            if _key(record) not in self.known:
                self.known.add(_key(record))
                new.append(record)
            if (where, remark.kind) not in self.warned:
                self.warned.add((where, remark.kind))
                log.warning("%s: %s; %s", where, remark.text, _WARNING[remark.kind])
        if new:
            self.records += new
            self.run.remark(new)
            self.run.update(**summary(self.records))


def summary(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`skipped_files`: images left out; `unknown_ids`: ids, pixels and files read as void; both by where."""
    skipped: Counter[str] = Counter()
    unknown: dict[str, dict[str, Any]] = {}
    for record in records:
        if record["kind"] == "skipped":
            skipped[record["where"]] += 1
            continue
        total = unknown.setdefault(record["where"], {"files": 0, "pixels": 0, "ids": []})
        total["files"] += 1
        total["pixels"] += sum(record["pixels"].values())
        total["ids"] = sorted({*total["ids"], *map(int, record["pixels"])})
    return {"skipped_files": dict(skipped), "unknown_ids": unknown}


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["where"], record["kind"], record["file"]


def _counts(records: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((record["where"], record["kind"]) for record in records)
