"""Inside every process of the campaign: a trace of what it does to runs, traps that hold it still, a shifted clock.

All of it is put around the package's functions from outside, when their module is imported; the package knows nothing.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(os.environ["REIN_FAULTS"])
#: Seconds that a process waits in a trap for the campaign, which may have died.
HELD = 120.0

now: Callable[[], float] = time.monotonic  # one clock for all processes of a machine, and never shifted


class Work:
    """What the process works on: one run at a time, in one thread (on Ray not the main one)."""

    run = ""
    attempt = 0
    step = 0
    thread = 0


def install() -> None:
    """Enter the process into the register, shift its clock, and wait for the package's modules."""
    (HERE / "processes" / f"{os.getpid()}").write_text(started(os.getpid()))
    if skew := float(os.environ.get("REIN_FAULTS_SKEW", "0")):
        clock, fine = time.time, time.time_ns
        time.time = lambda: clock() + skew
        time.time_ns = lambda: fine() + int(skew * 1e9)
    sys.meta_path.insert(0, _Wrapping())


def started(pid: int) -> str:
    """The kernel's time of a process's start: with it a pid means one process for ever."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def trace(event: str, **facts: Any) -> None:
    """Append one line to the campaign's trace: short enough to be written whole."""
    line = {"t": now(), "pid": os.getpid(), "event": event, "run": Work.run, "attempt": Work.attempt, **facts}
    file = os.open(HERE / "trace.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(line).encode() + b"\n")
    os.close(file)


def reach(phase: str) -> str:
    """Come to a point of the work where a trap may lie: then stay in it until the campaign lets go, saying how."""
    for name in os.listdir(HERE / "traps"):  # noqa: PTH208 - at every step of every run
        wanted, step, id = name.split("@")
        if wanted != phase or Work.step < int(step):
            continue
        try:
            (HERE / "traps" / name).rename(HERE / "sprung" / f".{id}")
        except FileNotFoundError:  # another process was faster
            continue
        told = {"pid": os.getpid(), "run": Work.run, "step": Work.step, "phase": phase}
        (HERE / "sprung" / f".{id}").write_text(json.dumps(told))
        (HERE / "sprung" / f".{id}").rename(HERE / "sprung" / id)
        go, until = HERE / "go" / id, now() + HELD
        while now() < until:
            if go.exists():
                return go.read_text()
            time.sleep(0.005)
    return ""


def _working() -> bool:
    return threading.get_ident() == Work.thread


def _around(owner: Any, name: str, before: Callable[..., None], after: Callable[..., None]) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*args: Any, **options: Any) -> Any:
        before(*args, **options)
        result = inner(*args, **options)
        after(result, *args, **options)
        return result

    setattr(owner, name, outer)


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _ledger(module: ModuleType) -> None:
    def began(_: None, run: Any, **facts: Any) -> None:
        Work.run, Work.attempt, Work.step = str(run.path), run.status()["attempt"], 0
        Work.thread = threading.get_ident()
        trace("start")
        reach("start")

    def appends(run: Any, record: dict[str, Any]) -> None:
        reach("record")

    def appended(_: None, run: Any, record: dict[str, Any]) -> None:
        Work.step = record["step"]
        trace("record", step=Work.step, kind="loss" if "loss" in record else "score")

    def finishes(run: Any, state: str, *_: Any, **__: Any) -> None:
        if _working() and state == "done":
            reach("end")

    def finished(_: None, run: Any, state: str, *rest: Any, **facts: Any) -> None:
        trace("finish", state=state, run=str(run.path))

    _around(module.Run, "start", _nothing, began)
    _around(module.Run, "append", appends, appended)
    _around(module.Run, "finish", finishes, finished)

    replace = os.replace

    def replacing(source: Any, target: Any, **options: Any) -> None:
        if _working() and Path(source).name.startswith("."):
            reach("rename")
        replace(source, target, **options)

    os.replace = replacing


def _checkpoint(module: ModuleType) -> None:
    def saved(_: None, folder: Path, place: Any, *rest: Any, **options: Any) -> None:
        trace("saved", step=place.step)

    def resumed(place: Any, *rest: Any, **options: Any) -> None:
        Work.step = place.step
        trace("resumed", step=place.step)

    def written(*_: Any, **__: Any) -> None:
        if _working():
            reach("checkpoint")

    _around(module, "save", _nothing, saved)
    _around(module, "resume", _nothing, resumed)
    _around(module, "write_tensors", _nothing, written)


def _evaluation(module: ModuleType) -> None:
    inner = module.evaluate

    @functools.wraps(inner)
    def evaluate(*args: Any, **options: Any) -> Any:
        for score in inner(*args, **options):
            reach("evaluation")
            yield score

    module.evaluate = evaluate


def _segmenter(module: ModuleType) -> None:
    def enters(model: Any, *_: Any, **__: Any) -> None:
        if model.training and reach("step") == "oom":
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (said the fault campaign)")

    _around(module.Segmenter, "forward", enters, _nothing)


def _watch(module: ModuleType) -> None:
    _around(module.Watch, "__enter__", lambda *_: reach("driver begins") and None, _nothing)


def _tracking(module: ModuleType) -> None:
    _around(module.Tracker, "sync", lambda *_, **__: reach("driver copies") and None, _nothing)


WRAPPED = {
    "rein.ledger.run": _ledger,
    "rein.training.checkpoint": _checkpoint,
    "rein.evaluation": _evaluation,
    "rein.models.segmenter": _segmenter,
    "rein.sweeps.watching.watch": _watch,
    "rein.tracking.tracker": _tracking,
}


class _Wrapping(importlib.abc.MetaPathFinder):
    """Finds the package's modules as Python does, and wraps their functions as soon as they are there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in WRAPPED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                WRAPPED[fullname](module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
