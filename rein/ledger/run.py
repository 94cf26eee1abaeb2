"""One run of the ledger: its directory, and all that is read from it and written to it.

Every file is complete or absent (written beside and renamed), or only ever appended to, so a run killed at any
instant can be read and continued. Nothing here knows torch, Ray or MLflow.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rein import domain_files
from rein.config import ConfigError, Experiment, run_id
from rein.config_io import build, dump, read_yaml
from rein.ledger import plain_yaml
from rein.ledger.files import append, write_atomic
from rein.ledger.lease import Holder, Lease
from rein.ledger.states import GoneError, Request, State, Stopped

log = logging.getLogger(__name__)

#: Columns of scores.csv; one row a (checkpoint step, domain, class, metric).
SCORE_COLUMNS = ("step", "domain", "role", "class", "metric", "value")


#: Files that are replaced by whoever holds the run.
WORKERS = ("status.json", "traceback.txt", "environment.json", "scores.csv", "confusion.npz", "images.npz")

#: Lost processes in a row without a step of progress after which a run has failed.
LOSSES = 3
#: Seconds that a process which is being ended is given to write its checkpoint and let go of a run.
PATIENCE = 20.0


class Run:
    """One run's directory. Creating the object touches nothing; `create` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lease: Lease | None = None
        self._updating = threading.RLock()

    @property
    def id(self) -> str:
        return self.path.name

    @classmethod
    def create(cls, root: Path, experiment: Experiment) -> Run:
        """The run of an experiment, its directory made if it is new."""
        run = cls(root / run_id(experiment))
        run.path.mkdir(parents=True, exist_ok=True)
        if not (run.path / "experiment.yaml").is_file():
            run.keep_domains(experiment)
            write_atomic(run.path / "experiment.yaml", dump(experiment))
        return run

    # ---------------------------------------------------------------- reading

    def experiment(self) -> Experiment:
        """What was run; its domains need not be known here."""
        return build(Experiment, self.values(), str(self.path / "experiment.yaml"), to_run=False)

    def values(self) -> dict[str, Any]:
        """What was run as it was written down then: nested, unchecked, without what younger code has added."""
        path = self.path / "experiment.yaml"
        with suppress(OSError, UnicodeDecodeError):
            if values := plain_yaml.read(path.read_text(encoding="utf-8")):
                return values
        return read_yaml(path)

    @property
    def domains(self) -> Path:
        """Folder of copies of the files that describe its domains of one's own."""
        return self.path / "domains"

    def check_domains(self, experiment: Experiment, only: Iterable[str] | None = None) -> None:
        """Raise ConfigError where a domain of the run (or of `only` those) now means something else than to the run.

        A run without results takes the new definition.
        """
        named = dict.fromkeys((*experiment.data.sources, *experiment.data.targets))
        for name in named if only is None else filter(named.__contains__, only):
            file = domain_files.changed(name, self.domains)
            if file and (self.has_results or not domain_files.find_file(name)):
                raise ConfigError(
                    f"{self.path}: was run with another definition of {name} than {file}; give the changed domain "
                    f"another name, or remove the run's folder"
                )

    def status(self) -> dict[str, Any]:
        """The latest status; empty for a run that never started."""
        try:
            return json.loads((self.path / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def note(self, text: str) -> None:
        """Keep a warning with the run: what a worker logs on its node reaches nobody."""
        with self._updating:
            self.update(notes=[*self.status().get("notes", []), text])

    @property
    def state(self) -> State | None:
        return self.status().get("state")

    @property
    def is_unpacked(self) -> bool:
        """Whether it was not made here: its folder is packed results, without weights and pictures."""
        return self.status().get("unpacked", False)

    @property
    def has_results(self) -> bool:
        """Whether there is anything to go on from or to read."""
        return any((self.path / name).exists() for name in ("metrics.jsonl", "checkpoint"))

    def metrics(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Records appended to metrics.jsonl behind a byte offset, and the offset behind the last complete one.

        Of a step that was logged twice (the run was cut and went on from an earlier checkpoint) both records are
        here, the valid one last.
        """
        try:
            with open(self.path / "metrics.jsonl", "rb") as file:
                file.seek(offset)
                complete = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return [], offset
        records = json.loads(b"[" + complete[0].replace(b"\n", b",") + b"]")  # no string holds a line's end as it is
        return records, offset + len(complete[0]) + len(complete[1])

    def score_rows(self) -> list[dict[str, str]]:
        """The rows of scores.csv, as text; none before the first score."""
        try:
            with open(self.path / "scores.csv", newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []

    def commit(self) -> str | None:
        """The git commit of the code that made it, where that was recorded."""
        try:
            return (json.loads((self.path / "environment.json").read_text()).get("git") or {}).get("commit")
        except FileNotFoundError:
            return None

    def remarks(self) -> list[dict[str, Any]]:
        """What was recorded of files that were skipped or not read in full."""
        try:
            complete = (self.path / "remarks.jsonl").read_bytes().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in complete.splitlines()]

    # ---------------------------------------------------------------- writing

    @contextmanager
    def claimed(self, patience: float | None = None) -> Iterator[None]:
        """Work on the run alone; meanwhile what this object writes is written only while the run is still its own.

        Raises BusyError where another process holds the run after `patience` seconds; without a number, after
        `PATIENCE` seconds where that shows that it lives, or else when its lease is over (`rein.ledger.lease`).
        """
        lease = Lease(self.path / "lease")
        with lease.held(PATIENCE if patience is None else patience, strictly=patience is not None):
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def holder(self) -> Holder | None:
        """Who works on the run now, as far as this process has seen; None where nobody does. Waits for nothing."""
        return Lease(self.path / "lease").holder()

    def check_held(self) -> None:
        """Raise LostError where the run was claimed and another process may have taken it over since."""
        if self._lease is not None:
            self._lease.check()

    def ask_to_stop(self, state: State, why: str) -> None:
        """Ask whoever works on the run to end it as `state` at its next record or checkpoint, and to leave one."""
        write_atomic(self.path / "stop.json", json.dumps(asdict(Request(state, why))))

    def asked_to_stop(self) -> Request | None:
        """What this attempt was asked for."""
        try:
            return Request(**json.loads((self.path / "stop.json").read_text()))
        except FileNotFoundError:
            return None

    def start(self, **facts: Any) -> None:
        """Mark the run as running; counts the attempts, and those whose process was lost.

        Raises GoneError where that happened `LOSSES` times in a row and none got further than the ones before.
        """
        before = self.status()
        for name in ("traceback.txt", "stop.json"):
            (self.path / name).unlink(missing_ok=True)
        self._clear_up()
        if before.get("unpacked"):  # there is no checkpoint to go on from, so no number of it counts
            for name in ("metrics.jsonl", "scores.csv", "images.npz"):
                (self.path / name).unlink(missing_ok=True)
            facts["unpacked"] = False
        place = {"host": socket.gethostname(), "pid": os.getpid(), "attempt": before.get("attempt", 0) + 1}
        losses = _losses(before)
        self.update(state="running", started=time.time(), ended=None, error=None, notes=[], **place, **losses, **facts)
        if losses["lost"] >= LOSSES:
            raise GoneError(
                f"its process was lost {LOSSES} times in a row at step {losses['furthest']} or before, without a word: "
                f"mostly it is the system that ends a process which takes more memory than there is; give the run more "
                f"(fewer runs at once, fewer loader processes, a smaller crop or batch) and repeat the command"
            )

    def keep_domains(self, experiment: Experiment) -> None:
        """Keep copies of the files that describe the run's domains. Raises ConfigError as `check_domains`."""
        self.check_domains(experiment)
        if self.has_results:
            return
        for domain in dict.fromkeys((*experiment.data.sources, *experiment.data.targets)):
            for name, text in domain_files.copies(domain).items():
                self.domains.mkdir(parents=True, exist_ok=True)
                write_atomic(self.domains / name, text)

    def update(self, **facts: Any) -> None:
        """Merge facts into status.json."""
        with self._updating:
            self.check_held()
            write_atomic(self.path / "status.json", json.dumps({**self.status(), **facts}, indent=1))

    def finish(self, state: State, error: BaseException | None = None, **facts: Any) -> None:
        """Set the final state; of a failure the traceback is kept with the run, since a worker's node may vanish."""
        self.check_held()
        if error is not None and not isinstance(error, Stopped):
            with suppress(OSError):  # the state is what counts
                write_atomic(self.path / "traceback.txt", "".join(traceback.format_exception(error)))
        if state == "pruned":  # stays when a table takes the run to its end: it is what the search has spent on it
            steps = [record["step"] for record in self.metrics()[0]]
            facts["pruned_at"] = {"step": max(steps, default=0), "seconds": facts.get("seconds")}
        text = None if error is None else (str(error).strip() or type(error).__name__).splitlines()[0]
        self.update(state=state, ended=time.time(), error=text, **facts)

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock, which is one of this process's threads."""
        return {name: value for name, value in self.__dict__.items() if name != "_updating"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._updating = threading.RLock()

    def _clear_up(self) -> None:
        """Drop what a kill in the middle of a write left; so the next record begins a line of its own."""
        for name in WORKERS:  # not what a driver may be writing just now
            for leftover in self.path.glob(f".{name}.*"):
                leftover.unlink(missing_ok=True)
        for path in (self.path / "metrics.jsonl", self.path / "remarks.jsonl"):
            if path.is_file():
                os.truncate(path, path.read_bytes().rfind(b"\n") + 1)

    def append(self, record: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl."""
        self.check_held()
        append(self.path / "metrics.jsonl", json.dumps(record) + "\n")

    def remark(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records to remarks.jsonl."""
        self.check_held()
        append(self.path / "remarks.jsonl", "".join(json.dumps(record) + "\n" for record in records))

    def environment(self, facts: Mapping[str, Any], resumed: bool) -> None:
        """Write environment.json; say so where the steps that are gone on from had other data or weights."""
        path = self.path / "environment.json"
        before = json.loads(path.read_text()) if resumed and path.is_file() else facts
        for kind in ("data", "weights", "threads"):
            if before.get(kind) != facts.get(kind):
                log.warning("%s: the %s changed since this run began; its numbers mix both", self.id, kind)
        write_atomic(path, json.dumps(facts, indent=1))

    def scores(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put scores into scores.csv; rows of a step already there are replaced (a resumed run scores it again)."""
        self.check_held()
        new = [dict(row) for row in rows]
        steps = {str(row["step"]) for row in new}
        kept: list[dict[Any, Any]] = [row for row in self.score_rows() if row["step"] not in steps]
        text = io.StringIO()
        writer = csv.DictWriter(text, SCORE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + new)
        write_atomic(self.path / "scores.csv", text.getvalue())


def _losses(before: Mapping[str, Any]) -> dict[str, int]:
    """How often in a row the run's process was lost at no later a step than the one before, and the latest step."""
    step, furthest = before.get("step", 0), before.get("furthest", 0)
    if before.get("state") != "running":  # an end of its own, and whoever starts it again has seen it
        return {"lost": 0, "furthest": 0}
    return {"lost": 1 if step > furthest else before.get("lost", 0) + 1, "furthest": max(step, furthest)}
