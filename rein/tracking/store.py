"""Where MLflow keeps what it shows: opened, or made, by one process at a time, and spoken to in few calls."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rein.ledger import Run, tracked
from rein.ledger.lease import BusyError, Lease
from rein.ledger.tracked import file_of
from rein.view import text
from rein.view.points import Point

EXPERIMENT = "rein"
#: MLflow takes at most this many metrics in one call.
BATCH = 1000
#: The tag whose Markdown the UI shows as a description.
NOTE = "mlflow.note.content"
#: Seconds to wait for another process that creates the store, or a run in it.
PATIENCE = 120.0
#: The hidden folder, beside the runs or a store, in which processes that copy take turns.
PLACE = ".mlflow"
#: A server that is away must cost seconds, not the minutes that MLflow would try again for; stdout is for results.
MANNERS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def default_uri(runs: Path) -> str:
    """`MLFLOW_TRACKING_URI`, else an SQLite file beside the runs; always absolute."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / 'mlflow.db').absolute()}"


def prepare() -> None:
    """Import MLflow, which takes seconds, on a busy machine many of them, that no server is to blame for."""
    for key, value in MANNERS.items():
        os.environ.setdefault(key, value)
    import mlflow  # noqa: F401

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # that it tries again; what fails is raised


class Store:
    """Our experiment in the store at `uri`, for the ledger `runs`; both are made where they are not there."""

    def __init__(self, uri: str, runs: Path) -> None:
        prepare()
        from mlflow import MlflowClient

        runs.mkdir(parents=True, exist_ok=True)
        self.uri, self.runs = uri, runs
        with _alone(_beside(uri, runs)):  # two that create a store at once leave none
            self.client = MlflowClient(uri)
            #: The experiment's id, and what tells this store from another at the same place.
            self.experiment, self.id = self._opened()
        #: The runs that are known to be there.
        self.known: set[str] = set()

    def _opened(self) -> tuple[str, str]:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            here = (self.runs / "mlartifacts").absolute().as_uri()  # beside an SQLite file; a server has its own place
            id = self.client.create_experiment(
                EXPERIMENT,
                artifact_location=None if self.uri.startswith("http") else here,
                # The UI opens on runs, not on chats.
                tags={
                    "mlflow.experimentKind": "custom_model_development",
                    "mlflow.experiment.primaryMetric.name": "targets/miou",
                    NOTE: text.EXPERIMENT,
                },
            )
            found = self.client.get_experiment(id)
        elif found.lifecycle_stage == "deleted":  # in the UI; its runs would be refused
            self.client.restore_experiment(found.experiment_id)
        return found.experiment_id, f"{found.experiment_id}@{found.creation_time}"

    def check(self) -> None:
        """Return where the store answers; what it raises else is not the fault of a run."""
        self.client.get_experiment(self.experiment)

    def creating(self) -> AbstractContextManager[None]:
        """A context in which no other process creates a run for this ledger."""
        return _alone(self.runs / PLACE)

    def search(self, query: str) -> Iterator[Any]:
        """The experiment's runs that a filter of MLflow's finds, at a thousand a call."""
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment], query, max_results=1000, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def has(self, id: str) -> bool:
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

    def recall(self, prune: bool = False) -> None:
        """Look which runs of this ledger the store has, at a thousand a call; `prune` removes what is there twice."""
        found: dict[str, list[str]] = defaultdict(list)
        for run in self.search("tags.`rein.kind` = 'run'"):
            found[run.data.tags.get("rein.folder", "")].append(run.info.run_id)
        self.known = {id for ids in found.values() for id in ids}
        for folder, ids in found.items():
            if prune and len(ids) > 1 and Path(folder).parent == self.runs:
                noted = tracked.read(Run(Path(folder)))["run_id"]
                kept = noted if noted in ids else min(ids)
                for id in set(ids) - {kept}:
                    self.client.delete_run(id)
                    self.known.discard(id)

    def create(self, name: str, tags: Mapping[str, str], started: float | None = None) -> str:
        """The id of a new run, which began so many seconds after 1970, or now."""
        began = int(1000 * started) if started else None
        created = self.client.create_run(self.experiment, start_time=began, run_name=name, tags=dict(tags))
        return str(created.info.run_id)

    def log_params(self, id: str, values: Mapping[str, Any]) -> None:
        """Write the params that a run does not have; MLflow refuses to change one."""
        from mlflow.entities import Param

        logged = self.client.get_run(id).data.params
        new = [Param(key, str(value)) for key, value in values.items() if key not in logged]
        if new:
            self.client.log_batch(id, params=new)

    def log(self, id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Write points of metrics, however many, and then tags."""
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(key, value, int(1000 * seconds), step) for key, value, step, seconds in points]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(id, metrics=metrics[first : first + BATCH])
        if tags:
            self.client.log_batch(id, tags=[RunTag(key, value) for key, value in tags.items()])

    def attach(self, id: str, root: Path, paths: Iterable[Path], place: str) -> None:
        """Put files into a run's artifacts below `place`, in the folders that they have below `root`."""
        for path in paths:
            below = path.parent.relative_to(root).as_posix()
            self.client.log_artifact(id, str(path), place if below == "." else f"{place}/{below}")


def _beside(uri: str, runs: Path) -> Path:
    """Where those meet that may create the same store: beside an SQLite file, else in the ledger.

    It stays there, as every lease does: its numbers must not come twice.
    """
    file = file_of(uri)
    return runs / PLACE if file is None else file.parent / PLACE / file.name


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Do what must not be done twice at once, of all processes that see the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with Lease(folder / "lease").held(PATIENCE):
            yield
    except BusyError as error:
        raise TimeoutError(f"{error} (to create what is missing in MLflow)") from error
