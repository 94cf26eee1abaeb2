"""One run over several processes: Ray Train's TorchTrainer inside a trial of Tune.

Ray starts the processes and introduces them to each other; what they do is `rein.training`, whose first process alone
writes to the ledger. The trial learns from the ledger how they get on, and asks them through it to stop.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from rein.config import Machine, Resources
from rein.ledger import Run
from rein.ranks import PATIENCE
from rein.sweeps.on_ray.execute import ProcessesLost
from rein.sweeps.on_ray.sharing import keep_to_share

log = logging.getLogger(__name__)

#: So often are the processes started anew within a trial. Behind that the trial itself is lost, which the driver counts
#: where the run never began, and the ledger where it did.
RESTARTS = 2

#: Seconds between two looks at the ledger.
LOOK = 1.0


def train_together(
    run: Run, machine: Machine, resources: Resources, observe: Callable[[Mapping[str, Any]], None]
) -> None:
    """Train a run in `resources.workers` processes, each with that much of the cluster; `observe` gets its records.

    A process that is lost costs the others their steps since the last checkpoint: Ray Train starts all of them anew.
    How often that may happen without progress is for the ledger to count.
    """
    os.environ.setdefault("RAY_TRAIN_METRICS_ENABLED", "0")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    gpu = float(resources.gpu)
    each = {"CPU": resources.cpu, **({"GPU": gpu} if gpu else {})}
    for left in run.path.glob(".ray-*"):  # of trials that were killed: this one alone is of the run now
        shutil.rmtree(left, ignore_errors=True)
    # Ray wants a folder that all nodes see, though nothing of worth comes to lie in it.
    with tempfile.TemporaryDirectory(prefix=".ray-", dir=run.path, ignore_cleanup_errors=True) as scratch:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"run": str(run.path), "machine": machine, "gpu": gpu},
            scaling_config=ScalingConfig(num_workers=resources.workers, use_gpu=gpu > 0, resources_per_worker=each),
            torch_config=TorchConfig(
                backend="cpu:gloo,cuda:nccl" if gpu else "gloo", timeout_s=int(PATIENCE.total_seconds())
            ),
            run_config=RunConfig(storage_path=scratch, failure_config=FailureConfig(max_failures=RESTARTS)),
        )
        _follow(run, trainer.fit, observe)


def _follow(run: Run, fit: Callable[[], Any], observe: Callable[[Mapping[str, Any]], None]) -> None:
    """Pass on what the ledger gets while the run is fitted; whoever stops the trial stops the run, and it is waited
    for."""
    with ThreadPoolExecutor(1, thread_name_prefix="train") as pool:
        offset = run.metrics()[1]
        fitted = pool.submit(fit)
        try:
            while wait([fitted], LOOK).not_done:
                records, offset = run.metrics(offset)
                for record in records:
                    observe(record)
        except BaseException:
            if not run.asked_to_stop():
                run.ask_to_stop("preempted", "its trial was stopped")
            raise
        for record in run.metrics(offset)[0]:
            observe(record)
        try:
            fitted.result()
        except Exception as error:  # none of the run's own, which `_worker` leaves to the ledger
            raise ProcessesLost(str(error).strip() or type(error).__name__) from error


def _worker(config: Mapping[str, Any]) -> None:
    """One process of the run. Whatever it raises is the ledger's: to Ray an error would mean a lost process."""
    try:
        keep_to_share(config["gpu"])
        from rein.training import train

        train(Run(Path(config["run"])).experiment(), config["machine"])
    except Exception:
        log.info("a run ended early; its status.json and traceback.txt say how", exc_info=True)
