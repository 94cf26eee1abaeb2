"""MLflow as a view of the ledger: one writer, the driver, that copies what is new; the only file that knows MLflow.

Workers never speak to the tracker, so nothing of a run depends on it: a server that is away costs nothing, and what
it missed is filled in by the next `sync`. What was copied so far stands in the run's `mlflow.json`, and so does the
store that it was copied to: a store that was lost and made anew is another one, and is filled from the beginning.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rein.config import flatten
from rein.ledger import Run, write_atomic
from rein.ledger.lease import BusyError, Lease

log = logging.getLogger(__name__)

EXPERIMENT = "rein"
#: How the ledger's states read in MLflow.
STATUS = {
    "done": "FINISHED", "imported": "FINISHED", "pruned": "FINISHED", "preempted": "KILLED", "running": "RUNNING",
}  # fmt: skip
#: MLflow takes at most this many metrics in one call.
BATCH = 1000
#: Seconds to wait for another process that creates the store, or a run in it.
PATIENCE = 120.0
SQLITE = "sqlite:///"
#: The hidden folder, beside the runs or a store, in which processes that copy take turns.
PLACE = ".mlflow"
#: A server that is away must cost seconds, not the minutes that MLflow would try again for.
HASTE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def default_uri(runs: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else an SQLite file beside the runs; always absolute."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / 'mlflow.db').absolute()}"


def is_copied(run: Run, uri: str) -> bool:
    """Whether MLflow at `uri` was given all of a run, as far as the run's own note says; asks no server."""
    note = _note(run)
    return note["uri"] == uri and note["final"] and note["attempt"] == run.status().get("attempt")


#: What was copied of a run: to where, how far, and what is shown of it there.
NOTHING: dict[str, Any] = {
    "uri": None, "store": None, "run_id": None, "parent": None, "offset": 0, "final": False, "attempt": 0,
    "state": None, "facts": [],
}  # fmt: skip


def _note(run: Run) -> dict[str, Any]:
    try:
        return {**NOTHING, **json.loads((run.path / "mlflow.json").read_text())}
    except (FileNotFoundError, json.JSONDecodeError):
        return dict(NOTHING)


def prepare() -> None:
    """Import MLflow, which takes seconds, on a busy machine many of them, that no server is to blame for."""
    for key, value in HASTE.items():
        os.environ.setdefault(key, value)
    import mlflow  # noqa: F401

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)


