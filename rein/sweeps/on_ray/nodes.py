"""What the nodes of a Ray cluster have: asked before a sweep is given to it, node by node, by a task on each."""

from __future__ import annotations

import importlib.metadata
import platform
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rein.sweeps.on_ray.start import started

#: Packages whose version changes numbers, or whether what the driver sends is understood.
PACKAGES = ("rein-bench", "torch", "timm", "ray")

#: Seconds in which a node has to answer.
PATIENCE = 120.0


def check_cluster(address: str, runs: Path) -> list[dict[str, Any]]:
    """The survey of the cluster at an address. Raises ConfigError where none answers."""
    with started(address):
        return survey(runs)


def survey(runs: Path) -> list[dict[str, Any]]:
    """One row a node of the cluster that is connected to: `what`, what was `found`, its `problems` and `remarks`.

    A problem is a node that does not answer, does not see the runs folder, or has another version than this process.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    runs.mkdir(parents=True, exist_ok=True)
    sign = runs / f".seen-{uuid.uuid4().hex}"
    sign.touch()
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        asked = [
            ray.remote(num_cpus=0)(look)
            .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
            .remote(str(sign))
            for node in nodes
        ]
        ray.wait(asked, num_returns=len(asked), timeout=PATIENCE)
        return [_row(node, _answer(answer), look(str(sign))) for node, answer in zip(nodes, asked, strict=True)]
    finally:
        sign.unlink(missing_ok=True)


def look(sign: str) -> dict[str, Any]:
    """What this node has: versions by package, and whether a file that the driver made is there."""
    versions = {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()}
    return {"versions": versions, "sees": Path(sign).is_file()}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _answer(answer: Any) -> dict[str, Any] | str:
    """What a node says of itself, or why it does not."""
    import ray

    try:
        return ray.get(answer, timeout=0.1)
    except Exception as error:  # of a node: lost meanwhile, without `rein`, or silent
        return str(error).strip().splitlines()[-1]


def _row(node: Mapping[str, Any], there: dict[str, Any] | str, here: dict[str, Any]) -> dict[str, Any]:
    resources = node["Resources"]
    found = f"{node['NodeManagerAddress']}, {resources.get('CPU', 0):g} CPU, {resources.get('GPU', 0):g} GPU"
    problems = [f"did not answer: {there}"] if isinstance(there, str) else list(differences(there, here))
    return {"what": "node", "found": found, "problems": problems, "remarks": []}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Why a node with `there` would fail runs, or give other numbers, that a driver with `here` sends to it."""
    problems = [
        f"has {name} {there['versions'].get(name) or 'missing'}, the driver {version or 'none'}; install the same"
        for name, version in here["versions"].items()
        if there["versions"].get(name) != version
    ]
    unseen = "does not see the runs folder; name one by --runs on a disk that all nodes mount at the same path"
    return problems if there["sees"] else [*problems, unseen]
