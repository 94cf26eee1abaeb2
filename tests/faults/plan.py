"""Which faults befall which sweep, and when: all drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Points of a run's life at which a process can be caught (see inside/observer.py): from the first moment to the last.
WORK = ("start", "step", "record", "checkpoint", "rename", "evaluation", "end")
#: And of a driver's: before it knows Ray, and while it copies to MLflow.
DRIVE = ("driver begins", "driver copies")

#: Kind of fault -> the moments that it may come at.
KINDS: dict[str, tuple[str, ...]] = {
    "worker killed": WORK,
    "raylet killed": WORK,
    "node lost": WORK,
    "driver killed": WORK + DRIVE,
    "driver terminated": WORK + DRIVE,
    "driver interrupted": WORK + DRIVE,
    "worker terminated": WORK,
    "worker suspended": WORK,
    "driver suspended": WORK + DRIVE,
    "out of memory": ("step",),
    "diverging run": WORK,
    "disk full": WORK,
    "tracker down": WORK + DRIVE,
    "tracker's store lost": WORK + DRIVE,
    "two drivers": WORK + DRIVE,
    "clock skew": WORK,
    "torn file": WORK[1:],
}


@dataclass(frozen=True)
class Fault:
    """What happens, and the moment: the first process that comes to `phase` at `step` or later is caught there."""

    kind: str
    phase: str
    step: int
    #: For all other choices that the fault has: which node, how many hours, which file.
    seed: int

    def __str__(self) -> str:
        return f"{self.kind} at {self.phase!r} from step {self.step} on (seed {self.seed})"


@dataclass(frozen=True)
class Planned:
    """One sweep of the campaign and the faults that befall it, one after another."""

    number: int
    faults: tuple[Fault, ...]

    def has(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self.faults)


def draw(seed: int, faults: int, steps: int, kinds: Sequence[str] = tuple(KINDS)) -> list[Planned]:
    """So many faults, each kind as often as any other (to one), over sweeps of four to six each."""
    random_ = random.Random(seed)
    stream, sweeps = _faults(random_, steps, kinds), []
    while faults > 0:
        share = min(faults, random_.choice((4, 5, 6)))
        sweeps.append(Planned(len(sweeps), tuple(sorted((next(stream) for _ in range(share)), key=_when))))
        faults -= share
    return sweeps


def _when(fault: Fault) -> tuple[int, int]:
    """What comes late in a run's life is laid last, so that each of a sweep's faults finds its moment."""
    return (*DRIVE, *WORK).index(fault.phase) if fault.phase in ("end", *DRIVE) else len(DRIVE), fault.step


def _faults(random_: random.Random, steps: int, kinds: Sequence[str]) -> Iterator[Fault]:
    phases: dict[str, list[str]] = {kind: [] for kind in kinds}
    while True:
        for kind in random_.sample(kinds, len(kinds)):
            if not phases[kind]:  # each phase once before any comes again
                phases[kind] = random_.sample(KINDS[kind], len(KINDS[kind]))
            phase = phases[kind].pop()
            late = phase in ("step", "record", "checkpoint", "rename", "evaluation")
            step = random_.randrange(steps * 3 // 4) if late else 0
            yield Fault(kind, phase, step, random_.randrange(1 << 30))
