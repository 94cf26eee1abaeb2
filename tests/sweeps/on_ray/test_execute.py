"""A real Ray, in a process of its own through the command line: the whole of `rein sweep` once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from rein.config import ConfigError, Experiment, Machine, Sweep, run_id, to_dict
from rein.config_io import build
from rein.ledger import Run
from rein.sweeps.on_ray import execute as execute_module
from rein.sweeps.on_ray.execute import cut, execute
from rein.sweeps.on_ray.start import QUIET
from rein.sweeps.plan import Planned, expand
from rein.sweeps.queue import Queue
from rein.sweeps.resources import Allotment, Node
from rein.training import checkpoint, train
from tests.processes import alive
from tests.waiting import comes

Tiny = Callable[..., Experiment]

BAD = {"optim.lr": 1e30, "tuning.method": "full", "optim.backbone_lr": 1e30}


class Swept(NamedTuple):
    """What `rein sweep` said, where it ran, and the run that was done before."""

    result: dict[str, Any]
    stderr: str
    code: int
    runs: Path
    before: float
    again: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, toy_data: Path, tiny: Tiny) -> Swept:
    """Seed 0 was trained before; the sweep adds seed 1 and a point that diverges. Then a sweep of what is done."""
    root = tmp_path_factory.mktemp("swept")
    runs = root / "runs"
    machine = Machine(data=toy_data, runs=runs, weights=root, device="cpu", threads=1)
    before = train(tiny(), machine).status()["ended"]
    (root / "tiny.yaml").write_text(yaml.safe_dump(to_dict(tiny())))
    sweep = {"experiment": str(root / "tiny.yaml"), "points": {"old": {}, "new": {"seed": 1}, "bad": BAD}}
    (root / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)

    def rein(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, timeout=600)

    first = rein("sweep", str(root / "sweep.yaml"), "--json", "--jobs", "1")
    assert first.stdout, first.stderr
    again = rein("sweep", str(root / "sweep.yaml"), 'points={"new": {"seed": 1}}', "--json")
    return Swept(json.loads(first.stdout), first.stderr, first.returncode, runs, before, again)


@pytest.mark.slow
def test_a_sweep_runs_what_the_ledger_lacks(swept: Swept, tiny: Tiny) -> None:
    assert swept.result["runs"] == 3 and swept.result["already done"] == 1 and swept.result["done"] == 2
    old = Run(swept.runs / run_id(tiny()))
    assert old.status()["attempt"] == 1 and old.status()["ended"] == swept.before, "what was done was left alone"
    new = Run(swept.runs / run_id(tiny({"seed": 1})))
    assert new.state == "done" and (new.path / "scores.csv").is_file()
    bad = Run(swept.runs / run_id(tiny(BAD)))
    first, second = sorted((new.status(), bad.status()), key=lambda status: status["started"])
    assert first["ended"] <= second["started"], "--jobs 1: never two at once"


@pytest.mark.slow
def test_a_failing_run_leaves_its_siblings_alone_and_is_listed(swept: Swept, tiny: Tiny) -> None:
    assert swept.result["failed"] == swept.result["diverged"] == 1
    run = Run(swept.runs / run_id(tiny(BAD)))
    assert run.state == "diverged" and (run.path / "traceback.txt").is_file()
    assert f"diverged: bad ({run.id})" in swept.stderr
    assert swept.code == 1
    assert "Traceback" not in swept.stderr


@pytest.mark.slow
def test_a_sweep_with_nothing_left_is_a_success_at_once(swept: Swept) -> None:
    assert swept.again.returncode == 0, swept.again.stderr
    assert json.loads(swept.again.stdout) == {"runs": 1, "already done": 1, "done": 1, "failed": 0}


@pytest.mark.slow
def test_a_run_ends_the_same_in_ray_as_in_this_process(swept: Swept, tiny: Tiny, machine: Machine) -> None:
    here = train(tiny({"seed": 1}), machine)
    there = Run(swept.runs / here.id)
    assert (here.path / "scores.csv").read_text() == (there.path / "scores.csv").read_text()


@pytest.mark.slow
def test_the_sweep_is_in_mlflow_as_a_parent_with_its_runs(swept: Swept) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept.runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rein")
    assert experiment is not None
    views = client.search_runs([experiment.experiment_id])
    (parent,) = (view for view in views if view.data.tags["rein.kind"] == "sweep")
    children = [view for view in views if view.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(view.info.status for view in children) == ["FAILED", "FINISHED", "FINISHED"]
    assert len(views) == 4


@pytest.mark.slow
def test_ray_leaves_no_files_of_its_own_with_the_runs(swept: Swept) -> None:
    others = {path.name for path in swept.runs.iterdir() if not (path / "experiment.yaml").is_file()}
    assert others <= {"mlflow.db", "mlartifacts", ".mlflow", ".sweeps"}, "all of them rein's"


@pytest.mark.slow
def test_ctrl_c_leaves_runs_that_can_be_gone_on_with(tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    """As a terminal sends it: to the driver and all that it has started in its process group."""
    experiment = tiny({"steps": 100_000})
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(to_dict(experiment)))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"experiment": str(tmp_path / "long.yaml")}))
    command = [sys.executable, "-c", "from rein.cli import main; main()", "sweep", "sweep.yaml", "--no-track"]
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(tmp_path / "runs")}
    driver = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, start_new_session=True
    )
    run = Run(tmp_path / "runs" / run_id(experiment))
    assert comes(lambda: run.status().get("loss"), 600)
    os.killpg(driver.pid, signal.SIGINT)
    stderr = driver.communicate(timeout=600)[1]
    assert driver.returncode == 130, stderr
    assert run.state == "preempted", "not pruned: that would count as its end"
    assert "the same command is given again" in stderr and "Traceback" not in stderr
    assert checkpoint.newest(run.path / "checkpoint"), "it was cut between two steps, with a checkpoint"


@pytest.mark.parametrize("joins", [True, False])
def test_nodes_that_join_meanwhile_are_waited_for(
    tmp_path: Path, tiny_file: Path, monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    sweep = build(Sweep, {"experiment": str(tiny_file), "resources": {"cpu": 4}})
    planned = expand(sweep)
    looks: list[int] = []

    def nodes() -> list[Node]:
        looks.append(len(looks))
        return [Node(0, 0)] if len(looks) < 3 or not joins else [Node(0, 0), Node(8, 0)]

    slept: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(execute_module, "nodes", nodes)
    monkeypatch.setattr(execute_module, "time", clock)
    with contextlib.nullcontext() if joins else pytest.raises(ConfigError, match="no node has"):
        execute_module._check_room(planned, Allotment(sweep, planned), 5.0)
    assert len(looks) >= 3 and sum(slept) <= 5.0


def test_runs_are_asked_to_end_and_waited_for_but_not_for_ever(tmp_path: Path, tiny: Tiny) -> None:
    plans = [Planned(run_id(tiny({"seed": seed})), "", {}, tiny({"seed": seed})) for seed in range(2)]
    held, free = (Run.create(tmp_path, plan.experiment) for plan in plans)
    claimed = threading.Event()

    def work() -> None:
        with held.claimed():
            claimed.set()
            while not held.asked_to_stop():
                time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    assert claimed.wait(120)
    cut(plans, tmp_path)
    thread.join(120)
    asked = held.asked_to_stop()
    assert asked and asked.state == "preempted" and free.asked_to_stop() is None and held.holder() is None


def of_one(tiny: Tiny, machine: Machine, address: str, left: bool = True) -> None:
    """A sweep of one run given to the cluster at an address."""
    plans = [Planned(run_id(tiny()), "", {}, tiny())]
    execute(Queue(plans if left else [], machine.runs), plans, machine, Allotment(Sweep(experiment="toy")), address)


def test_a_cluster_that_is_lost_for_good_is_no_word_that_was_wrong(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([RuntimeError("ClusterLost"), ConfigError("no Ray cluster answers")])

    def fails(*given: Any) -> None:
        raise next(answers)

    monkeypatch.setattr(execute_module, "_execute", fails)
    with pytest.raises(RuntimeError, match=r"was lost: no Ray cluster answers; the same command goes on"):
        of_one(tiny, machine, "auto")


def test_where_nothing_is_left_no_cluster_is_asked(tiny: Tiny, machine: Machine) -> None:
    of_one(tiny, machine, "nowhere", left=False)
    with pytest.raises(ConfigError, match="--address nowhere: no address"):
        of_one(tiny, machine, "nowhere")


def test_a_clients_door_that_auto_stands_for_is_gone_through_as_one(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://10.0.0.1:10001")
    monkeypatch.setattr(execute_module, "started", nullcontext)
    monkeypatch.setattr(execute_module, "nodes", lambda: [Node(1, 0)])
    called: list[str] = []
    for name in ("check_shared", "_fit_there", "fit"):
        monkeypatch.setattr(execute_module, name, lambda *given, name=name: called.append(name))
    of_one(tiny, machine, "auto")
    assert called == ["check_shared", "_fit_there"]


@pytest.mark.slow
def test_a_sweep_killed_with_all_its_processes_ends_as_if_it_had_never_been_cut(
    tmp_path: Path, toy_data: Path, tiny: Tiny
) -> None:
    """`kill -9` of driver, Ray and workers in the middle; the same command again; then the weights of an uncut run."""
    experiment = tiny({"steps": 40})
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(to_dict(experiment)))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"experiment": "tiny.yaml", "vary": {"seed": [0, 1]}}))
    environment = {
        **os.environ,
        "REIN_DATA": str(toy_data),
        "REIN_RUNS": str(tmp_path / "runs"),
        "REIN_CHECKPOINT_SECONDS": "0",
    }
    words = ("sweep", "sweep.yaml", "--no-track", "--json")
    command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
    driver = subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True)
    run = Run(tmp_path / "runs" / run_id(experiment))
    assert comes(lambda: run.status().get("step", 0) >= 9, 600)
    os.kill(run.status()["pid"], signal.SIGSTOP)  # until all are found, it would go on
    for process in [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    driver.wait()
    assert run.state == "running" and 9 <= run.status()["step"] < 40, "it was cut in the middle"

    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["done"], result["failed"]) == (2, 0) and run.status()["attempt"] == 2
    steps = [record["step"] for record in run.metrics()[0] if "loss" in record]
    assert steps.count(3) == 1, "it did not start again at the first step"
    machine = Machine(data=toy_data, runs=tmp_path / "uncut", weights=tmp_path, device="cpu", threads=1)
    for seed in (0, 1):
        uncut = train(tiny({"steps": 40, "seed": seed}), machine)
        cut = Run(tmp_path / "runs" / uncut.id)
        files = [load_file(checkpoint.newest(one.path / "checkpoint")) for one in (cut, uncut)]
        assert [name for name, tensor in files[0].items() if not torch.equal(tensor, files[1][name])] == []
        assert (cut.path / "scores.csv").read_text() == (uncut.path / "scores.csv").read_text()


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_no_process(tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    """`kill -9` of the driver alone, while a run trains with a loader process of its own."""
    experiment = tiny({"steps": 100_000})
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(to_dict(experiment)))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"experiment": str(tmp_path / "long.yaml")}))
    words = ("sweep", "sweep.yaml", "--no-track", "--workers", "1")
    command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(tmp_path / "runs")}
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, cwd=tmp_path, start_new_session=True)
    run = Run(tmp_path / "runs" / run_id(experiment))
    assert comes(lambda: run.status().get("loss"), 600)
    ours = psutil.Process(driver.pid).children(recursive=True)
    assert run.status()["pid"] in {process.pid for process in ours}
    driver.kill()
    driver.wait()
    killed = time.monotonic()
    assert comes(lambda: all(is_agent(process) for process in ours if alive(process))), [
        process.cmdline() for process in ours if alive(process)
    ]
    print(f"none was left after {time.monotonic() - killed:.1f} s")
    assert run.holder() is None
    for process in ours:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def is_agent(process: psutil.Process) -> bool:
    """Whether it is one of two helpers of Ray's, which tell a Ray that is gone of it, for a minute, and then end."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()[:1] in (["ray::DashboardAgent"], ["ray::RuntimeEnvAgent"])
    return True


