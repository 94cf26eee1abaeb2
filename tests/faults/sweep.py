"""One sweep that is driven to its end as a person would, while faults befall it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from rein.ledger import Run
from tests.conftest import TINY
from tests.faults.nodes import Nodes
from tests.faults.plan import Fault, Planned
from tests.faults.tracker import Tracker
from tests.faults.traps import Caught, Traps

STEPS = 40
EXPERIMENT = {**TINY, "steps": STEPS, "evaluation": {**TINY["evaluation"], "every": 25}}
#: A weight decay that multiplies all weights at each step diverges after some of them: by itself, every time.
DIVERGING = {"optim.weight_decay": 4000, "tuning.rank": 2, "seed": 2}
VARY = {"tuning.rank": [2, 3], "seed": [0, 1, 2]}

#: Seconds until a lease that shows no sign of life expires.
LEASE = 4
#: Seconds that a sweep with its faults may take.
LIMIT = 900
#: Kinds after which a person gives the command again: it was ended, or said that the disk is full.
ENDING = ("driver killed", "driver terminated", "driver interrupted", "disk full")

Strike = Callable[["Disturbed", Fault, Caught], str | None]


def question(folder: Path, diverging: bool = True) -> Path:
    """Write the sweep's files into a folder: six runs, and if wanted one that diverges."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    points = {"good": {}, **({"diverging": DIVERGING} if diverging else {})}
    sweep = {"experiment": str(folder / "tiny.yaml"), "points": points, "vary": VARY}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    return folder / "sweep.yaml"


def environment(data: Path, runs: Path) -> dict[str, str]:
    """What a driver is told by variables beside the campaign's own."""
    return {"REIN_DATA": str(data), "REIN_RUNS": str(runs), "REIN_CHECKPOINT_SECONDS": "0.1"}


class Disturbed:
    """A sweep on the cluster, its drivers, and what is still to happen to them."""

    def __init__(self, plan: Planned, folder: Path, data: Path, cluster: Nodes, traps: Traps, tracker: Tracker) -> None:
        self.plan, self.folder, self.cluster, self.traps, self.tracker = plan, folder, cluster, traps, tracker
        self.runs = folder / "runs"
        self.file = question(folder, plan.has("diverging run"))
        self.environment = {**cluster.environment, **environment(data, self.runs), **tracker.environment}
        self.drivers: list[subprocess.Popen[bytes]] = []
        self.later: list[tuple[float, Callable[[], Any]]] = []
        self.commands = 0
        #: How often a person had to give it again, since it had ended before the sweep had.
        self.again = 0
        #: What befell it, as opposed to what was planned.
        self.befallen: list[tuple[Fault, Caught]] = []

    def command(self, words: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[bytes]:
        """Give the sweep's command; a second one while the first still runs is a second driver."""
        command = [sys.executable, "-c", "from rein.cli import main; main()", "sweep", str(self.file)]
        self.commands += 1
        log = open(self.folder / f"driver{self.commands}.log", "wb")  # noqa: SIM115 - the process's own
        place = ("--address", self.cluster.address, *words)
        driver = subprocess.Popen(
            [*command, *place], env={**self.environment, **variables}, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self.drivers.append(driver)
        return driver

    def sync(self) -> None:
        """Have MLflow's view filled in, as a person does whose tracker was away."""
        command = [sys.executable, "-c", "from rein.cli import main; main()", "sync"]
        with open(self.folder / "sync.log", "wb") as log:
            subprocess.run(command, env=self.environment, stdout=log, stderr=log, check=False)

    def alive(self) -> list[subprocess.Popen[bytes]]:
        """Drivers that have not ended."""
        return [driver for driver in self.drivers if driver.poll() is None]

    def after(self, seconds: float, action: Callable[[], Any]) -> None:
        """Have something happen in a while; nothing of it is left out when the sweep ends sooner."""
        self.later.append((time.monotonic() + seconds, action))

    def states(self) -> dict[str, str | None]:
        """Run id -> state, of all that are planned."""
        from rein.config import Sweep
        from rein.config_io import load
        from rein.sweeps.plan import expand

        return {plan.id: Run(self.runs / plan.id).state for plan in expand(load(Sweep, str(self.file), []))}

    def drive(self, strikes: dict[str, Strike], say: Callable[[str], None]) -> str:
        """Drive it to its end; returns what is wrong: empty where every run came to its end."""
        until = time.monotonic() + LIMIT
        waiting, laid = list(self.plan.faults), ""
        self.command()
        while time.monotonic() < until:
            self._due()
            if not laid and waiting:
                laid = self.traps.lay(waiting[0])
            if laid and (caught := self.traps.caught(laid)):
                fault = waiting.pop(0)
                say(f"  {fault}: process {caught.pid}, {Path(caught.run).name or 'driver'}, step {caught.step}")
                self.traps.release(laid, strikes[fault.kind](self, fault, caught) or "on")
                self.befallen.append((fault, caught))
                laid = ""
            if not self.alive():
                while self.later:
                    self._due()
                    time.sleep(0.05)
                if self.settled():
                    self.traps.clear()
                    return self._told()
                if self.commands >= 3 + 2 * len(self.plan.faults):
                    return f"after {self.commands} commands: {self.states()}"
                self.again += 1
                say(f"  the same command again (it ended with {self.drivers[-1].returncode})")
                self.command()
            time.sleep(0.02)
        self.traps.clear()
        return f"not at its end after {LIMIT} s: {self.states()}"

    def _told(self) -> str:
        """What is wrong with how the drivers ended: a command more than was due, or not as one that was interrupted."""
        befallen = [fault.kind for fault, _ in self.befallen]
        codes = [driver.returncode for driver in self.drivers]
        if self.again > sum(kind in ENDING for kind in befallen):
            return f"the command was to be given again {self.again} times"
        if not set(codes) <= {0, 1, 130, -signal.SIGKILL}:
            return f"drivers ended with {codes}"
        asked = any(kind in ("driver terminated", "driver interrupted") for kind in befallen)
        return "" if asked or 130 not in codes else f"drivers ended with {codes}, though nobody interrupted them"

    def settled(self) -> bool:
        """Whether every run came to the end that is meant for it."""
        ends = list(self.states().values())
        wanted = ["done"] * len(ends)
        if self.plan.has("diverging run"):
            wanted[-1] = "diverged"
        return sorted(map(str, ends)) == sorted(wanted)

    def stop(self) -> None:
        """End what is still there of the drivers."""
        for driver in self.alive():
            driver.kill()
            driver.wait()

    def _due(self) -> None:
        ready = [entry for entry in self.later if entry[0] <= time.monotonic()]
        for entry in ready:
            self.later.remove(entry)
            entry[1]()
