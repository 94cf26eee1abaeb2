"""A whole campaign: one undisturbed sweep to compare with, one cluster, and one disturbed sweep after another."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from rein.data import toy
from rein.ledger import Run
from tests.faults import verdict
from tests.faults.kinds import STRIKES
from tests.faults.nodes import Nodes
from tests.faults.plan import Fault, Planned
from tests.faults.sweep import LEASE, Disturbed, environment, question
from tests.faults.tracker import Tracker
from tests.faults.traps import Traps

INSIDE = Path(__file__).parent / "inside"
ROOT = Path(__file__).parents[2]
#: Bytes of the disk that a sweep gets where it is to be filled.
DISK = 40 << 20
#: Seconds that processes are given to be gone, once nothing is left to do.
GONE = 120.0


#: Sweeps beyond those that were drawn, for faults that did not find their moment in these.
MORE = 4


class Campaign:
    """Runs disturbed sweeps in a folder; `again` is the command that repeats it."""

    def __init__(self, folder: Path, again: str) -> None:
        self.folder, self.again = folder, again
        self.began = time.monotonic()
        self.data, self.calm = folder / "data", folder / "calm"
        self.tried: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.missed: list[Fault] = []
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self.variables = {
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.scratch),
            "RAY_TMPDIR": str(folder),
            "PYTHONPATH": f"{INSIDE}:{ROOT}",
            "REIN_FAULTS": str(folder / "inside"),
            "REIN_LEASE_SECONDS": str(LEASE),
        }
        for key in ("MLFLOW_TRACKING_URI", "REIN_RUNS", "REIN_DATA", "RAY_ADDRESS"):
            os.environ.pop(key, None)

    def run(self, sweeps: Sequence[Planned]) -> bool:
        """Run all sweeps; whether every fault was survived."""
        self._prepare()
        traps = Traps(self.folder / "inside")
        os.environ.update(self.variables)  # for what this process starts: the tracker's servers
        cluster = Nodes(self.variables)
        self.say(f"the cluster is up: {cluster.address}")
        try:
            for plan in sweeps:
                self._one(plan, cluster, traps)
            number = max((plan.number for plan in sweeps), default=0)
            for more in range(1, 1 + MORE):  # faults whose moment did not come have a sweep of their own
                again, self.missed = self.missed, []
                if again:
                    self._one(Planned(number + more, tuple(again[:3])), cluster, traps)
                    self.missed += again[3:]
        finally:
            cluster.close()
        left = list(self._orphans(set))
        for process in left:
            self.say(f"WRONG: left over after the cluster was stopped: {process}")
        return not left and self.survived == self.tried

    def table(self) -> str:
        """Kinds with how often each was tried and survived."""
        width = max(map(len, self.tried), default=4)
        lines = [f"{'kind':<{width}}  tried  survived"]
        lines += [
            f"{kind:<{width}}  {number:5}  {self.survived[kind]:8}" for kind, number in sorted(self.tried.items())
        ]
        lines.append(f"{'all':<{width}}  {self.tried.total():5}  {self.survived.total():8}")
        if self.missed:
            lines.append(f"never came to its moment, not counted: {'; '.join(map(str, self.missed))}")
        return "\n".join([*lines, f"{self.again}: {time.monotonic() - self.began:.0f} s"])

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f}  {text}", flush=True)

    def remove(self) -> None:
        """Delete all that the campaign wrote."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # ----------------------------------------------------------------

    def _prepare(self) -> None:
        """Draw the data once, and run the sweep that nothing befalls, one run after another in one process."""
        toy.TRAIN_IMAGES, toy.VAL_IMAGES = 7, 2
        for style in ("game", "day"):
            toy.ensure(self.data / "toy", style)
        sweep = question(self.calm)
        command = [sys.executable, "-c", "from rein.cli import main; main()", "sweep", str(sweep)]
        calm = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            **environment(self.data, self.calm / "runs"),
        }
        options = ("--executor", "local", "--no-track", "--device", "cpu")
        done = subprocess.run([*command, *options], env=calm, capture_output=True, text=True)
        states = Counter(run.state for run in verdict.runs(self.calm / "runs"))
        if states != {"done": 6, "diverged": 1}:
            raise RuntimeError(f"the undisturbed sweep went wrong: {states}\n{done.stderr}")
        self.say("the undisturbed sweep is done")

    def _one(self, plan: Planned, cluster: Nodes, traps: Traps) -> None:
        began = time.monotonic()
        folder = self.folder / f"sweep{plan.number}"
        self.say(f"sweep {plan.number}: {', '.join(fault.kind for fault in plan.faults)}")
        cluster.fill()
        (folder / "runs").mkdir(parents=True)
        full = plan.has("disk full")
        with _small_disk(folder / "runs") if full else contextlib.nullcontext():
            tracker = Tracker(folder, server=plan.has("tracker down"))
            sweep = Disturbed(plan, folder, self.data, cluster, traps, tracker)
            try:
                wrong = [wrong] if (wrong := sweep.drive(STRIKES, self.say)) else []
                if not wrong:
                    wrong = list(self._wrong(sweep, cluster, traps))
            finally:
                sweep.stop()
                tracker.kill()
        befallen = [fault for fault, _ in sweep.befallen]
        self.missed += [fault for fault in plan.faults if fault not in befallen]
        self.tried.update(fault.kind for fault in befallen)
        if not wrong:
            self.survived.update(fault.kind for fault in befallen)
        for line in wrong:
            self.say(f"  WRONG: {line}")
        if wrong:
            self.say(f"  repeat it: {self.again} --sweep {plan.number}")
        said = "NOT SURVIVED" if wrong else "survived"
        self.say(f"  {said}: {sweep.again + 1} commands, {time.monotonic() - began:.0f} s")

    def _wrong(self, sweep: Disturbed, cluster: Nodes, traps: Traps) -> Iterator[str]:
        ids = list(sweep.states())
        yield from (
            f"orphan: {process}" for process in self._orphans(lambda: cluster.at_rest() | sweep.tracker.processes())
        )
        calm = self.calm / "runs"
        short = {id for id in ids if Run(sweep.runs / id).status().get("micro_batch")}
        yield from verdict.tables(sweep.file, sweep.runs, calm, sweep.folder / "report", short)
        yield from verdict.runs_equal(sweep.runs, calm, set(ids) - short)
        yield from verdict.runs_close(sweep.runs, calm, short)
        trace = traps.trace(sweep.runs)
        yield from verdict.once(trace, sweep.befallen)
        yield from verdict.leftovers(sweep.runs, self.scratch)
        if sweep.plan.has("diverging run"):
            yield from verdict.good_checkpoint(Run(sweep.runs / ids[-1]), trace)
        if sweep.plan.has("tracker down") or sweep.plan.has("tracker's store lost"):
            sweep.tracker.ready()
            sweep.sync()
        yield from verdict.tracked(sweep.tracker.file, sweep.runs, ids)

    def _orphans(self, rest: Callable[[], set[int]]) -> list[str]:
        """Processes of the campaign that should be gone: all but itself and a cluster at rest."""
        until = time.monotonic() + GONE
        while True:
            allowed = rest() | {os.getpid()}
            found = [process for process in self._processes() if process.pid not in allowed]
            if not found or time.monotonic() > until:
                return [_words(process) for process in found]
            time.sleep(0.2)

    def _processes(self) -> Iterator[psutil.Process]:
        """Whatever carries the campaign's variable: raylets, drivers, workers, servers, and what they started."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("REIN_FAULTS") == self.variables["REIN_FAULTS"]
                if (mine or self._registered(process)) and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def _registered(self, process: psutil.Process) -> bool:
        """Ray's agents overwrite their variables with a title; but each Python process has signed a register."""
        with contextlib.suppress(OSError):
            signed = (self.folder / "inside/processes" / str(process.pid)).read_text()
            return signed == Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        return False


def _words(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    return str(process.pid)


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "faults", str(folder)], check=True)
    try:
        yield
    finally:
        kept = folder.with_name("kept")
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
