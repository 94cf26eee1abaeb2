"""How fast 100,000 runs are planned, ids and all, beside building and hashing them one by one."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from rein.config import Experiment, Sweep, run_id
from rein.config_io import build, find, override, read_yaml
from rein.sweeps.plan import expand

#: 4 x 25 x 10 x 10 x 10 = 100,000 runs of few tunings, heads and optimisers.
GRID: dict[str, Any] = {
    "vary": {
        "tuning.method": ["rein", "lora", "soma", "last_blocks"],
        "optim.lr": [step / 10_000 for step in range(1, 26)],
        "optim.weight_decay": [step / 100 for step in range(10)],
        "data.crop_size": [64 + 16 * step for step in range(10)],
        "seed": list(range(10)),
    }
}
#: As many draws, of which no two have the same optimiser.
DRAWN: dict[str, Any] = {
    "vary": {
        "optim.lr": {"loguniform": [1e-5, 1]},
        "optim.weight_decay": {"uniform": [0, 1]},
        "tuning.rank": {"int": [1, 64]},
    },
    "search": {"sampler": "random", "trials": 100_000},
}
SAMPLE = 500


@pytest.mark.benchmark
@pytest.mark.parametrize(("kind", "sweep"), [("grid", GRID), ("draws", DRAWN)])
def test_100000_runs_are_planned_in_ten_seconds(kind: str, sweep: dict[str, Any]) -> None:
    asked = build(Sweep, {"experiment": "toy", **sweep})
    started = time.perf_counter()
    planned = expand(asked)
    seconds = time.perf_counter() - started
    assert len(planned) == 100_000

    base = read_yaml(find(Experiment, "toy"))
    some = planned[:: len(planned) // SAMPLE]
    changes = [{**axes} for axes in (plan.axes for plan in some)]
    started = time.perf_counter()
    slow = [build(Experiment, override(base, change)) for change in changes]
    ids = [run_id(experiment) for experiment in slow]
    each = (time.perf_counter() - started) / len(some)
    assert ids == [plan.id for plan in some] and slow == [plan.experiment for plan in some]
    print(f"{kind}: {len(planned)} runs in {seconds:.1f} s; one by one {1e3 * each:.2f} ms each, "
          f"{each * len(planned) / seconds:.0f} times as long")  # fmt: skip
    assert seconds < 10


def test_the_grid_is_as_large_as_it_says() -> None:
    assert len(list(itertools.product(*GRID["vary"].values()))) == 100_000
