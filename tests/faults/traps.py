"""The campaign's side of traps: files that a process which comes by takes, says who it is, and waits to be let go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.faults.plan import Fault


@dataclass(frozen=True)
class Caught:
    """A process that waits in a trap."""

    id: str
    pid: int
    #: The run's folder; empty for a driver.
    run: str
    step: int


class Traps:
    """The folder that processes of a campaign look into (`REIN_FAULTS`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("traps", "sprung", "go", "processes"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.set = 0

    def lay(self, fault: Fault) -> str:
        """Lay a trap; returns its name."""
        self.set += 1
        (self.folder / "traps" / f"{fault.phase}@{fault.step}@{self.set}").touch()
        return str(self.set)

    def caught(self, id: str) -> Caught | None:
        """Who sits in a trap, once somebody does."""
        try:
            told = json.loads((self.folder / "sprung" / id).read_text())
        except FileNotFoundError:
            return None
        return Caught(id, told["pid"], told["run"], told["step"])

    def release(self, id: str, word: str = "on") -> None:
        """Let the process go on, told `word`."""
        temporary = self.folder / "go" / f".{id}"
        temporary.write_text(word)
        temporary.rename(self.folder / "go" / id)

    def clear(self) -> None:
        """Take away the traps that nobody came to."""
        for path in (self.folder / "traps").iterdir():
            path.unlink(missing_ok=True)

    def trace(self, runs: Path) -> list[dict]:
        """What processes did to the runs of a folder, in the order of time."""
        try:
            lines = (self.folder / "trace.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        events = [json.loads(line) for line in lines]
        return sorted((one for one in events if one["run"].startswith(f"{runs}/")), key=lambda event: event["t"])
