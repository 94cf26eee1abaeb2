"""The launch files of sweeps/cluster: valid by their tools' own words, closed by default, with commands that exist."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from rein.cli import app
from rein.config import Sweep
from rein.config_io import load
from rein.sweeps.plan import expand
from rein.sweeps.resources import Allotment, Node
from tests.waiting import comes

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "sweeps" / "cluster"
FILES = sorted(path.name for path in FOLDER.iterdir())


def read(name: str) -> str:
    return (FOLDER / name).read_text()


@pytest.mark.parametrize("name", FILES)
def test_every_file_explains_itself_in_about_ten_lines(name: str) -> None:
    lines = [line for line in read(name).splitlines() if not line.startswith("#!")]
    header = next(number for number, line in enumerate(lines) if not line.startswith("# ") and line[:4] != "#   ")
    assert 8 <= header <= 12
    assert any(name in line for line in lines[:header]), "the command that takes the file"


@pytest.mark.parametrize("name", FILES)
def test_no_file_holds_a_secret_or_opens_a_port_to_everybody(name: str) -> None:
    text = read(name)
    for key, value in re.findall(r"(?<![{\w])(\w*(?:TOKEN|PASSWORD|SECRET_KEY))[:=] ?(\S+)", text):
        assert value.startswith(("${", "$(", "...")), f"{key} has to come from outside"
    if name != "mlflow-server.yaml":
        assert "RAY_AUTH_MODE=token" in text or "authOptions: {mode: token}" in text


SWEEPS = [(name, command) for name in FILES for command in re.findall(r"rein sweep (?:\w[^'\n&]*)", read(name))]


@pytest.mark.parametrize(("name", "command"), [pair for pair in SWEEPS if " --address" in pair[1]])
def test_its_sweep_can_be_given(name: str, command: str) -> None:
    words = shlex.split(command)[2:]
    given = getattr(get_command(app), "commands")["sweep"].make_context("sweep", words).params  # noqa: B009
    assert given["address"] == "auto"
    assert expand(load(Sweep, given["name"], given["overrides"] or ()))


def test_there_are_sweeps_to_give() -> None:
    assert {name for name, _ in SWEEPS} >= {"ray-up.yaml", "kuberay-rayjob.yaml"}


def ray_options(command: str) -> set[str]:
    """What a command of the installed Ray takes."""
    from ray.scripts.scripts import cli

    return {option for parameter in cli.commands[command].params for option in parameter.opts}


@pytest.mark.slow
def test_ray_up_is_valid_by_rays_own_checks() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load(read("ray-up.yaml"))
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])
    broken = prepare_config({**copy.deepcopy(config), "worker_start_commands": []})
    with pytest.raises(Exception, match="worker_start_commands"):
        validate_config(broken)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_options_given_to_ray_are_there(name: str) -> None:
    commands = re.sub(r"\s*\\?\n\s*#?\s*", " ", read(name))
    starts = re.findall(r"ray start ((?:-\S+ ?)+)", commands)
    runs = re.findall(r"ray symmetric-run (.*?) -- ", commands)
    for given in starts:
        assert {word.partition("=")[0] for word in given.split()} <= ray_options("start"), given
    for given in runs:
        known = ray_options("symmetric-run") | (
            ray_options("start") - {"--head", "--port", "--node-ip-address", "--block"}
        )
        assert set(re.findall(r"--[\w-]+", given)) <= known, given
    assert len(starts) == {"ray-up.yaml": 2}.get(name, 0) and len(runs) == {"slurm.sh": 1}.get(name, 0)


def rayjob() -> tuple[dict[str, Any], dict[str, Any]]:
    claim, job = yaml.safe_load_all(read("kuberay-rayjob.yaml"))
    return claim, job


def test_the_rayjob_has_only_fields_that_kuberay_knows() -> None:
    schema = yaml.safe_load((Path(__file__).parent / "kuberay_schema.yaml").read_text())
    _, job = rayjob()
    jsonschema.validate(job, schema)
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    with pytest.raises(jsonschema.ValidationError, match="0 is not of type 'string'"):
        jsonschema.validate(job, schema)


@pytest.mark.slow
def test_the_rayjob_gives_its_pods_what_they_mount_and_rays_start_what_it_takes() -> None:
    import ray

    claim, job = rayjob()
    cluster = job["spec"]["rayClusterSpec"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert cluster["rayVersion"] == ray.__version__ and job["spec"]["shutdownAfterJobFinishes"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert {f"--{name}" for name in group["rayStartParams"]} <= ray_options("start")
        pod = group["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            gpus = [container["resources"][kind].get("nvidia.com/gpu") for kind in ("requests", "limits")]
            assert gpus[0] == gpus[1], "Kubernetes refuses GPUs whose request is not their limit"


def test_the_nodes_that_the_rayjob_begins_with_hold_its_sweep() -> None:
    """A run that no node is like is refused, though an autoscaler might bring one."""
    spec = rayjob()[1]["spec"]
    cluster = spec["rayClusterSpec"]
    there = [Node(float(cluster["headGroupSpec"]["rayStartParams"]["num-cpus"]), 0)]
    for group in cluster["workerGroupSpecs"]:
        asked = group["template"]["spec"]["containers"][0]["resources"]["requests"]
        there += group["minReplicas"] * [Node(float(asked["cpu"]), float(asked["nvidia.com/gpu"]))]
    sweep = load(Sweep, shlex.split(spec["entrypoint"])[2])
    Allotment(sweep).check(expand(sweep), there)


@pytest.mark.slow
def test_the_mlflow_server_is_on_loopback_behind_passwords_with_options_that_are_there() -> None:
    from mlflow.cli import cli

    services = yaml.safe_load(read("mlflow-server.yaml"))["services"]
    assert "ports" not in services["database"], "the database is for the server alone"
    assert services["mlflow"]["ports"] == ["${MLFLOW_LISTEN:-127.0.0.1}:5000:5000"]
    program = services["mlflow"]["command"][-1]
    server = shlex.split(program.rpartition("exec mlflow server")[2])
    known = {option for parameter in cli.commands["server"].params for option in parameter.opts}
    assert {word for word in server if word.startswith("--")} <= known
    assert server[server.index("--app-name") + 1] == "basic-auth"
    for service in services.values():
        mounted = {volume.partition(":")[0] for volume in service["volumes"]}
        assert mounted <= set(yaml.safe_load(read("mlflow-server.yaml"))["volumes"])


# ------------------------------------------------------------------------------------------------------------- Slurm

#: Stand-ins: each writes its name and words, a JSON list a line; `rein` ends at once, or when it is asked to stop.
STAND_IN = """#!{python}
import json, os, signal, subprocess, sys, time
name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(os.environ["SAID"], "a") as file:
    file.write(json.dumps([name, *words]) + "\\n")
