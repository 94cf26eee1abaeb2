"""What a run says of its training, every so many steps: the mean loss, the rate, how fast, how much memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence

import psutil
import torch
from torch import Tensor

from rein.data.loaders import Batch
from rein.data.remarks import Remark, from_text, to_text
from rein.ranks import Ranks
from rein.training.attempt import Attempt


def interval(steps: int) -> int:
    """Steps between two records of a run of so many."""
    return max(1, min(50, steps // 50))


class Progress:
    """Collects what the steps of an attempt leave, from the first batch that is asked for, and records it."""

    def __init__(self, attempt: Attempt, start: int, losses: Sequence[float]) -> None:
        """`losses`: of the steps before `start` that no record has taken in, for all processes."""
        self.attempt, self.start = attempt, start
        self.every = interval(attempt.experiment.steps)
        #: Losses since the last record, left on the device: reading one would wait for it. Of each a process has its
        #: share.
        self.losses = self._of_all(losses)
        #: Whether the first process's shares are all of these losses, so that it can write them down by itself.
        self.is_whole = True
        self._unheard: list[Remark] = []  # of this process, which the first has not heard of
        self._peak = 0
        self._waits = _Waits()

    def waiting_for(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; the time until each is there counts as waiting, and what is said of its files is recorded."""
        for batch in self._waits.over(batches):
            if batch.remarks:
                self.attempt.remarks.add("train", batch.remarks)
                self._unheard += batch.remarks
            yield batch

    def add(self, loss: Tensor) -> None:
        """Take in this process's share of a step's loss."""
        self.losses.append(loss)
        self.is_whole = self.attempt.ranks.world == 1

    def pool(self) -> None:
        """Leave the losses since the last record with the first process; each must come here at the same time."""
        if not self.is_whole:
            shares = self.attempt.ranks.exchange(self.unrecorded())
            self.losses = self._of_all([sum(said) for said in zip(*shares, strict=True)])
            self.is_whole = True

    def unrecorded(self) -> list[float]:
        """The losses since the last record, as far as this process has them; waits for the device."""
        return [loss.item() for loss in self.losses]

    def is_due(self, done: int) -> bool:
        return done % self.every == 0 or done == self.attempt.experiment.steps

    def record(self, done: int, rate: float, micro_batch: int | None) -> None:
        """Record what the steps since the last record left. Raises FloatingPointError where a loss is not finite."""
        record, remarks = self.attempt.record, self.attempt.remarks
        loss = _mean(self.losses, done, self.attempt.ranks)
        entry = {"step": done, "loss": loss, "lr": rate, "time": time.time()}
        self.losses, self.is_whole = [], True
        self._tell_the_first()
        record.append(entry)
        self._peak = max(self._peak, _memory(self.attempt.device))
        waited, pace = self._waits.share(), self._waits.rate(done - self.start)
        record.update(
            step=done, loss=loss, peak_memory_mib=self._peak, seconds=self.attempt.seconds(), data_wait=waited,
            rate=pace, micro_batch=micro_batch,
        )  # fmt: skip
        remarks.save()
        self.attempt.observe(entry)

    def _of_all(self, losses: Sequence[float]) -> list[Tensor]:
        """A process's shares of losses that the first one has whole."""
        first, device = self.attempt.ranks.first, self.attempt.device
        return [torch.tensor(loss if first else 0.0, device=device) for loss in losses]

    def _tell_the_first(self) -> None:
        """What the processes have to say of the files that they read: the first records it."""
        if self.attempt.ranks.world > 1:
            for text in self.attempt.ranks.texts(to_text(self._unheard)):
                self.attempt.remarks.add("train", from_text(text))
        self._unheard.clear()


class _Waits:
    """How much of an attempt's time is spent waiting for data: what more loader processes would save."""

    def __init__(self) -> None:
        self.began = self.waited = 0.0

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; the time until each is there counts."""
        self.began = time.monotonic()
        iterator = iter(batches)
        while True:
            asked = time.monotonic()
            batch = next(iterator, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def share(self) -> float:
        """In 0..1."""
        return round(self.waited / max(time.monotonic() - self.began, 1e-9), 4)

    def rate(self, steps: int) -> float:
        """Steps a second, of so many since the attempt's first batch was asked for."""
        return round(steps / max(time.monotonic() - self.began, 1e-9), 4)


def _mean(losses: list[Tensor], step: int, ranks: Ranks) -> float:
    """The mean loss of some steps, of which every process has its share."""
    mean = sum(said[0] for said in ranks.exchange([torch.stack(losses).mean().item()]))
    if not math.isfinite(mean):
        raise FloatingPointError(f"the training loss is {mean} before step {step}; a lower optim.lr may help")
    return mean


def _memory(device: torch.device) -> int:
    """The run's peak memory on CUDA, the process's resident memory now on the CPU, in MiB."""
    size = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
    return size >> 20
