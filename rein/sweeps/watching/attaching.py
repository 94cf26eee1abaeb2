"""A report beside the runs it is about: its files among the artifacts of its sweeps' parent runs in MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rein.ledger import Run, tracked
from rein.sweeps.folder import SweepFolder


def attach(runs: Path, sweeps: Iterable[str], name: str, root: Path, paths: Sequence[Path]) -> list[str]:
    """Put a report's files, which lie below `root`, under `report/NAME/` of each of its sweeps; returns their pages.

    A sweep that is in no store, as far as its runs know, is left out; without any, MLflow is not even imported. Raises
    OSError where a store is gone, cannot be reached or takes no files.
    """
    known = {sweep: uri for sweep in dict.fromkeys(sweeps) if (uri := _store(SweepFolder(runs, sweep)))}
    return [_attach(uri, runs, sweep, name, root, paths) for sweep, uri in known.items()]


def _store(sweep: SweepFolder) -> str | None:
    members = (Run(sweep.runs / member.id) for member in sweep.members())
    return next((note["uri"] for run in members if (note := tracked.read(run))["parent"]), None)


def _attach(uri: str, runs: Path, sweep: str, name: str, root: Path, paths: Sequence[Path]) -> str:
    file = tracked.file_of(uri)
    if file is not None and not file.is_file():
        raise OSError(f"{file} is gone; `rein sync` makes it anew")
    from rein.tracking import Store, find_sweep

    try:
        store = Store(uri, runs)
        parent = find_sweep(store, sweep)
        if parent is None:
            raise OSError(f"it has no sweep {sweep} any more; `rein sync` copies it again")
        store.attach(parent, root, paths, f"report/{name}")
    except Exception as error:
        raise OSError(f"MLflow at {tracked.shown(uri)}: {tracked.reason(error, uri)}") from error
    return tracked.page(uri, store.experiment, parent)
