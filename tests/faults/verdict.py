"""What is looked at when a disturbed sweep has ended: each check returns what is wrong, in words."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from rein import results
from rein.config import Report
from rein.config_io import build
from rein.ledger import Run, runs
from rein.reports.write import write
from tests.faults.plan import Fault
from tests.faults.traps import Caught

#: Facts that no two sweeps share, disturbed or not.
TIMING = ["seconds", "peak_memory_mib", "data_wait"]
#: By how much losses may differ after steps that were summed in another order.
ROUNDING = 0.01
#: Files and folders that a run may consist of at its end.
KNOWN = {
    "experiment.yaml", "status.json", "metrics.jsonl", "scores.csv", "confusion.npz", "images.npz", "environment.json",
    "traceback.txt", "checkpoint", "predictions", "mlflow.json", "lease",
    "log.txt", "remarks.jsonl", "domains",
}  # fmt: skip


def tables(sweep: Path, here: Path, there: Path, out: Path, short: Iterable[str] = ()) -> Iterator[str]:
    """Every table of a report of the two sweeps, byte for byte, and the tidy frame but for its timings.

    With runs that were `short` of memory, which are equal but for rounding, the frame of all others alone.
    """
    report = {"title": "T", "sweep": str(sweep), "figures": [],
              "tables": [{"name": "main"}, {"name": "classes", "kind": "classes"},
                         {"name": "convergence", "kind": "convergence"}]}  # fmt: skip
    for name, root in (("here", here), ("there", there)):
        write(build(Report, report), root, out / name)
    files = sorted((out / "there/tables").iterdir())
    for file in () if short else files:
        if file.read_bytes() != (out / "here/tables" / file.name).read_bytes():
            yield f"table {file.name} differs: {out / 'here/tables' / file.name} and {file}"
    ids = [run.id for run in runs(here) if run.id not in short and run.state == "done"]
    frames = [results.load(root, ids, losses=True).drop(columns=TIMING) for root in (here, there)]
    keys = ["run_id", "step", "domain", "class", "metric"]
    frames = [frame.sort_values(keys, ignore_index=True) for frame in frames]
    try:
        pd.testing.assert_frame_equal(*frames, check_exact=True)
    except AssertionError as error:
        yield f"the results differ: {str(error).splitlines()[0]}"


def runs_equal(here: Path, there: Path, ids: Iterable[str]) -> Iterator[str]:
    """Of each run: state, step, losses, confusion matrices, and the newest checkpoint's tensors, bit for bit."""
    for id in ids:
        one, other = Run(here / id), Run(there / id)
        for fact in ("state",) if other.state == "diverged" else ("state", "step", "error"):
            if one.status().get(fact) != other.status().get(fact):
                yield f"{id}: {fact} is {one.status().get(fact)!r}, undisturbed {other.status().get(fact)!r}"
        records = [_records(run) for run in (one, other)]
        if other.state == "diverged":  # it is stopped at a record or at a checkpoint, and these come by the clock
            both = records[0].keys() & records[1].keys()
            records = [{point: side[point] for point in both} for side in records]
        if records[0] != records[1]:
            yield f"{id}: the records differ"
        if (other.path / "confusion.npz").is_file():
            matrices = [np.load(run.path / "confusion.npz") for run in (one, other)]
            if any(not np.array_equal(matrices[0][name], matrices[1][name]) for name in matrices[1].files):
                yield f"{id}: the confusion matrices differ"
        yield from _weights(one, other)


def runs_close(here: Path, there: Path, ids: Iterable[str]) -> Iterator[str]:
    """A run that was short of memory went on with half of the micro-batch: the same losses, but for rounding."""
    for id in ids:
        one, other = _records(Run(here / id)), _records(Run(there / id))
        losses = [(value, one.get(point, math.nan)) for point, value in other.items() if point[1] == "loss"]
        worst = max(abs(there - here) / there if here == here else math.inf for there, here in losses)
        if worst > ROUNDING:
            yield f"{id}: short of memory, its losses differ by {worst:.2g} of their value"


def _records(run: Run) -> dict[tuple[int, str], float]:
    """(step, key) -> value of all that was recorded; the last of a step that was done twice."""
    return {
        (record["step"], key): value
        for record in run.metrics()[0]
        for key, value in record.items()
        if key not in ("step", "time")
    }


def _weights(one: Run, other: Run) -> Iterator[str]:
    """A finished run's last checkpoint, or of a diverged one every checkpoint that both have."""
    names = [sorted(path.name for path in run.path.glob("checkpoint/step_*")) for run in (one, other)]
    if one.state == "done" and not names[0]:
        yield f"{one.id}: no checkpoint is left"
    if one.state == "done" and names[0][-1:] != names[1][-1:]:
        yield f"{one.id}: the last checkpoint is {names[0][-1:]}, undisturbed {names[1][-1:]}"
    for name in set(names[0]) & set(names[1]):
        for file in ("model", "optimizer"):
            tensors = [load_file(run.path / "checkpoint" / name / f"{file}.safetensors") for run in (one, other)]
            differ = [key for key in tensors[1] if not torch.equal(tensors[0][key], tensors[1][key])]
            if differ or tensors[0].keys() != tensors[1].keys():
                yield f"{one.id}: {name}/{file} differs in {differ[:3]}"


