"""Run experiments through Ray Tune.

Ray only executes: which runs there are, and how each ended, is the ledger's to say. So a trial swallows its error
(the ledger has it), `Tuner.restore` is never used, and of Ray's own results only errors are looked at.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from rein import domain_files
from rein.config import ConfigError, Experiment, Machine, Resources, run_id, to_dict
from rein.config_io import build
from rein.ledger import Run
from rein.sweeps.plan import Planned

log = logging.getLogger(__name__)

#: Ray phones home, prints a table of its own and writes loggers' files unless told not to.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ctrl-C must reach the driver: Tune would end the trials in peace, and `rein` would exit as if all were done.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Relative paths mean the folder that the sweep was started in.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def execute(
    planned: Iterable[Planned],
    machine: Machine,
    resources: Resources,
    address: str | None = None,
    jobs: int | None = None,
) -> None:
    """Run every planned experiment, at most `jobs` at once, and return when each has ended, well or not.

    Raises ConfigError where no machine of the cluster can hold a run, which Ray would wait for without end.
    """
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    import ray
    from ray import tune

    # Without an address Ray would join any cluster that it finds.
    ray.init(
        address or "local",
        include_dashboard=None if address else False,
        log_to_driver=False,
        runtime_env=_environment(),
        logging_level=logging.ERROR,
    )
    try:
        _check_fits(ray.nodes(), resources)
        with tempfile.TemporaryDirectory(prefix="rein-ray-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(_trial, {"cpu": resources.cpu, "gpu": resources.gpu}),
                param_space={
                    "experiment": tune.grid_search([to_dict(run.experiment) for run in planned]),
                    "machine": asdict(_share(machine, resources)),
                },
                # A reused process saves some ten seconds of imports a run, but would keep GPU memory of the one before.
                tune_config=tune.TuneConfig(
                    reuse_actors=resources.gpu == 0, trial_dirname_creator=str, max_concurrent_trials=jobs
                ),
                # Only a lost process counts as a failure here: the run goes on from its last checkpoint.
                run_config=tune.RunConfig(
                    storage_path=scratch, verbose=0, failure_config=tune.FailureConfig(max_failures=3)
                ),
            )
            with contextlib.redirect_stdout(io.StringIO()):  # Ray's own summary; `rein` prints what the ledger says
                grid = tuner.fit()
            for error in grid.errors:  # of what never reached the ledger: a node without the package or the disk
                log.error("%s", str(error).strip().splitlines()[-1])
    finally:
        ray.shutdown()


def _environment() -> dict[str, Any] | None:
    """What workers need beside their own environment: the driver's domain files, wherever they run."""
    variables = domain_files.environment()
    return {"env_vars": variables} if variables else None


def _trial(config: dict[str, Any]) -> None:
    from ray import tune

    from rein.training import train

    experiment, machine = build(Experiment, config["experiment"], to_run=False), Machine(**config["machine"])
    run = Run(machine.runs / run_id(experiment))
    if not run.path.is_dir():  # the driver made it
        raise ConfigError(f"{machine.runs}: not shared with {platform.node()}; --runs must lie on a disk all nodes see")

    def observe(record: Mapping[str, Any]) -> None:
        tune.report(dict(record))

    try:
        train(experiment, machine, observe)
    except Exception:
        log.info("a run ended early; its status.json and traceback.txt say how", exc_info=True)


def _share(machine: Machine, resources: Resources) -> Machine:
    """The machine as one run may use it: as many threads as CPUs, and no GPU that it did not ask for."""
    device = "cpu" if machine.device == "auto" and not resources.gpu else machine.device
    return replace(machine, threads=machine.threads or max(1, int(resources.cpu)), device=device)


def _check_fits(nodes: list[dict[str, Any]], resources: Resources) -> None:
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if not any(node.get("CPU", 0) >= resources.cpu and node.get("GPU", 0) >= resources.gpu for node in alive):
        have = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in alive)
        raise ConfigError(
            f"resources: a run asks for {resources.cpu:g} CPU and {resources.gpu:g} GPU, no node of the cluster has "
            f"that ({have}); lower `resources.cpu` or `resources.gpu`"
        )
