"""From the ledger to MLflow, a run at a time: what is new is copied, and what was copied is noted beside the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rein.config import flatten
from rein.ledger import Run, Statuses, tracked
from rein.ledger.tracked import LAYOUT, NOTHING
from rein.tracking.store import Store
from rein.tracking.sweep_run import SweepRun
from rein.view import files, saved, text
from rein.view.points import is_scored, points

log = logging.getLogger(__name__)

#: How the ledger's states read in MLflow.
STATUS = {
    "done": "FINISHED", "imported": "FINISHED", "pruned": "FINISHED", "preempted": "KILLED", "running": "RUNNING",
}  # fmt: skip


class Tracker:
    """Copies runs from the ledger to MLflow: below the parent run of the sweep that is open, or as single ones."""

    def __init__(self, uri: str, runs: Path) -> None:
        self.store = Store(uri, runs)
        self.sweep: SweepRun | None = None
        self._takes_files = True

    def open_sweep(self, name: str) -> None:
        """What is copied from now on hangs below this sweep's parent run, which is made if there is none."""
        self.sweep = SweepRun(self.store, name, Statuses(self.store.runs))

    def close_sweep(self, status: str) -> None:
        """Set the status of the sweep that is open: FINISHED, FAILED or KILLED, or RUNNING where others drive it."""
        assert self.sweep is not None
        self.sweep.close(status)

    def leave_sweep(self) -> None:
        """What is copied from now on hangs below no sweep."""
        self.sweep = None

    def adopt(self, run: Run) -> None:
        """Hang a run below the sweep, if another sweep or a single `rein train` brought it here."""
        note = self._note(run)
        if not note["run_id"] or not self.sweep or note["parent"]:
            return
        client = self.store.client
        tags = client.get_run(note["run_id"]).data.tags
        if "mlflow.parentRunId" not in tags:
            client.set_tag(note["run_id"], "mlflow.parentRunId", self.sweep.id)
            client.set_tag(note["run_id"], "rein.sweep", self.sweep.name)
        self._keep(run, note, parent=tags.get("mlflow.parentRunId", self.sweep.id))

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
        if new := not self.store.has(id):
            id = self._found_or_created(run, name)
            note = {**NOTHING, "run_id": id, "parent": self.sweep and self.sweep.id}
            records, offset = run.metrics()
            self._keep(run, note)
        elif copied:
            if not note["files"]:
                self._add_files(id, run, note)
            return False
        is_news = new or old or state != note["state"]
        new = is_news or bool(records)
        if old:
            self.store.client.update_run(id, name=text.titled(name))
        facts = self._facts(status, note["facts"], final)
        rows = run.score_rows() if is_scored(records) else ()
        numbers = ((key, value, 0, status["started"]) for key, value in facts.items())
        tags = self._tags(run, name) if is_news else {}
        self.store.log(id, [*points(records, rows, status["started"]), *numbers], tags)
        self._show(id, run, state, note["state"])
        known = [*note["facts"], *(key for key in facts if key != "seconds")]
        self._keep(
            run, note, offset=offset, final=final, attempt=status.get("attempt"), state=state, facts=known,
            layout=LAYOUT, files=False,
        )  # fmt: skip
        if final:
            self._add_files(id, run, note)
            if self.sweep:
                self.sweep.tell_again()
        return new

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
                self.store.client.log_artifacts(id, folder)
                if has_pictures:
                    self.store.client.set_tag(id, "mlflow.loggedImages", "True")  # the UI's grids look for it
            except Exception as error:
                self._takes_files = False
                uri = self.store.uri
                why = tracked.reason(error, uri)
                log.warning("MLflow at %s takes no files: %s; `rein sync` tries again", tracked.shown(uri), why)
                return
        self._keep(run, note, files=True)

    def _note(self, run: Run) -> dict[str, Any]:
        """What was copied before, unless it was to another store."""
        note = tracked.read(run)
        return note if (note["uri"], note["store"]) == (self.store.uri, self.store.id) else dict(NOTHING)

    def _keep(self, run: Run, note: dict[str, Any], **changes: Any) -> None:
        note.update(changes, uri=self.store.uri, store=self.store.id)
        tracked.write(run, note)

    def _show(self, id: str, run: Run, state: str, shown: str | None) -> None:
        """Give MLflow a run's state, where it has another one."""
        status = run.status()
        if state == "running" and run.holder() is None:
            self.store.client.update_run(id, status="KILLED")  # with its process; the next command goes on with it
            return
        if state == shown and state == "running":
            return
        self.store.client.set_tag(id, "rein.state", state)
        if state == "running":
            self.store.client.update_run(id, status="RUNNING")
        else:
            self.store.client.set_terminated(id, STATUS.get(state, "FAILED"), int(1000 * status["ended"]))

    def _found_or_created(self, run: Run, name: str) -> str:
        """The MLflow run of a run without a note: made before a kill, by another driver, or now."""
        with self.store.creating():
            found = next(self.store.search(f"tags.`rein.folder` = {saved.quoted(str(run.path))}"), None)
            id: str = self._create(run, name) if found is None else found.info.run_id
        self.store.log_params(id, flatten(run.experiment()))
        self.store.known.add(id)
        return id

    def _create(self, run: Run, name: str) -> str:
        tags = {"rein.run_id": run.id, "rein.kind": "run", "rein.folder": str(run.path)}
        if self.sweep:
            tags |= {"mlflow.parentRunId": self.sweep.id, "rein.sweep": self.sweep.name}
        tags["mlflow.source.name"] = f"rein sweep {self.sweep.name}" if self.sweep else "rein train"
        started = run.status().get("started")
        return self.store.create(text.titled(name), tags, started)

    def _tags(self, run: Run, name: str) -> dict[str, str]:
        colour = self.sweep.colour(name) if self.sweep else {}
        return {**text.tags(run, run.experiment(), name), **colour}

    def _facts(self, status: Mapping[str, Any], known: list[str], final: bool) -> dict[str, float]:
        """Numbers of the run as a whole that MLflow does not have; how long it took is known in the end."""
        facts = {key: value for key, value in status.items() if key.startswith("parameters.") and key not in known}
        return {**facts, "seconds": status["seconds"]} if final and status.get("seconds") is not None else facts
