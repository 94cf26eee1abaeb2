"""A sweep in MLflow: the parent run that its runs hang below, with its question, how far it is, and views of it."""

from __future__ import annotations

import time
from contextlib import suppress

from rein.ledger import Run, Statuses
from rein.sweeps.folder import SweepFolder
from rein.tracking.store import NOTE, Store
from rein.view import saved, text

#: Seconds between two words on how far a sweep is.
TOLD = 60.0


def find_sweep(store: Store, name: str) -> str | None:
    """The id of a sweep's parent run; None where there is none."""
    query = f"tags.`rein.sweep` = {saved.quoted(name)} and tags.`rein.kind` = 'sweep'"
    found = store.client.search_runs([store.experiment], query)
    return found[0].info.run_id if found else None


class SweepRun:
    """A sweep's parent run, found or created, and running from now on."""

    def __init__(self, store: Store, name: str, statuses: Statuses) -> None:
        self.name = name
        self._store, self._statuses = store, statuses
        self._folder = SweepFolder(statuses.runs, name)
        self._colours = text.colours(member.name for member in self._folder.members())
        with store.creating():  # two drivers that start together would make two
            self.id = find_sweep(store, name) or self._create()
        store.client.update_run(self.id, status="RUNNING")
        self.tell()

    def _create(self) -> str:
        tags = {"rein.sweep": self.name, "rein.kind": "sweep", "mlflow.source.name": f"rein sweep {self.name}"}
        return self._store.create(self.name, tags)

    def colour(self, name: str) -> dict[str, str]:
        """The tag that gives a run of this sweep the colour of its variant."""
        colour = self._colours.get(text.point_of(name))
        return {"mlflow.runColor": colour} if colour else {}

    def tell(self) -> None:
        """Say in the description how far the sweep is."""
        from mlflow.exceptions import MlflowException

        store, members = self._store, self._folder.members()
        states = [self._statuses.of(member.id).get("state") for member in members]
        seen = saved.Seen.of([Run(self._folder.runs / member.id) for member in members])
        views = saved.views(self.name, seen) if seen else []
        places = {view.title: f"#/experiments/{store.experiment}/runs{view.query}" for view in views}
        store.client.set_tag(self.id, NOTE, text.of_sweep(self._folder.question(), states, places))
        with suppress(MlflowException):  # an older MLflow's tags are shorter
            for view in views:
                store.client.set_experiment_tag(store.experiment, view.tag, view.value)
        self._told = time.monotonic()

    def tell_again(self) -> None:
        """Say it where the last word is old."""
        if time.monotonic() - self._told > TOLD:
            self.tell()

    def close(self, status: str) -> None:
        """Set the status: FINISHED, FAILED or KILLED, or RUNNING where others drive the sweep."""
        self.tell()
        if status == "RUNNING":
            self._store.client.update_run(self.id, status=status)
        else:
            self._store.client.set_terminated(self.id, status)
