"""`rein ui`: what the runs folder holds in MLflow's UI, with what it lacks copied first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rein import ledger
from rein.config import ConfigError
from rein.ledger import tracked
from rein.sweeps.folder import sweep_folders
from rein.sweeps.watching.syncing import sync
from rein.tracking import default_uri
from rein.view import saved
from rein.view.serving import check_free, served

log = logging.getLogger(__name__)


def address(runs: Path) -> str | None:
    """The page of the runs on a server that is there already; None where they are in a file, which `show` serves."""
    uri = default_uri(runs)
    return _page(runs, uri, tracked.store_root(uri)) if uri.startswith("http") else None


def show(runs: Path, host: str, port: int, say: Callable[[str], None], ready: Callable[[str], None]) -> None:
    """Serve the UI until Ctrl-C; `ready` hears one line once it answers, `say` what is copied before.

    Raises ConfigError where there is nothing to show or the port is taken, OSError where the server does not start.
    """
    uri = default_uri(runs)
    check_free(host, port)
    file = tracked.file_of(uri)
    is_new = file is not None and not file.is_file()
    if is_new and next(ledger.runs(runs), None) is None:
        raise ConfigError(f"{runs}: no run is there to be shown; --runs names another folder")
    if is_new or _lacks(runs, uri):
        say("copying to MLflow what it lacks")
        try:
            sync([], runs, say)
        except OSError as error:  # what was copied before can be looked at
            log.warning("%s", error)
    with suppress(KeyboardInterrupt), served(uri, host, port) as server:
        ready(f"{_page(runs, uri, tracked.store_root(uri, host, port))}    (Ctrl-C ends it)")
        if server.wait():
            raise OSError(f"`mlflow server` ended with status {server.returncode}")


def _lacks(runs: Path, uri: str) -> bool:
    """Whether a run that nobody works on was not copied: its driver copies the others."""
    left = (run for run in ledger.runs(runs) if run.status() and not tracked.is_copied(run, uri))
    return any(run.holder() is None for run in left)


def _page(runs: Path, uri: str, root: str) -> str:
    """The charts of the only sweep, or the list of all runs; before any was copied, the front page."""
    stores = (tracked.read(run) for run in ledger.runs(runs))
    id = next((note["store"].partition("@")[0] for note in stores if note["uri"] == uri and note["store"]), None)
    sweeps = sweep_folders(runs)
    query = saved.runs_query(sweeps[0].name) if len(sweeps) == 1 else f"?{tracked.TRAINING}"
    return f"{root}/#/experiments/{id}/runs{query}" if id else root
