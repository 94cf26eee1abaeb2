"""The driver's memory over a long sweep: 2,000 runs through Tune, with a stand-in for training that takes no time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
import psutil
from rein.config import Experiment, Machine, Sweep, run_id
from rein.sweeps.on_ray.execute import fit
from rein.sweeps.on_ray.start import started
from rein.sweeps.plan import Planned
from rein.sweeps.queue import Queue
from rein.sweeps.resources import Allotment


class Counted(Queue):
    ended_so_far, seen = 0, {}

    def ended(self, plan):
        super().ended(plan)
        self.ended_so_far += 1
        self.seen[self.ended_so_far] = psutil.Process().memory_info().rss / 2**20


def work(run, machine, resources, observe):
    run.start(step=0, steps=1)
    run.finish("done")


experiments = [replace(Experiment(), seed=seed) for seed in range(int(sys.argv[2]))]
planned = [Planned(run_id(experiment), "", {}, experiment) for experiment in experiments]
machine = Machine(runs=Path(sys.argv[1]))
queue = Counted(planned, machine.runs)
with started(None):
    fit(queue, machine, Allotment(Sweep(experiment="toy")), work=work)
print(json.dumps(queue.seen))
"""


@pytest.mark.benchmark
def test_the_drivers_memory_stays_flat_over_2000_runs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path), "2000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = {int(number): size for number, size in json.loads(done.stdout.splitlines()[-1]).items()}
    growth = seen[2000] - seen[200]
    print(f"\n{seen[200]:.0f} MiB after 200 runs, {seen[2000]:.0f} after 2,000: {1024 * growth / 1800:.1f} KiB a run")
    assert growth < 20
