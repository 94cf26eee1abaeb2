"""MLflow as a view of the ledger: one writer, the driver, that copies what is new; the only file that knows MLflow.

Workers never speak to the tracker, so nothing of a run depends on it: a server that is away costs nothing, and what
it missed is filled in by the next `sync`. What was copied so far stands in the run's `mlflow.json`, and so does the
store that it was copied to: a store that was lost and made anew is another one, and is filled from the beginning.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rein.config import flatten
from rein.ledger import Run, Statuses, tracked
from rein.ledger.lease import BusyError, Lease
from rein.ledger.tracked import LAYOUT, NOTHING, file_of
from rein.sweeps.folder import SweepFolder
from rein.view import files, saved, text
from rein.view.points import Point, is_scored, points

log = logging.getLogger(__name__)

EXPERIMENT = "rein"
#: How the ledger's states read in MLflow.
STATUS = {
    "done": "FINISHED", "imported": "FINISHED", "pruned": "FINISHED", "preempted": "KILLED", "running": "RUNNING",
}  # fmt: skip
#: MLflow takes at most this many metrics in one call.
BATCH = 1000
#: Seconds between two words on how far a sweep is.
TOLD = 60.0
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
        self.sweep = ""
        self._colours: dict[str, str] = {}
        self.known: set[str] = set()
        self._statuses = Statuses(runs)
        self._told = 0.0
        self._takes_files = True

    def _opened(self) -> tuple[str, str]:
        """The id of our experiment, made if there is none, and what tells this store from another at the same place."""
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

    def open_sweep(self, name: str) -> None:
        """Find or create the sweep's parent run; later children hang below it."""
        self.sweep = name
        self._colours = text.colours(member.name for member in SweepFolder(self.runs, name).members())
        with _alone(self.runs / PLACE):  # two drivers that start together would make two
            self.parent = self.find_sweep(name)
            if self.parent is None:
                tags = {"rein.sweep": name, "rein.kind": "sweep", "mlflow.source.name": f"rein sweep {name}"}
                self.parent = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        self.client.update_run(self.parent, status="RUNNING")
        self._tell()

    def _colour(self, name: str) -> dict[str, str]:
        colour = self._colours.get(text.point_of(name))
        return {"mlflow.runColor": colour} if colour else {}

    def find_sweep(self, name: str) -> str | None:
        """The id of a sweep's parent run; None where there is none."""
        found = self.client.search_runs(
            [self.experiment], f"tags.`rein.sweep` = {saved.quoted(name)} and tags.`rein.kind` = 'sweep'"
        )
        return found[0].info.run_id if found else None

    def leave_sweep(self) -> None:
        """What is copied from now on hangs below no sweep."""
        self.parent, self.sweep, self._colours = None, "", {}

    def _tell(self) -> None:
        """Say in the parent's description how far the sweep is."""
        from mlflow.exceptions import MlflowException

        assert self.parent is not None
        folder = SweepFolder(self.runs, self.sweep)
        members = folder.members()
        states = [self._statuses.of(member.id).get("state") for member in members]
        seen = saved.Seen.of([Run(self.runs / member.id) for member in members])
        views = saved.views(self.sweep, seen) if seen else []
        places = {view.title: f"#/experiments/{self.experiment}/runs{view.query}" for view in views}
        self.client.set_tag(self.parent, NOTE, text.of_sweep(folder.question(), states, places))
        with suppress(MlflowException):  # an older MLflow's tags are shorter
            for view in views:
                self.client.set_experiment_tag(self.experiment, view.tag, view.value)
        self._told = time.monotonic()

    def adopt(self, run: Run) -> None:
        """Hang a run below the sweep, if another sweep or a single `rein train` brought it here."""
        note = self._note(run)
        if not note["run_id"] or not self.parent or note["parent"]:
            return
        tags = self.client.get_run(note["run_id"]).data.tags
        if "mlflow.parentRunId" not in tags:
            self.client.set_tag(note["run_id"], "mlflow.parentRunId", self.parent)
            self.client.set_tag(note["run_id"], "rein.sweep", self.sweep)
        self._keep(run, note, parent=tags.get("mlflow.parentRunId", self.parent))

    def close_sweep(self, status: str) -> None:
        """Set the parent's status: FINISHED, FAILED or KILLED, or RUNNING where others drive it."""
        assert self.parent is not None
        self._tell()
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
        old = note["layout"] != LAYOUT  # copied when less was shown: all of it again, which adds what is missing
        records, offset = run.metrics(0 if old else note["offset"])
        state = status.get("state", "running")
        final = state != "running"
        copied = note["final"] and not old and note["attempt"] == status.get("attempt")
        if not verify and (copied or (note["run_id"] and not (old or records or final or note["final"]))):
            return False  # nothing is new
        id: str = note["run_id"] or ""
        if new := not self._is_there(id):
            id = self._found_or_created(run, name)
            note = {**NOTHING, "run_id": id, "parent": self.parent}
            records, offset = run.metrics()
            self._keep(run, note)
        elif copied:
            if not note["files"]:
                self._add_files(id, run, note)
            return False
        is_news = new or old or state != note["state"]
        new = is_news or bool(records)
        if old:
            self.client.update_run(id, name=text.titled(name))
        facts = self._facts(status, note["facts"], final)
        rows = run.score_rows() if is_scored(records) else ()
        self._batch(
            id,
            [
                *points(records, rows, status["started"]),
                *((key, value, 0, status["started"]) for key, value in facts.items()),
            ],
            {**text.tags(run, run.experiment(), name), **self._colour(name)} if is_news else {},
        )
        self._show(id, run, state, note["state"])
        known = [*note["facts"], *(key for key in facts if key != "seconds")]
        self._keep(
            run, note, offset=offset, final=final, attempt=status.get("attempt"), state=state, facts=known,
            layout=LAYOUT, files=False,
        )  # fmt: skip
        if final:
            self._add_files(id, run, note)
            if self.parent and time.monotonic() - self._told > TOLD:
                self._tell()
        return new

    def attach(self, run_id: str, root: Path, paths: Iterable[Path], place: str) -> None:
        """Put files into a run's artifacts below `place`, in the folders that they have below `root`."""
        for path in paths:
            below = path.parent.relative_to(root).as_posix()
            self.client.log_artifact(run_id, str(path), place if below == "." else f"{place}/{below}")

    def _add_files(self, id: str, run: Run, note: dict[str, Any]) -> None:
        """Copy the files of a run that has ended. A store that takes none has all the rest all the same."""
        if not self._takes_files:
            return
        with TemporaryDirectory(prefix="rein-") as folder:
            try:
                has_pictures = files.lay_out(run, run.experiment(), Path(folder))
            except Exception as error:
                log.warning("%s: its pictures and files cannot be copied to MLflow: %s", run.id, error)
                return
            try:
                self.client.log_artifacts(id, folder)
                if has_pictures:
                    self.client.set_tag(id, "mlflow.loggedImages", "True")  # the UI's grids look for it
            except Exception as error:
                self._takes_files = False
                why = tracked.reason(error, self.uri)
                log.warning("MLflow at %s takes no files: %s; `rein sync` tries again", tracked.shown(self.uri), why)
                return
        self._keep(run, note, files=True)

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
                noted = tracked.read(Run(Path(folder)))["run_id"]
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
        note = tracked.read(run)
        return note if (note["uri"], note["store"]) == (self.uri, self.store) else dict(NOTHING)

    def _keep(self, run: Run, note: dict[str, Any], **changes: Any) -> None:
        note.update(changes, uri=self.uri, store=self.store)
        tracked.write(run, note)

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
            found = [found.info.run_id for found in self._search(f"tags.`rein.folder` = {saved.quoted(str(run.path))}")]
            id = found[0] if found else self._create(run, name)
        self._params(id, flatten(run.experiment()))
        self.known.add(id)
        return id

    def _create(self, run: Run, name: str) -> str:
        tags = {"rein.run_id": run.id, "rein.kind": "run", "rein.folder": str(run.path)}
        if self.parent:
            tags |= {"mlflow.parentRunId": self.parent, "rein.sweep": self.sweep}
        tags["mlflow.source.name"] = f"rein sweep {self.sweep}" if self.parent else "rein train"
        started = run.status().get("started")
        created = self.client.create_run(
            self.experiment, start_time=int(1000 * started) if started else None, run_name=text.titled(name),
            tags=tags,
        )  # fmt: skip
        return created.info.run_id

    def _params(self, id: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        logged = self.client.get_run(id).data.params
        new = [Param(key, str(value)) for key, value in values.items() if key not in logged]
        if new:
            self.client.log_batch(id, params=new)

    def _facts(self, status: Mapping[str, Any], known: list[str], final: bool) -> dict[str, float]:
        """Numbers of the run as a whole that MLflow does not have; how long it took is known in the end."""
        facts = {key: value for key, value in status.items() if key.startswith("parameters.") and key not in known}
        return {**facts, "seconds": status["seconds"]} if final and status.get("seconds") is not None else facts

    def _batch(self, id: str, found: Sequence[Point], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(key, value, int(1000 * seconds), step) for key, value, step, seconds in found]
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(id, metrics=metrics[first : first + BATCH])
        if tags:
            self.client.log_batch(id, tags=[RunTag(key, value) for key, value in tags.items()])


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
