"""Many pairs of image and label, examined by several processes, with word of how far it is."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rein.check.pair import Pair, examine
from rein.data.domain import DataError, Sample

log = logging.getLogger(__name__)

#: Below this many pairs, starting processes takes longer than they save.
FEW = 64
#: Seconds between two lines of a log file.
SILENCE = 60.0


def examine_all(samples: Sequence[Sample], workers: int | None = None) -> dict[Sample, Pair]:
    """Every pair examined, by so many processes: 0 reads in this one, None takes one a CPU where there is much."""
    if workers is None:
        workers = 0 if len(samples) < FEW else len(os.sched_getaffinity(0))
    with _read(samples, workers) as pairs:
        return dict(zip(samples, _told(pairs, len(samples)), strict=True))


@contextmanager
def _read(samples: Sequence[Sample], workers: int) -> Iterator[Iterator[Pair]]:
    if not workers:
        yield map(examine, samples)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start)
    try:
        yield pool.map(examine, samples, chunksize=4)
    except BrokenProcessPool:
        raise DataError(
            "a process that reads files was killed, perhaps for want of memory; try again with fewer --workers"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _start() -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends these
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _told(pairs: Iterable[Pair], total: int) -> Iterator[Pair]:
    """The pairs as they come, with a bar on a terminal's stderr and in a log file a line a minute."""
    console = Console(stderr=True)
    if console.is_terminal and log.isEnabledFor(logging.INFO):
        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            yield from progress.track(pairs, total)
        return
    began = spoke = time.monotonic()
    for number, pair in enumerate(pairs, 1):
        if time.monotonic() - spoke >= SILENCE:
            spoke = time.monotonic()
            left = (spoke - began) * (total / number - 1)
            log.info("%s of %s files read, about %d min left", f"{number:,}", f"{total:,}", round(left / 60))
        yield pair