@pytest.mark.slow
def test_a_cluster_behind_a_clients_door(tmp_path: Path, toy_data: Path, tiny: Tiny) -> None:
    """`--address ray://`: a process of the cluster drives, this one watches the ledger."""
    pytest.importorskip("grpc", reason="ray:// needs `ray[client]`, which brings grpcio")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(to_dict(tiny())))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"experiment": "tiny.yaml", "vary": {"seed": [0, 1]}}))
    environment = {**os.environ, "REIN_DATA": str(toy_data), "REIN_RUNS": str(tmp_path / "runs"), **QUIET}
    with a_cluster(tmp_path, environment) as address:
        words = ("sweep", "sweep.yaml", "--no-track", "--json", "--address", address)
        command = [sys.executable, "-c", "from rein.cli import main; main()", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"runs": 2, "already done": 0, "done": 2, "failed": 0}


def takes_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def a_cluster(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """A node of its own on loopback, with a door for clients: its address."""
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        port, door = free.getsockname()[1], other.getsockname()[1]
    options = ["--head", "--block", "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--num-cpus=2"]
    ports = [f"--port={port}", f"--ray-client-server-port={door}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, *ports]
    node = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        assert comes(lambda: takes_connections(door), 600)
        yield f"ray://127.0.0.1:{door}"
    finally:
        processes = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait()