if name == "scontrol" and words[0] == "show":
    print("node1\\nnode2")
elif name == "ray" and words[0] == "get-auth-token":
    os.makedirs(os.path.expanduser("~/.ray"), exist_ok=True)
    open(os.path.expanduser("~/.ray/auth_token"), "w").write("token")
elif name == "srun":
    sys.exit(subprocess.run(words[words.index("ray"):]).returncode)
elif name == "ray":
    sys.exit(subprocess.run(words[words.index("--") + 1:]).returncode)
elif name == "rein" and "endless" in words:
    def stop(*_):
        sys.exit(130)
    signal.signal(signal.SIGTERM, stop)
    open(os.environ["SAID"] + ".up", "w").close()
    time.sleep(600)
"""


class Slurm:
    """The script under stand-ins for Slurm, Ray and `rein`."""

    def __init__(self, folder: Path) -> None:
        self.said, self.folder = folder / "said", folder
        for name in ("srun", "scontrol", "ray", "rein"):
            (folder / name).write_text(STAND_IN.format(python=sys.executable))
            (folder / name).chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2"}
        given = {"SLURM_CPUS_PER_TASK": "32", "SLURM_GPUS_ON_NODE": "4", "USER": "me", "TMPDIR": str(self.folder)}
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.folder), "SAID": str(self.said), **job, **given}
        return subprocess.Popen(["bash", str(FOLDER / "slurm.sh"), *words], env=environment)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.said.read_text().splitlines()]


def test_slurm_starts_ray_on_all_nodes_and_the_sweep_on_the_first(tmp_path: Path) -> None:
    slurm = Slurm(tmp_path)
    assert slurm.start("rank", "steps=5").wait(timeout=600) == 0
    calls = slurm.calls()
    assert calls[-1] == ["rein", "sweep", "rank", "steps=5", "--address", "auto"]
    (run,) = (call for call in calls if call[:2] == ["ray", "symmetric-run"])
    assert run[2:6] == ["--address", "node1:6379", "--min-nodes", "2"]
    assert {"--num-cpus=32", "--num-gpus=4"} <= set(run)
    assert not any(call[:2] == ["scontrol", "requeue"] for call in calls)
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o077 == 0, "the token is for its owner alone"


def test_slurm_before_the_time_is_up_stops_rein_alone_and_queues_again(tmp_path: Path) -> None:
    slurm = Slurm(tmp_path)
    script = slurm.start("endless")
    assert comes((tmp_path / "said.up").is_file)
    script.send_signal(signal.SIGTERM)  # --signal=B:TERM@120: the script gets it, nobody else
    assert script.wait(timeout=600) == 130
    assert slurm.calls()[-1] == ["scontrol", "requeue", "7"]
