"""`rein sweep --address` over a real cluster of three raylets, its token on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from rein.config import Experiment, run_id, to_dict
from rein.ledger import Run
from tests.raylets import Raylets

Tiny = Callable[..., Experiment]

pytestmark = pytest.mark.slow

SEEDS = range(3)
STEPS = 40

REIN = [sys.executable, "-c", "from rein.cli import main; main()"]


@pytest.fixture(scope="module")
def raylets() -> Iterator[Raylets]:
    with Raylets(nodes=3) as cluster:
        yield cluster


def sweep(
    cluster: Raylets,
    folder: Path,
    data: Path,
    tiny: Tiny,
    given: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """`rein sweep` of three seeds, given to the cluster by its address."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(to_dict(tiny({"steps": STEPS}))))
    (folder / "sweep.yaml").write_text(yaml.safe_dump({"experiment": "tiny.yaml", "vary": {"seed": list(SEEDS)}}))
    places = {"REIN_DATA": str(data), "REIN_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*REIN, "sweep", "sweep.yaml", "--json", "--no-track", "--address", "auto"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**cluster.environment, **places, **(given or {})},
        cwd=folder,
    )


def test_the_runs_of_a_sweep_spread_over_all_nodes(
    raylets: Raylets, tmp_path: Path, toy_data: Path, tiny: Tiny
) -> None:
    driver = sweep(raylets, tmp_path, toy_data, tiny)
    runs = [Run(tmp_path / "runs" / run_id(tiny({"steps": STEPS, "seed": seed}))) for seed in SEEDS]
    where: dict[str, str] = {}
    while driver.poll() is None:
        for run in runs:
            pid = run.status().get("pid")
            where.update((run.id, node.address) for node in raylets.nodes if pid and node.holds(pid))
        time.sleep(0.1)
    stdout, stderr = driver.communicate()
    assert driver.returncode == 0, stderr
    assert json.loads(stdout)["done"] == len(SEEDS)
    assert sorted(where.values()) == sorted(node.address for node in raylets.nodes), "one run a node, each has one CPU"


def test_a_driver_without_the_token_is_refused(raylets: Raylets, tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    stranger = {"RAY_AUTH_TOKEN": "guessed", "HOME": str(tmp_path), "RAY_gcs_server_port_wait_time_s": "1"}
    driver = sweep(raylets, tmp_path, toy_data, tiny, given=stranger)
    stderr = driver.communicate(timeout=600)[1]
    assert driver.returncode == 2 and "asks for its token" in stderr and "RAY_AUTH_TOKEN" in stderr, stderr


def test_the_doctor_asks_every_node(raylets: Raylets, tmp_path: Path, toy_data: Path) -> None:
    command = [*REIN, "check", "toy-day", "--address", "auto", "--json", "--files", "1"]
    environment = {**raylets.environment, "REIN_DATA": str(toy_data), "REIN_RUNS": str(tmp_path / "runs")}
    asked = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    rows = [row for row in json.loads(asked.stdout)["machine"] if row["what"] == "node"]
    assert sorted(row["found"] for row in rows) == sorted(f"{node.address}, 1 CPU, 0 GPU" for node in raylets.nodes)
    assert not any(row["problems"] for row in rows), rows
    assert list((tmp_path / "runs").iterdir()) == [], "it leaves nothing behind"


def test_a_node_that_is_killed_leaves_no_process_and_another_can_take_its_place() -> None:
    with Raylets(nodes=2) as cluster:
        lost = cluster.nodes[1]
        assert lost.raylet()
        cluster.kill(lost)
        assert lost.processes() == []
        added = cluster.add(cpus=2)
        assert added.raylet() and added.address != lost.address
    assert cluster.processes() == []
    assert not cluster.folder.exists()
