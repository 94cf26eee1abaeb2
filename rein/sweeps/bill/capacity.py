"""Where runs would execute: what this machine has, asked without torch, and how long a list of runs takes there."""

from __future__ import annotations

import heapq
import itertools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rein.config import Resources
from rein.sweeps.resources import Node


@dataclass(frozen=True)
class Device:
    """A GPU: its name, as torch has it, and its memory in MiB."""

    name: str
    memory_mib: int


def this_machine() -> tuple[Node, list[Device]]:
    """CPUs that this process may use and GPUs that a run would see."""
    devices = gpus()
    return Node(float(len(os.sched_getaffinity(0))), float(len(devices))), devices


def gpus() -> list[Device]:
    """NVIDIA's own tool knows them in a tenth of the time that torch takes to be imported."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):  # the driver is not there, or does not answer
        return []
    rows = [line.rpartition(", ") for line in said.strip().splitlines()]
    return _visible([Device(name, int(memory)) for name, _, memory in rows if memory.isdigit()])


def _visible(devices: list[Device]) -> list[Device]:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return devices
    numbers = [word for word in chosen.split(",") if word.strip()]
    if all(word.strip().isdigit() for word in numbers):
        return [devices[int(word)] for word in numbers if int(word) < len(devices)]
    return devices[: len(numbers)]  # by their own ids


def memory_mib() -> int:
    """The machine's main memory."""
    import psutil

    return psutil.virtual_memory().total >> 20


def wall_seconds(runs: Mapping[Resources, Sequence[float]], nodes: Sequence[Node], jobs: int | None) -> float:
    """Seconds until the last of the runs has ended: the longest first, each as soon as nodes have room for it.

    `runs`: seconds of each run by what it may use. What fits nowhere is left out. At most `jobs` run at once.
    """
    waiting = {needs: sorted(seconds) for needs, seconds in runs.items()}
    free = [[node.cpu, node.gpu] for node in nodes]
    running: list[tuple[float, int, Resources, list[int]]] = []
    number = itertools.count()  # where two end at the same time, the one that began first comes first
    now = 0.0
    while True:
        while len(running) < (jobs or len(running) + 1):
            for needs in sorted((one for one in waiting if waiting[one]), key=lambda one: -waiting[one][-1]):
                if (places := _place(needs, free)) is not None:
                    heapq.heappush(running, (now + waiting[needs].pop(), next(number), needs, places))
                    break
            else:
                break
        if not running:
            return now
        now, _, needs, places = heapq.heappop(running)
        for place in places:
            free[place][0] += needs.cpu
            free[place][1] += float(needs.gpu)


def _place(needs: Resources, free: list[list[float]]) -> list[int] | None:
    """The nodes that a run's workers go to, what they need taken off; None where there is no room for all of them."""
    places: list[int] = []
    for index, (cpu, gpu) in enumerate(free):
        while len(places) < needs.workers and cpu >= needs.cpu - 1e-6 and gpu >= float(needs.gpu) - 1e-6:
            places.append(index)
            cpu, gpu = cpu - needs.cpu, gpu - float(needs.gpu)
    if len(places) < needs.workers:
        return None
    for index in places:
        free[index][0] -= needs.cpu
        free[index][1] -= float(needs.gpu)
    return places
