"""Addresses of runs in MLflow's UI, from what a run's folder says of its copy there."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd


def links(runs: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """(`seed 0`, URL) of every run that MLflow has; `runs` are rows of a study's."""
    found = []
    for path, seed in runs[["path", "seed"]].itertuples(index=False):
        if (url := run_url(path)) is not None:
            found.append((f"seed {seed}", url))
    return tuple(found)


def run_url(path: Path) -> str | None:
    """The page of a run in MLflow's UI; None where it was not copied to a server that a browser can open."""
    try:
        note = json.loads((path / "mlflow.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    uri, store, run_id = (str(note.get(key) or "") for key in ("uri", "store", "run_id"))
    if not (uri.startswith(("http://", "https://")) and store and run_id):
        return None
    return f"{uri.rstrip('/')}/#/experiments/{store.partition('@')[0]}/runs/{run_id}"