def good_checkpoint(run: Run, trace: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A diverged run must be told as such, and keep what it has saved: all of it finite.

    On a fast machine it may have diverged before its first checkpoint was due.
    """
    if run.state != "diverged":
        yield f"{run.id}: a diverging run ended as {run.state}"
    saved = any(event["event"] == "saved" for event in trace if Path(event["run"]) == run.path)
    newest = sorted(run.path.glob("checkpoint/step_*/model.safetensors"))[-1:]
    if saved and not newest:
        yield f"{run.id}: the diverged run kept none of its checkpoints"
    if any(not bool(tensor.isfinite().all()) for file in newest for tensor in load_file(file).values()):
        yield f"{run.id}: the diverged run kept a checkpoint that is not finite"


def once(trace: Sequence[dict[str, Any]], faults: Sequence[tuple[Fault, Caught]]) -> Iterator[str]:
    """No two processes wrote to a run in turns, none went on from an older checkpoint than there was, none after the
    end, and no run was begun more often than faults explain."""
    by_run: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in trace:
        by_run[event["run"]].append(event)
    torn = {caught.run for fault, caught in faults if fault.kind == "torn file"}
    for run, events in by_run.items():
        name, holder, gone, saved, ended = Path(run).name, None, set(), [0], False
        starts = 0
        for event in events:
            who = (event["pid"], event["attempt"])
            if ended:
                yield f"{name}: process {event['pid']} did {event['event']} after the run was done"
            if event["event"] == "start":
                starts += 1
                gone |= {holder} if holder else set()
                holder = who
            elif event["event"] in ("record", "saved", "resumed") and (who in gone or who != holder):
                yield f"{name}: process {event['pid']} did {event['event']} though {holder} had taken the run over"
            if event["event"] == "saved":
                saved.append(event["step"])
            if event["event"] == "resumed":
                good = saved[-3:] if run in torn else _may_have_been_saved(saved, events, event)
                if event["step"] not in good:
                    yield f"{name}: went on from step {event['step']}, though {saved[-1]} was saved"
                saved = [step for step in saved if step <= event["step"]]
            ended = event["event"] == "finish" and event["state"] == "done"
        most = 1 + 2 * len(faults)
        if starts > most and "diverged" not in [event.get("state") for event in events]:
            yield f"{name}: was begun {starts} times, {len(faults)} faults explain {most}"


def _may_have_been_saved(saved: list[int], events: Sequence[dict[str, Any]], resumed: dict[str, Any]) -> set[int]:
    """The newest checkpoint; or one that was whole though its process was killed before it could say so."""
    recorded = [event["step"] for event in events if event["event"] == "record" and event["t"] < resumed["t"]]
    return {saved[-1], *(step for step in recorded if step > saved[-1])}


def leftovers(root: Path, scratch: Path) -> Iterator[str]:
    """Files that nobody will come back to: temporaries in the runs, of Ray's trials, of anything."""
    for run in runs(root):
        known = [path for path in run.path.iterdir() if path.name not in KNOWN]
        hidden = [path for path in run.path.rglob(".*") if path.name != ".lock"]
        for path in dict.fromkeys((*known, *hidden)):
            yield f"left over: {path.relative_to(root)}"
    for path in scratch.glob("rein-*"):
        yield f"left over: {path}"


def tracked(database: Path, root: Path, ids: Iterable[str]) -> Iterator[str]:
    """Every run once in MLflow's store, read as a database, with all points of all of its curves and its state."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
        rows = store.execute(
            "select t.value, r.run_uuid, r.status from runs r join tags t on t.run_uuid = r.run_uuid "
            "where t.key = 'rein.run_id' and r.lifecycle_stage = 'active'"
        ).fetchall()
        views: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for id, uuid, status in rows:
            views[id].append((uuid, status))
        for id in ids:
            if len(views[id]) != 1:
                yield f"{id}: is {len(views[id])} times in MLflow"
                continue
            ((uuid, status),) = views[id]
            wanted = "FINISHED" if Run(root / id).state == "done" else "FAILED"
            if status != wanted:
                yield f"{id}: is {status} in MLflow, {Run(root / id).state} in the ledger"
            points = {
                (step, key): value
                for step, key, value in store.execute(
                    "select step, key, value from metrics where run_uuid = ?", (uuid,)
                )
            }
            records = {point: float(value) for point, value in _records(Run(root / id)).items() if math.isfinite(value)}
            missing = [point for point, value in records.items() if points.get(point) != value]
            if missing:
                yield f"{id}: {len(missing)} of {len(records)} points are not in MLflow, as {missing[0]}"


def describe(run: Run) -> str:
    """What the ledger says of a run, for a person who looks for a cause."""
    return json.dumps(run.status())[:600]
