"""The states of a run, and how it comes to an end before its last step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["running", "done", "pruned", "failed", "oom", "diverged", "preempted", "imported"]

#: States that a run is not taken up from again.
FINAL = ("done", "pruned")

#: How a run ends that went wrong by itself.
FAILED = ("failed", "oom", "diverged")


@dataclass(frozen=True)
class Request:
    """What whoever works on a run was asked to end it as, and why."""

    state: State
    why: str


class Stopped(Exception):
    """The run was asked to stop, and did: it has a checkpoint and the state that was asked for."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.why)
        self.request = request


class GoneError(RuntimeError):
    """The processes that worked on the run were lost, one after another, without having got anywhere."""
