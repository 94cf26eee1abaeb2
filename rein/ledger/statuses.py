"""The status of many runs, each read again only where its file changed: a second look costs stats alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rein.ledger.run import Run

#: What tells one content of a file that is only ever replaced from another.
Mark = tuple[int, int, int]


class Statuses:
    """A runs folder as it was seen last."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._seen: dict[str, tuple[Mark, dict[str, Any]]] = {}

    def ids(self) -> list[str]:
        """The folders that may be runs, in their order: a single listing."""
        try:
            return sorted(name for name in os.listdir(self.runs) if not name.startswith("."))  # noqa: PTH208
        except FileNotFoundError:
            return []

    def of(self, id: str) -> dict[str, Any]:
        """A run's status; empty for one that never started."""
        try:
            found = os.stat(f"{self.runs}/{id}/status.json")  # noqa: PTH116 - plain strings are several times faster
        except (FileNotFoundError, NotADirectoryError):
            return {}
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        before = self._seen.get(id)
        if before is None or before[0] != mark:
            self._seen[id] = before = mark, Run(self.runs / id).status()
        return before[1]

    def all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every run that has a status, and what it says."""
        for id in self.ids():
            if status := self.of(id):
                yield id, status
