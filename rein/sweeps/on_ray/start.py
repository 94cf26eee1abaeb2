"""A connection to Ray: a cluster of this machine's own, one that runs already, or one behind a client's door."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rein import domain_files
from rein.config import ConfigError
from rein.sweeps.on_ray.address import check_address, refusal, resolved
from rein.sweeps.resources import Node

#: Ray phones home, prints a table of its own and writes loggers' files unless told not to.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # A lost process is said in our words.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # The ledger says what is done: a state of Tune's own is never read, and would grow with every run.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    # Ctrl-C must reach the driver: Tune would end the trials in peace, and `rein` would exit as if all were done.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Relative paths mean the folder that the sweep was started in.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}

#: Of a cluster of this machine's own: it listens on loopback alone (Ray's switch for a Ray of one machine; else all its
#: processes listen on every interface, whatever address is named). Read when Ray is imported.
OWN = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

#: What all processes that work on one ledger must agree on.
SHARED = ("REIN_LEASE_SECONDS",)


@contextmanager
def started(address: str | None) -> Iterator[None]:
    """Ray, connected while the context lasts. Without an address a cluster of one node, on loopback alone.

    Tokens and certificates of a cluster are Ray's own environment variables (`RAY_AUTH_MODE`, `RAY_AUTH_TOKEN`,
    `RAY_AUTH_TOKEN_PATH`, `RAY_TLS_*`): it reads them here, and its nodes have their own.
    """
    if address:
        check_address(address)
    quieten()
    if address is None:
        for key, value in OWN.items():
            os.environ.setdefault(key, value)
    import ray

    try:
        ray.init(**_arguments(address))
    except (ConnectionError, RuntimeError) as error:
        if address is None:
            raise
        raise refusal(address, f"{error} {error.__cause__ or ''}") from error
    _hear_sigterm()
    try:
        yield
    finally:
        ray.shutdown()


def _hear_sigterm() -> None:
    """Have SIGTERM mean again what it did before Ray: its own handler aborts the process three seconds later."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)


def quieten() -> None:
    """Set Ray's environment variables for this process and those that it starts; what a person has set stays."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)


def _arguments(address: str | None) -> dict[str, Any]:
    """Of `ray.init`. Without an address Ray would join any cluster that it finds, hence `local`."""
    common = {"log_to_driver": False, "logging_level": logging.ERROR, "runtime_env": environment()}
    if address is None:
        return {**common, "address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    return {**common, "address": resolved(address)}


def environment() -> dict[str, Any] | None:
    """What workers need beside their own environment: the driver's domain files, and how long a lease is."""
    variables = domain_files.environment() | {key: os.environ[key] for key in SHARED if key in os.environ}
    return {"env_vars": variables} if variables else None


def nodes() -> list[Node]:
    """What the living nodes of the cluster have."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(has.get("CPU", 0.0), has.get("GPU", 0.0)) for has in alive]


def check_shared(runs: Path) -> None:
    """Raise ConfigError where the cluster does not see the runs folder of this machine."""
    import ray

    runs.mkdir(parents=True, exist_ok=True)
    probe = runs / f".shared-{uuid.uuid4().hex[:12]}"
    probe.touch()
    try:
        if not ray.get(ray.remote(num_cpus=0)(_is_there).remote(probe)):
            raise ConfigError(
                f"--runs {runs}: the cluster does not see this folder; it must lie on a disk that this machine and "
                "all nodes share, by the same path, or start the sweep on the cluster itself (`ray job submit`)"
            )
    finally:
        probe.unlink()


def _is_there(path: Path) -> bool:
    return path.exists()