class Tracker:
    """Copies runs of one sweep (or a single run) from the ledger to MLflow as children of the sweep's parent run."""

    def __init__(self, uri: str, runs: Path) -> None:
        prepare()
        from mlflow import MlflowClient

        runs.mkdir(parents=True, exist_ok=True)
        self.uri, self.runs = uri, runs
        with _alone(_beside(uri, runs)):  # two that create a store at once leave none
            self.client = MlflowClient(uri)
            self.experiment, self.store = self._opened()
        self.parent: str | None = None
        self.known: set[str] = set()

    def _opened(self) -> tuple[str, str]:
        """The id of our experiment, made if there is none, and what tells this store from another at the same place."""
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            id = self.client.create_experiment(
                EXPERIMENT,
                artifact_location=(self.runs / "mlartifacts").absolute().as_uri(),
                tags={"mlflow.experimentKind": "custom_model_development"},  # the UI opens on runs, not on chats
            )
            found = self.client.get_experiment(id)
        elif found.lifecycle_stage == "deleted":  # in the UI; its runs would be refused
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id, f"{found.experiment_id}@{found.creation_time}"

    def open_sweep(self, name: str) -> None:
        """Find or create the sweep's parent run; later children hang below it."""
        with _alone(self.runs / PLACE):  # two drivers that start together would make two
            found = self.client.search_runs(
                [self.experiment], f"tags.`rein.sweep` = {_quoted(name)} and tags.`rein.kind` = 'sweep'"
            )
            if found:
                self.parent = found[0].info.run_id
            else:
                tags = {"rein.sweep": name, "rein.kind": "sweep"}
                self.parent = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        self.client.update_run(self.parent, status="RUNNING")

    def adopt(self, run: Run) -> None:
        """Hang a run below the sweep, if another sweep or a single `rein train` brought it here."""
        note = self._note(run)
        if not note["run_id"] or not self.parent or note["parent"]:
            return
        tags = self.client.get_run(note["run_id"]).data.tags
        if "mlflow.parentRunId" not in tags:
            self.client.set_tag(note["run_id"], "mlflow.parentRunId", self.parent)
        self._keep(run, note, parent=tags.get("mlflow.parentRunId", self.parent))

    def close_sweep(self, status: str) -> None:
        """Set the parent's status: FINISHED, FAILED or KILLED, or RUNNING where others drive it."""
        assert self.parent is not None
        if status == "RUNNING":
            self.client.update_run(self.parent, status=status)
        else:
            self.client.set_terminated(self.parent, status)

    def sync(self, run: Run, name: str, verify: bool = False) -> bool:
        """Copy what the run's directory holds and MLflow does not; `name` is what people read in the UI. Returns
        whether there was any.

        `verify`: look whether what was copied before is still there. Copying again what is there adds nothing, so a
        kill between any two calls costs nothing but that.
        """
        note, status = self._note(run), run.status()
        if not status:
            return False  # it never started
        records, offset = run.metrics(note["offset"])
        state = status.get("state", "running")
        final = state != "running"
        copied = note["final"] and note["attempt"] == status.get("attempt")
        if not verify and (copied or (note["run_id"] and not (records or final or note["final"]))):
            return False  # nothing is new
        id: str = note["run_id"] or ""
        if new := not self._is_there(id):
            id = self._found_or_created(run, name)
            note = {**NOTHING, "run_id": id, "parent": self.parent}
            records, offset = run.metrics()
            self._keep(run, note)
        elif copied:
            return False
        new = new or bool(records) or state != note["state"]
        facts = self._facts(status, note["facts"], final)
        self._batch(id, [*self._metrics(records), *self._fact_metrics(facts, status)])
        self._show(id, run, state, note["state"])
        facts = [*note["facts"], *(key for key in facts if key != "seconds")]
        self._keep(run, note, offset=offset, final=final, attempt=status.get("attempt"), state=state, facts=facts)
        return new

    def check(self) -> None:
        """Return where the store answers; what it raises else is not the fault of a run."""
        self.client.get_experiment(self.experiment)

    def recall(self, prune: bool = False) -> None:
        """Look which runs of this ledger the store has, at a thousand a call; `prune` removes what is there twice."""
        found: dict[str, list[str]] = defaultdict(list)
        for run in self._search("tags.`rein.kind` = 'run'"):
            found[run.data.tags.get("rein.folder", "")].append(run.info.run_id)
        self.known = {id for ids in found.values() for id in ids}
        for folder, ids in found.items():
            if prune and len(ids) > 1 and Path(folder).parent == self.runs:
                noted = _note(Run(Path(folder)))["run_id"]
                kept = noted if noted in ids else min(ids)
                for id in set(ids) - {kept}:
                    self.client.delete_run(id)
                    self.known.discard(id)

    def _search(self, query: str) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment], query, max_results=1000, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _note(self, run: Run) -> dict[str, Any]:
        """What was copied before, unless it was to another store."""
        note = _note(run)
        return note if (note["uri"], note["store"]) == (self.uri, self.store) else dict(NOTHING)

    def _keep(self, run: Run, note: dict[str, Any], **changes: Any) -> None:
        note.update(changes, uri=self.uri, store=self.store)
        write_atomic(run.path / "mlflow.json", json.dumps(note))

    def _show(self, id: str, run: Run, state: str, shown: str | None) -> None:
        """Give MLflow a run's state, where it has another one."""
        status = run.status()
        if state == "running" and run.holder() is None:
            self.client.update_run(id, status="KILLED")  # with its process; the next command goes on with it
            return
        if state == shown and state == "running":
            return
        self.client.set_tag(id, "rein.state", state)
        if state == "running":
            self.client.update_run(id, status="RUNNING")
        else:
            self.client.set_terminated(id, STATUS.get(state, "FAILED"), int(1000 * status["ended"]))

    def _is_there(self, id: str) -> bool:
        """Whether a run that was made before still is: a store may be lost, a run deleted in the UI."""
        if id in self.known or not id:
            return bool(id)
        from mlflow.exceptions import MlflowException

        try:
            there = self.client.get_run(id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            there = False
        self.known |= {id} if there else set()
        return there

    def _found_or_created(self, run: Run, name: str) -> str:
        """The MLflow run of a run without a note: made before a kill, by another driver, or now."""
        with _alone(self.runs / PLACE):
            found = [found.info.run_id for found in self._search(f"tags.`rein.folder` = {_quoted(str(run.path))}")]
            id = found[0] if found else self._create(run, name)
        self._params(id, flatten(run.experiment()))
        self.known.add(id)
        return id

    def _create(self, run: Run, name: str) -> str:
        tags = {"rein.run_id": run.id, "rein.kind": "run", "rein.folder": str(run.path)}
        if self.parent:
            tags["mlflow.parentRunId"] = self.parent
        started = run.status().get("started")
        created = self.client.create_run(
            self.experiment, start_time=int(1000 * started) if started else None, run_name=name, tags=tags
        )
        return created.info.run_id

    def _params(self, id: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        logged = self.client.get_run(id).data.params
        new = [Param(key, str(value)) for key, value in values.items() if key not in logged]
        if new:
            self.client.log_batch(id, params=new)

    def _metrics(self, records: list[dict[str, Any]]) -> list[Any]:
        return [
            self._metric(key, value, record["step"], record["time"])
            for record in records
            for key, value in record.items()
            if key not in ("step", "time") and value == value  # nan: a domain without labelled pixels
        ]

    def _facts(self, status: Mapping[str, Any], known: list[str], final: bool) -> dict[str, float]:
        """Numbers of the run as a whole that MLflow does not have; how long it took is known in the end."""
        facts = {key: value for key, value in status.items() if key.startswith("parameters.") and key not in known}
        return {**facts, "seconds": status["seconds"]} if final and status.get("seconds") is not None else facts

    def _fact_metrics(self, facts: Mapping[str, float], status: Mapping[str, Any]) -> list[Any]:
        return [self._metric(key, value, 0, status["started"]) for key, value in facts.items()]

    def _metric(self, key: str, value: float, step: int, seconds: float) -> Any:
        from mlflow.entities import Metric

        return Metric(key, value, int(1000 * seconds), step)

    def _batch(self, id: str, metrics: list[Any]) -> None:
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(id, metrics=metrics[first : first + BATCH])


def _quoted(text: str) -> str:
    """Text in a filter of MLflow, which knows no escape: in the quotes that it does not hold."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _beside(uri: str, runs: Path) -> Path:
    """Where those meet that may create the same store: beside an SQLite file, else in the ledger.

    It stays there, as every lease does: its numbers must not come twice.
    """
    if not uri.startswith(SQLITE):
        return runs / PLACE
    file = Path(uri.removeprefix(SQLITE))
    return file.parent / PLACE / file.name


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Do what must not be done twice at once, of all processes that see the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with Lease(folder / "lease").held(PATIENCE):
            yield
    except BusyError as error:
        raise TimeoutError(f"{error} (to create what is missing in MLflow)") from error
