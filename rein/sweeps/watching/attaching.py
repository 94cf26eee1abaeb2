"""A report beside the runs it is about: its files among the artifacts of the sweep's parent run in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rein.ledger import Run, tracked
from rein.sweeps.folder import SweepFolder


def attach(runs: Path, sweep: str, name: str, root: Path, paths: Sequence[Path]) -> str | None:
    """Put a report's files, which lie below `root`, under `report/NAME/` of the sweep; returns its page.

    None where the sweep is in no store as far as its runs know, and then MLflow is not even imported. Raises OSError
    where the store is gone, cannot be reached or takes no files.
    """
    members = (Run(runs / member.id) for member in SweepFolder(runs, sweep).members())
    uri = next((note["uri"] for run in members if (note := tracked.read(run))["parent"]), None)
    if uri is None:
        return None
    file = tracked.file_of(uri)
    if file is not None and not file.is_file():
        raise OSError(f"{file} is gone; `rein sync` makes it anew")
    from rein.tracking import Tracker

    try:
        tracker = Tracker(uri, runs)
        parent = tracker.find_sweep(sweep)
        if parent is None:
            raise OSError(f"it has no sweep {sweep} any more; `rein sync` copies it again")
        tracker.attach(parent, root, paths, f"report/{name}")
    except Exception as error:
        raise OSError(f"MLflow at {tracked.shown(uri)}: {tracked.reason(error, uri)}") from error
    return tracked.page(uri, tracker.experiment, parent)
