"""The ledger: one directory a run, on disk, the truth of what was run and what came out.

Every file is complete or absent (written beside and renamed), or only ever appended to, so a run killed at any
instant can be read and continued. Nothing here knows torch, Ray or MLflow.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import logging
import os
import socket
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from rein import domain_files
from rein.config import ConfigError, Experiment, nearest, run_id
from rein.config_io import build, dump, read_yaml

log = logging.getLogger(__name__)

State = Literal["running", "done", "pruned", "failed", "oom", "diverged", "preempted", "imported"]

#: States that a run is not taken up from again.
FINAL = ("done", "pruned")

#: Columns of scores.csv; one row a (checkpoint step, domain, class, metric).
SCORE_COLUMNS = ("step", "domain", "role", "class", "metric", "value")


#: Seconds that a killed process is given to let go of a run.
PATIENCE = 10.0


class BusyError(RuntimeError):
    """Another process works on the run; the message says which and where."""


class Run:
    """One run's directory. Creating the object touches nothing; `create` does."""

    def __init__(self, path: Path) -> None:
        self.path = path

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
        path = self.path / "experiment.yaml"
        return build(Experiment, read_yaml(path), str(path), to_run=False)

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
        self.update(notes=[*self.status().get("notes", []), text])

    @property
    def state(self) -> State | None:
        return self.status().get("state")

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
        return [json.loads(line) for line in complete[0].splitlines()], offset + len(complete[0]) + len(complete[1])

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
        """Work on the run alone; a process that is killed lets go by itself, if not at once.

        Raises BusyError where another one still holds the run after `patience` seconds (`PATIENCE` by default).
        """
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        with open(self.path / ".lock", "w") as file:
            while not _lock(file):
                if time.monotonic() > deadline:
                    status = self.status()
                    who = f"process {status.get('pid', '?')} on {status.get('host', 'another machine')}"
                    raise BusyError(f"{self.id}: {who} works on this run; wait for it, or stop it")
                time.sleep(0.1)
            yield

    def start(self, **facts: Any) -> None:
        """Mark the run as running; counts the attempts."""
        attempt = self.status().get("attempt", 0) + 1
        (self.path / "traceback.txt").unlink(missing_ok=True)
        self._drop_partial_record()
        place = {"host": socket.gethostname(), "pid": os.getpid(), "attempt": attempt}
        self.update(state="running", started=time.time(), ended=None, error=None, notes=[], **place, **facts)

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
        write_atomic(self.path / "status.json", json.dumps({**self.status(), **facts}, indent=1))

    def finish(self, state: State, error: BaseException | None = None) -> None:
        """Set the final state; of a failure the traceback is kept with the run, since a worker's node may vanish."""
        if error is not None:
            write_atomic(self.path / "traceback.txt", "".join(traceback.format_exception(error)))
        text = None if error is None else (str(error).strip() or type(error).__name__).splitlines()[0]
        self.update(state=state, ended=time.time(), error=text)

    def _drop_partial_record(self) -> None:
        """Cut off what a kill in the middle of an `append` left, so that the next record begins a line of its own."""
        for path in (self.path / "metrics.jsonl", self.path / "remarks.jsonl"):
            if path.is_file():
                os.truncate(path, path.read_bytes().rfind(b"\n") + 1)

    def append(self, record: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")

    def remark(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records to remarks.jsonl."""
        with open(self.path / "remarks.jsonl", "a") as file:
            file.write("".join(json.dumps(record) + "\n" for record in records))

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
        new = [dict(row) for row in rows]
        steps = {str(row["step"]) for row in new}
        path = self.path / "scores.csv"
        kept: list[dict[Any, Any]] = []
        if path.is_file():
            with open(path, newline="") as file:
                kept = [row for row in csv.DictReader(file) if row["step"] not in steps]
        text = io.StringIO()
        writer = csv.DictWriter(text, SCORE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept + new)
        write_atomic(path, text.getvalue())


def runs(root: Path) -> Iterator[Run]:
    """Every run below a runs folder, in the order of their ids."""
    for path in sorted(root.glob("*/experiment.yaml")):
        yield Run(path.parent)


def find(root: Path, name: str) -> Run:
    """A run by its folder, its id, or the beginning of its id."""
    if (Path(name) / "experiment.yaml").is_file():
        return Run(Path(name).absolute())
    known = {run.id: run for run in runs(root)}
    matches = [run for id, run in known.items() if id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    problem = "no run of that id" if not matches else f"{len(matches)} runs begin so"
    raise ConfigError(
        f"{name}: {problem} in {root}{nearest(name, known)}; `rein list runs` prints them, --runs names another folder"
    )


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks: there nobody is kept from starting a run twice
        log.debug("%s: cannot be locked (%s)", file.name, error)
    return True


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)
