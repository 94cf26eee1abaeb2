"""The runs that a report still lacks, and how long they would take: by runs like them, else by what is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from rein import published
from rein.reports.study import Study
from rein.sweeps.plan import final

#: Where nothing like a run has finished: the paper's hours, which are of a ViT-L for so many steps of such batches.
TABLE, STEPS, BATCH, CROP = "Rein T8", 40_000, 4, 512
#: Passes through the network a step; of all others one.
PASSES = {"advstyle": 3}


@dataclass(frozen=True)
class Missing:
    """What some missing runs would take, all alike in how that is known."""

    #: How it is known, `by the finished runs of the same variants`; empty where nothing tells.
    basis: str
    runs: int
    #: Seconds of all of them, at least and at most; 0 where nothing tells.
    low: float = 0.0
    high: float = 0.0
    #: Whether a second is one of a GPU, and not one of a processor.
    gpu: bool = False


def missing(studies: Sequence[Study]) -> list[Missing]:
    """The missing runs of several studies, each once, by how their time is known, the surest first."""
    found: dict[str, tuple[int, Missing]] = {}
    for study in studies:
        for run_id, (sure, one) in _of(study).items():
            if run_id not in found or sure < found[run_id][0]:
                found[run_id] = sure, one
    summed: dict[tuple[int, str, bool], Missing] = {}
    for sure, one in found.values():
        key = sure, one.basis, one.gpu
        had = summed.get(key, replace(one, runs=0, low=0.0, high=0.0))
        summed[key] = replace(had, runs=had.runs + 1, low=had.low + one.low, high=had.high + one.high)
    return [summed[key] for key in sorted(summed)]


def hours_to_fill(studies: Sequence[Study]) -> str:
    """`about 598–743 GPU-hours for 63 missing runs, by ...`; empty where none is missing."""
    return "; ".join(map(_told, missing(studies)))


def _of(study: Study) -> dict[str, tuple[int, Missing]]:
    """run_id -> how sure it is (less is surer), and what its steps that are left would take."""
    runs = study.runs.assign(work=_work(study.runs))
    resources = study.sweep.resources
    gpus = (1.0 if resources.gpu == "auto" else resources.gpu) * resources.workers
    lacking = runs[~runs["state"].isin(final(study.sweep))]
    done = runs[(runs["state"] == "done") & runs["seconds"].notna()]
    rates = {point: _rate(alike) for point, alike in done.groupby("point", sort=False)}
    found = {}
    for run_id, point, steps, work in lacking[["run_id", "point", "steps", "work"]].itertuples(index=False):
        times = (steps - study.statuses[run_id].get("step", 0)) * work
        if point in rates:
            sure, basis, (low, high) = 0, "by the finished runs of the same variants", rates[point]
        elif len(done):
            sure, basis, (low, high) = 1, "by the finished runs of the same sweep", _rate(done)
        elif gpus and study.moved.world is None:  # a world's runs, and those on processors, are no ViT-L
            sure, basis, (low, high) = 2, *_published()
        else:
            sure, basis, low, high = 3, "", 0.0, 0.0
        if sure < 2:  # these seconds went by on all GPUs of a run, the published ones on a whole one
            times *= gpus or 1
        found[run_id] = sure, Missing(basis, 1, low * times, high * times, gpus > 0)
    return found


def _rate(done: pd.DataFrame) -> tuple[float, float]:
    """Seconds of finished runs, scoring included, for a step of the recipe; at least and at most are one."""
    rate = float(done["seconds"].sum() / (done["steps"] * done["work"]).sum())
    return rate, rate


def _work(runs: pd.DataFrame) -> pd.Series:
    """Pixels that go through the network in a step, in steps of the recipe; backbones are not told apart."""
    pixels = runs["data.batch_size"] * runs["data.crop_size"] ** 2 / (BATCH * CROP**2)
    return pixels * [PASSES.get(name, 1) for name in runs["data.augmentation"]]


def _published() -> tuple[str, tuple[float, float]]:
    hours = [entry.metrics["train_hours"] for entry in published.rows(TABLE)]
    low, high = min(hours), max(hours)
    basis = (
        f"by the {low:g}–{high:g} h that {TABLE} has for {STEPS:,} steps of {BATCH} crops of {CROP}² of a ViT-L on one "
        f"RTX 3090 Ti, in proportion to steps and pixels, AdvStyle thrice; backbones are not told apart"
    )
    return basis, (3600 * low / STEPS, 3600 * high / STEPS)


def _told(part: Missing) -> str:
    runs = f"{part.runs} missing run{'' if part.runs == 1 else 's'}"
    if not part.basis:
        return f"nothing has run yet that tells how long {runs} would take"
    if part.high < 3600:
        low, high, unit = duration(part.low), duration(part.high), " of a GPU" if part.gpu else ""
    else:
        low, high, unit = _hours(part.low), _hours(part.high), " GPU-hours" if part.gpu else " hours"
    return f"about {low if low == high else f'{low}–{high}'}{unit} for {runs}, {part.basis}"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `3 h 12 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
