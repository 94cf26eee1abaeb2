"""MLflow as a view of the ledger: one writer, the driver, that copies what is new; the only file that knows MLflow.

Workers never speak to the tracker, so nothing of a run depends on it: a server that is away costs nothing, and what
it missed is filled in by the next `sync`. What was copied so far stands in the run's `mlflow.json`; deleting those
files rebuilds the view, of a store that was lost for one.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rein.config import flatten
from rein.ledger import Run, write_atomic

log = logging.getLogger(__name__)

EXPERIMENT = "rein"
#: How the ledger's states read in MLflow.
STATUS = {"done": "FINISHED", "pruned": "FINISHED", "preempted": "KILLED", "running": "RUNNING"}
#: MLflow takes at most this many metrics in one call.
BATCH = 1000


def default_uri(runs: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else an SQLite file beside the runs; always absolute."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / 'mlflow.db').absolute()}"


def is_copied(run: Run, uri: str) -> bool:
    """Whether MLflow at `uri` was given all of a run, as far as the run's own note says; asks no server."""
    note = _note(run, uri)
    return note["final"] and note["attempt"] == run.status().get("attempt")


def _note(run: Run, uri: str) -> dict[str, Any]:
    """What was copied before, unless it was to another store."""
    try:
        note = json.loads((run.path / "mlflow.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        note = {"uri": None}
    return note if note["uri"] == uri else {"uri": uri, "run_id": None, "offset": 0, "final": False, "attempt": 0}


class Tracker:
    """Copies runs of one sweep (or a single run) from the ledger to MLflow as children of the sweep's parent run."""

    def __init__(self, uri: str, runs: Path) -> None:
        # A server that is away must cost seconds, not the minutes that MLflow would try again for.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        runs.mkdir(parents=True, exist_ok=True)
        self.client, self.uri = MlflowClient(uri), uri
        known = self.client.get_experiment_by_name(EXPERIMENT)
        self.experiment = (
            known.experiment_id
            if known
            else self.client.create_experiment(
                EXPERIMENT,
                artifact_location=(runs / "mlartifacts").absolute().as_uri(),
                tags={"mlflow.experimentKind": "custom_model_development"},  # the UI opens on runs, not on chats
            )
        )
        self.parent: str | None = None
        self.known: set[str] = set()

    def open_sweep(self, name: str) -> None:
        """Find or create the sweep's parent run; later children hang below it."""
        found = self.client.search_runs(
            [self.experiment], f"tags.`rein.sweep` = '{name}' and tags.`rein.kind` = 'sweep'"
        )
        if found:
            self.parent = found[0].info.run_id
        else:
            tags = {"rein.sweep": name, "rein.kind": "sweep"}
            self.parent = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        self.client.update_run(self.parent, status="RUNNING")

    def adopt(self, run: Run) -> None:
        """Hang a run below the sweep, if another sweep or a single `rein train` brought it here."""
        id = _note(run, self.uri)["run_id"]
        if id and self.parent and "mlflow.parentRunId" not in self.client.get_run(id).data.tags:
            self.client.set_tag(id, "mlflow.parentRunId", self.parent)

    def close_sweep(self, status: str) -> None:
        """Set the parent's final status: FINISHED, FAILED or KILLED."""
        assert self.parent is not None
        self.client.set_terminated(self.parent, status)

    def sync(self, run: Run, name: str) -> None:
        """Copy what the run's directory holds and MLflow does not; `name` is what people read in the UI."""
        note = _note(run, self.uri)
        status = run.status()
        records, offset = run.metrics(note["offset"])
        final = status.get("state") not in (None, "running")
        if is_copied(run, self.uri) or (note["run_id"] and not (records or final or note["final"])):
            return  # nothing is new
        id: str = note["run_id"] or ""
        if not self._is_there(id):
            id = self._create(run, name)
            note.update(run_id=id, offset=0)
            records, offset = run.metrics()
            write_atomic(run.path / "mlflow.json", json.dumps(note))  # a kill now must not have it created twice
        self._metrics(id, records)
        facts = {key: value for key, value in status.items() if key.startswith("parameters.") or key == "seconds"}
        self._batch(
            id, [self._metric(key, value, 0, status["started"]) for key, value in facts.items() if value is not None]
        )
        state = status.get("state", "running")
        self.client.set_tag(id, "rein.state", state)
        if final:
            self.client.set_terminated(id, STATUS.get(state, "FAILED"), int(1000 * status["ended"]))
        else:
            self.client.update_run(id, status="RUNNING")
        note.update(offset=offset, final=final, attempt=status.get("attempt"))
        write_atomic(run.path / "mlflow.json", json.dumps(note))

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

    def _create(self, run: Run, name: str) -> str:
        tags = {"rein.run_id": run.id, "rein.kind": "run", "rein.folder": str(run.path)}
        if self.parent:
            tags["mlflow.parentRunId"] = self.parent
        started = run.status().get("started")
        created = self.client.create_run(
            self.experiment, start_time=int(1000 * started) if started else None, run_name=name, tags=tags
        )
        self._params(created.info.run_id, flatten(run.experiment()))
        return created.info.run_id

    def _params(self, id: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        logged = self.client.get_run(id).data.params
        new = [Param(key, str(value)) for key, value in values.items() if key not in logged]
        if new:
            self.client.log_batch(id, params=new)

    def _metrics(self, id: str, records: list[dict[str, Any]]) -> None:
        metrics = [
            self._metric(key, value, record["step"], record["time"])
            for record in records
            for key, value in record.items()
            if key not in ("step", "time") and value == value  # nan: a domain without labelled pixels
        ]
        self._batch(id, metrics)

    def _metric(self, key: str, value: float, step: int, seconds: float) -> Any:
        from mlflow.entities import Metric

        return Metric(key, value, int(1000 * seconds), step)

    def _batch(self, id: str, metrics: list[Any]) -> None:
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(id, metrics=metrics[first : first + BATCH])
