"""One attempt at a run: what is to be trained and where, who takes part, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from rein.config import Experiment, Machine
from rein.device import select_device
from rein.ledger import Run
from rein.ranks import Ranks
from rein.training.interrupts import Interrupted, Interrupts
from rein.training.remarks import Remarks

Observer = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Attempt:
    """What every part of an attempt works with."""

    experiment: Experiment
    machine: Machine
    ranks: Ranks
    record: Run
    remarks: Remarks
    interrupts: Interrupts
    #: Gets every record that metrics.jsonl gets, and may end the run by an exception.
    observe: Observer
    #: How long all attempts at the run have taken.
    seconds: Callable[[], float]

    @cached_property
    def device(self) -> torch.device:
        """Raises ConfigError where torch knows no such device."""
        return select_device(self.machine.device)

    @property
    def is_sharded(self) -> bool:
        """Whether the trunk lies in shares: all processes run it at once, and none may halve its batches alone."""
        return self.machine.shard and self.ranks.world > 1

    def obey(self, is_due: bool = False) -> bool:
        """Raise Interrupted in every process where a signal came to one; else whether the first finds something due."""
        said = self.ranks.exchange([bool(self.interrupts.signal), is_due])
        if any(signal for signal, _ in said):
            self.interrupts.check()
            raise Interrupted("another process of the run was ended")
        return bool(said[0][1])
