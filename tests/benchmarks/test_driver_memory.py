"""The memory of a long sweep's driver: the whole of `rein sweep` on Ray, watched and copied to MLflow, over 2,000 runs
that take no time, for what stands in for training only writes down that it is done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CODE = """
import json, sys, time
from pathlib import Path
import psutil
from rein.config import Machine
from rein.sweeps.drive import drive
from rein.sweeps.on_ray import execute
from rein.sweeps.queue import Passing

seen, fit = [], execute.fit


class Counted(Passing):
    def ended(self, plan):
        super().ended(plan)
        seen.append(psutil.Process().memory_info().rss / 2**20)


def work(run, machine, resources, observe):
    run.start(step=0, steps=1)
    run.append({"step": 1, "time": time.time(), "loss": 1.0})
    run.finish("done")


execute.fit = lambda source, *rest: fit(Counted(source), *rest, work=work)
result = drive(sys.argv[1], [], Machine(runs=Path(sys.argv[2]), data=Path(sys.argv[3])))
print(json.dumps({"seen": seen, **result}))
"""


@pytest.mark.benchmark
def test_the_drivers_memory_stays_flat_over_2000_runs(tmp_path: Path, tiny_file: Path, toy_data: Path) -> None:
    sweep, runs = tmp_path / "long.yaml", tmp_path / "runs"
    sweep.write_text(yaml.safe_dump({"experiment": str(tiny_file), "vary": {"seed": list(range(2000))}}))
    done = subprocess.run([sys.executable, "-c", CODE, sweep, runs, toy_data], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["done"] == len(result["seen"]) == len(list(runs.glob("*/mlflow.json"))) == 2000
    early, late = result["seen"][199], result["seen"][-1]
    print(f"\n{early:.0f} MiB after 200 runs, {late:.0f} after 2,000: {1024 * (late - early) / 1800:.1f} KiB a run")
    assert late - early < 20
