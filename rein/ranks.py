"""The processes that work on one run together: which one this is, and what they say to each other.

Messages go over a gloo group of their own, on the CPU: they wait for no device, and all have one form, so that a
process that fails can say so in the place of whatever the others wait for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

from rein.device import is_out_of_memory

#: Numbers in a message, and bytes of the text that follows where a process has failed.
NUMBERS, BYTES = 255, 2048

#: How long a process waits for the others: they may be reading data for the first time, or scoring.
PATIENCE = timedelta(hours=2)

#: How long a process that failed waits for the others to hear of it.
FAREWELL = timedelta(seconds=30)

#: Of gradients, that go over the network at once.
BUCKET = 32 << 20

#: What ended another process, by the code of its message, counted from 1: the run's state is the same everywhere.
ERRORS: tuple[type[BaseException], ...] = (RuntimeError, FloatingPointError, MemoryError, SystemExit)


class Ranks:
    """This process among `world` of them that share every batch of a run; alone unless torch.distributed is set up."""

    def __init__(self, rank: int = 0, world: int = 1, group: Any = None) -> None:
        self.rank, self.world, self.group = rank, world, group
        self.parted = world == 1

    @classmethod
    def here(cls) -> Ranks:
        """This process among those that torch.distributed knows; all of them must ask at the same time."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        group = distributed.new_group(backend="gloo", timeout=PATIENCE)
        return cls(distributed.get_rank(), distributed.get_world_size(), group)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def exchange(self, numbers: Sequence[float] = ()) -> list[list[float]]:
        """What every process says here, in the order of their ranks; all say as many numbers.

        Raises what ended another one, in place of what it had to say.
        """
        if self.world == 1:
            return [list(numbers)]
        said: list[list[float]] = [[] for _ in range(self.world)]
        for start in range(0, max(len(numbers), 1), NUMBERS):
            some = numbers[start : start + NUMBERS]
            for heard, row in zip(said, self._gathered([0.0, *some]), strict=True):
                heard += row[1 : len(some) + 1]
        return said

    def texts(self, text: str) -> list[str]:
        """A text of every process, in the order of their ranks."""
        length = max(int(said[0]) for said in self.exchange([len(text)]))
        padded = [*map(ord, text), *[0] * (length - len(text))]
        return ["".join(chr(int(letter)) for letter in said if letter) for said in self.exchange(padded)]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Add up tensors of one type over all processes, in place.

        In one piece behind the backward pass and not beside it as DistributedDataParallel does: so the processes can
        agree that each has its gradients before any is sent, and repeat a step that was too large for one of them.
        """
        if self.world == 1:
            return
        for some in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in some])
            distributed.all_reduce(flat)
            for tensor, part in zip(some, flat.split([tensor.numel() for tensor in some]), strict=True):
                tensor.copy_(part.view_as(tensor))

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Whatever ends this process's work early ends that of the others too, with the same kind of error."""
        try:
            yield
        except BaseException as error:
            self._leave(error)
            raise

    def _leave(self, error: BaseException) -> None:
        if self.parted:  # the others know
            return
        try:
            self._gathered([_code(error)], str(error).strip() or type(error).__name__, FAREWELL)
        except BaseException:  # they are gone, or will find this process gone
            self.parted = True

    def _gathered(self, message: list[float], text: str = "", patience: timedelta = PATIENCE) -> list[list[float]]:
        full = torch.zeros(NUMBERS + 1, dtype=torch.float64)
        full[: len(message)] = torch.tensor(message, dtype=torch.float64)
        rows = self._all(full, patience)
        failed = [rank for rank, row in enumerate(rows) if row[0]]
        if failed:
            self.parted = True
            raw = torch.zeros(BYTES, dtype=torch.uint8)
            encoded = text.encode()[:BYTES]
            raw[: len(encoded)] = torch.tensor(list(encoded), dtype=torch.uint8)
            texts = self._all(raw, FAREWELL)
            rank = failed[0]
            said = bytes(texts[rank].tolist()).rstrip(b"\0").decode(errors="replace")
            raise ERRORS[int(rows[rank][0]) - 1](f"process {rank} of {self.world}: {said}")
        return [row.tolist() for row in rows]

    def _all(self, mine: Tensor, patience: timedelta) -> list[Tensor]:
        rows = [torch.empty_like(mine) for _ in range(self.world)]
        work = distributed.all_gather(rows, mine, group=self.group, async_op=True)
        assert work is not None  # this process is of the group
        work.wait(patience)
        return rows


def _code(error: BaseException) -> float:
    match error:
        case FloatingPointError():
            return 2
        case _ if is_out_of_memory(error):
            return 3
        case KeyboardInterrupt() | SystemExit():
            return 4
    return 1


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks]:
    """The processes that `torchrun` has started beside this one, if it has; the group is left at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield Ranks.here()
        return
    on_gpu = torch.cuda.is_available() and device in ("auto", "cuda")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield Ranks.here()
    finally:
        distributed.destroy_process_group()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and sum(t.nbytes for t in bucket) + tensor.nbytes > BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
