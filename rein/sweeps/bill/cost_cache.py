"""Figures that were found out beforehand, kept in `runs/probes.json`: what a step costs, and what probes measured.

A count is kept by the network's shape, a probe by the run's shape and the device, both for the code that they were
found out with: with other code they are found out again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import rein
from rein.config import Experiment, Machine, run_id, to_dict
from rein.ledger import write_atomic
from rein.sweeps.bill.timings import Timing

log = logging.getLogger(__name__)

#: What is heard of how far things are: done, of how many.
Progress = Callable[[int, int], None]


class CostCache:
    """The file, read once and written after every figure that is new."""

    def __init__(self, runs: Path) -> None:
        self.file = runs / "probes.json"
        try:
            kept = json.loads(self.file.read_text())
        except (OSError, ValueError):
            kept = {}
        same = kept.get("code") == code()
        self._counted: dict[str, dict[str, Any]] = kept.get("counted", {}) if same else {}
        self._probed: dict[str, dict[str, Any]] = kept.get("probed", {}) if same else {}

    def cost(self, network: Experiment) -> dict[str, Any] | None:
        """`StepCost` of a network as a mapping; `{"error": ...}` where it cannot be built."""
        return self._counted.get(run_id(network))

    def probed(self, shape: Experiment, device: str) -> dict[str, Any] | None:
        """`Timing` of a shape on a device as a mapping; `{"error": ...}` where it could not be tried out."""
        return self._probed.get(_key(shape, device))

    def timing(self, shape: Experiment, device: str) -> Timing | None:
        """The timing that a probe measured."""
        found = self.probed(shape, device)
        return Timing(**found) if found and "error" not in found else None

    def count(self, networks: Iterable[Experiment], at_once: int, progress: Progress) -> None:
        """Count the networks that are not counted yet, in some processes at once."""
        missing = [network for network in networks if run_id(network) not in self._counted]
        shares = [missing[start::at_once] for start in range(min(at_once, len(missing)))]
        answers = _side_by_side([_answers([_job("count", one) for one in share]) for share in shares], shares)
        for number, (network, answer) in enumerate(answers, 1):
            self._counted[run_id(network)] = answer
            self._keep()
            progress(number, len(missing))

    def probe(
        self, wanted: Iterable[tuple[Experiment, Machine]], device: str, at_once: int, progress: Progress
    ) -> None:
        """Try out the runs whose shape was not tried out here yet, each in a process of its own."""
        missing = [(one, on) for one, on in wanted if "step" not in (self.probed(one, device) or {})]
        alone = [_answers([_job("probe", one, on)]) for one, on in missing]
        answers = _side_by_side(alone, [[one] for one, _ in missing], at_once)
        for number, (of, answer) in enumerate(answers, 1):
            self._probed[_key(of, device)] = {**answer, **({} if "error" in answer else {"device": device})}
            self._keep()
            progress(number, len(missing))

    def _keep(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            kept = {"code": code(), "counted": self._counted, "probed": self._probed}
            write_atomic(self.file, json.dumps(kept, indent=1))
        except OSError as error:
            log.debug("%s cannot be kept: %s", self.file, error)


def _key(shape: Experiment, device: str) -> str:
    return f"{run_id(shape)} on {device}"


def _job(kind: str, experiment: Experiment, machine: Machine | None = None) -> dict[str, Any]:
    return {"kind": kind, "experiment": to_dict(experiment), "machine": machine and machine.plain()}


def _answers(jobs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What a process of `probing` answers, job by job; where it dies (out of memory), that is the answer."""
    command = [sys.executable, "-m", "rein.sweeps.bill.probing"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for job in jobs:
            with suppress(BrokenPipeError):  # it died at the job before
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.flush()
            line = process.stdout.readline()
            yield json.loads(line) if line else {"error": f"the process ended with status {process.wait()}"}
        process.stdin.close()


def _side_by_side(
    streams: Sequence[Iterator[dict[str, Any]]], of: Sequence[Sequence[Experiment]], at_once: int | None = None
) -> Iterator[tuple[Experiment, dict[str, Any]]]:
    """The answers of several processes as they come, each with what it is the answer to."""
    arrived: SimpleQueue[tuple[Experiment, dict[str, Any]]] = SimpleQueue()

    def read(stream: Iterator[dict[str, Any]], experiments: Sequence[Experiment]) -> None:
        for experiment, answer in zip(experiments, stream, strict=False):
            arrived.put((experiment, answer))

    with ThreadPoolExecutor(max_workers=at_once or max(1, len(streams))) as threads:
        for stream, experiments in zip(streams, of, strict=True):
            threads.submit(read, stream, experiments)
        for _ in range(sum(map(len, of))):
            yield arrived.get()


@cache
def code() -> str:
    """A digest of what decides a network's cost: our models, and the versions that they stand on."""
    models = Path(rein.__file__).parent / "models"
    files = [*sorted(models.glob("*.py")), Path(__file__).with_name("step_cost.py")]
    texts = [file.read_bytes() for file in files]
    versions = [importlib.metadata.version(name).encode() for name in ("torch", "timm")]
    return hashlib.sha256(b"\0".join([*texts, *versions])).hexdigest()[:16]
