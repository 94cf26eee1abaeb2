"""A run as those of its processes see it that do not write: what they would put down is put down by the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rein.config import Experiment
from rein.ledger import Request, Run, State
from rein.training.checkpoint import Checkpoints


class Follower(Run):
    """Reads as the run does, and writes nothing; requests are heard by the first process."""

    def check_held(self) -> None:
        pass

    def asked_to_stop(self) -> Request | None:
        return None

    def start(self, **facts: Any) -> None:
        pass

    def keep_domains(self, experiment: Experiment) -> None:
        pass

    def update(self, **facts: Any) -> None:
        pass

    def finish(self, state: State, error: BaseException | None = None, **facts: Any) -> None:
        pass

    def append(self, record: Mapping[str, Any]) -> None:
        pass

    def remark(self, records: Iterable[Mapping[str, Any]]) -> None:
        pass

    def environment(self, facts: Mapping[str, Any], resumed: bool) -> None:
        pass

    def scores(self, rows: Iterable[Mapping[str, Any]]) -> None:
        pass


class Unsaved(Checkpoints):
    """Checkpoints that the first process writes."""

    def save(self, step: int, losses: Sequence[float] = (), must: bool = False) -> None:
        pass
