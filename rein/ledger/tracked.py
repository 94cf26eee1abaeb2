"""What a run's folder says of its copy in MLflow: to which store it went, how far, and at which address a browser
finds it. Asks no server and needs no MLflow.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rein.ledger.files import write_atomic
from rein.ledger.run import Run

#: Where `rein ui` shows an SQLite store.
HOST, PORT = "127.0.0.1", 5000
#: Raised when MLflow is to show more of a run than before: what was copied under a lower number is copied again.
LAYOUT = 2

#: What was copied of a run: to where, how far, and what is shown of it there.
NOTHING: dict[str, Any] = {
    "uri": None, "store": None, "run_id": None, "parent": None, "offset": 0, "final": False, "attempt": 0,
    "state": None, "facts": [], "layout": LAYOUT, "files": False,
}  # fmt: skip


def read(run: Run) -> dict[str, Any]:
    """The run's `mlflow.json`, or `NOTHING`."""
    try:
        return {**NOTHING, "layout": 0, **json.loads((run.path / "mlflow.json").read_text())}
    except (FileNotFoundError, json.JSONDecodeError):
        return dict(NOTHING)


def write(run: Run, note: dict[str, Any]) -> None:
    write_atomic(run.path / "mlflow.json", json.dumps(note))


def is_copied(run: Run, uri: str) -> bool:
    """Whether MLflow at `uri` was given all of a run, as far as the run's own note says."""
    note = read(run)
    same = note["uri"] == uri and note["layout"] == LAYOUT and note["attempt"] == run.status().get("attempt")
    return bool(same and note["final"])


#: What of an address tells MLflow's UI that it is to show runs, not chats.
TRAINING = "workflowType=machine_learning"


def run_url(run: Run) -> str | None:
    """The page of a run in MLflow's UI, on its server or, of an SQLite store, as `rein ui` serves it; None where the
    run was not copied."""
    return _url(read(run), "run_id")


def sweep_url(run: Run) -> str | None:
    """The page of the sweep below which a run hangs in MLflow's UI; None where it hangs below none."""
    return _url(read(run), "parent")


def store_root(uri: str, host: str = HOST, port: int = PORT) -> str:
    """The address of a store's UI, without a name or password that `uri` may hold."""
    if not uri.startswith("http"):
        return f"http://{host}:{port}"
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def shown(uri: str) -> str:
    """A store as people may read it: without a password."""
    return store_root(uri) if uri.startswith("http") else uri


def reason(error: Exception, uri: str) -> str:
    """What went wrong at a store: MLflow's words hold its address, and so a password, which nobody is to read."""
    return str(error).replace(uri.rstrip("/"), shown(uri))


def page(uri: str, experiment: str, run_id: str | None = None) -> str:
    """The page of an experiment, or of one of its runs as runs of training are shown (and not as chats)."""
    of_run = f"/runs/{run_id}?{TRAINING}" if run_id else "/runs"
    return f"{store_root(uri)}/#/experiments/{experiment}{of_run}"


def _url(note: dict[str, Any], key: str) -> str | None:
    if not (note["uri"] and note["store"] and note[key]):
        return None
    return page(note["uri"], note["store"].partition("@")[0], note[key])


def file_of(uri: str) -> Path | None:
    """The file of an SQLite store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
