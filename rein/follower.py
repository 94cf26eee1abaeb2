"""A run as those of its processes see it that do not write: what they would put down is put down by the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rein.config import Experiment
from rein.ledger import Run, State


class Follower(Run):
    """Reads as the run does, and writes nothing."""

    def start(self, **facts: Any) -> None:
        pass

    def keep_domains(self, experiment: Experiment) -> None:
        pass

    def update(self, **facts: Any) -> None:
        pass

    def finish(self, state: State, error: BaseException | None = None) -> None:
        pass

    def append(self, record: Mapping[str, Any]) -> None:
        pass

    def remark(self, records: Iterable[Mapping[str, Any]]) -> None:
        pass

    def environment(self, facts: Mapping[str, Any], resumed: bool) -> None:
        pass

    def scores(self, rows: Iterable[Mapping[str, Any]]) -> None:
        pass
