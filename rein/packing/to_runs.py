"""From the packed files to run folders."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import yaml

from rein import image_counts
from rein.config import ConfigError
from rein.ledger import Run, write_atomic
from rein.ledger.run import SCORE_COLUMNS
from rein.ledger.scored import in_short
from rein.packing.packed import COLUMNS, Packed, Rows, as_csv, check, digest_of
from rein.sweeps.plan import SEARCHED

log = logging.getLogger(__name__)


def unpack(folder: Path, runs: Path) -> dict[str, Any]:
    """Make a run folder of every run that was packed and is not there; one that is there is left alone.

    Raises ConfigError, before anything is written, where the files are not what `pack` wrote.
    """
    packed = _read(folder)
    runs.mkdir(parents=True, exist_ok=True)
    there = [one.id for one in packed if not _put(one, runs)]
    if unlike := [id for id in there if Run(runs / id).state not in SEARCHED]:
        log.warning(
            "left alone, though not over: %s; to have the packed results, remove the folder in %s and unpack again",
            ", ".join(unlike), runs,
        )  # fmt: skip
    return {"runs": len(packed), "unpacked": len(packed) - len(there), "already there": len(there), "in": str(runs)}


def _put(one: Packed, runs: Path) -> bool:
    """Make a run's folder, whole or not at all; False where there is one."""
    if (runs / one.id).exists():
        return False
    with TemporaryDirectory(prefix=".unpacking-", dir=runs) as place:
        run = Run(Path(place) / one.id)
        run.path.mkdir()
        for name, content in _files(one).items():
            (run.path / name).parent.mkdir(exist_ok=True)
            write_atomic(run.path / name, content)
        try:
            os.rename(run.path, runs / one.id)  # noqa: PTH104 - fails where another process was quicker
        except OSError:
            if (runs / one.id).exists():
                return False
            raise
    return True


def _files(one: Packed) -> dict[str, bytes]:
    """Name -> content of what lies in a run's folder."""
    scores = [row for row in one.rows if row[-2] != "loss"]
    files = {
        "experiment.yaml": yaml.safe_dump(one.experiment, sort_keys=False).encode(),
        "status.json": json.dumps({**one.status, "unpacked": True}, indent=1).encode(),
        "metrics.jsonl": "".join(json.dumps(record) + "\n" for record in _records(one.rows)).encode(),
        **{f"domains/{name}": content for name, content in one.domains.items()},
    }
    if scores:
        files["scores.csv"] = as_csv([SCORE_COLUMNS, *scores]).encode()
    if one.environment is not None:
        files["environment.json"] = json.dumps(one.environment, indent=1).encode()
    if one.images:
        files["images.npz"] = image_counts.pack(one.images)
    return files


def _records(rows: Rows) -> Iterator[dict[str, Any]]:
    """As metrics.jsonl had them, without the times: of every step its loss, then its scores in short."""
    losses = {int(step): float(value) for step, *_, metric, value in rows if metric == "loss"}
    scores: dict[int, list[tuple[str, str, float]]] = {}
    for step, domain, role, _, metric, value in rows:
        if metric == "miou":
            scores.setdefault(int(step), []).append((domain, role, float(value)))
    for step in sorted(losses.keys() | scores.keys()):
        if step in losses:
            yield {"step": step, "loss": losses[step]}
        if step in scores:
            yield {"step": step, **in_short(scores[step])}


def _read(folder: Path) -> list[Packed]:
    """Every run that was packed. Raises ConfigError where the files do not fit together."""
    try:
        lines = [json.loads(line) for line in (folder / "runs.jsonl").read_text(encoding="utf-8").splitlines()]
        environments = json.loads((folder / "environments.json").read_text(encoding="utf-8"))
        images = image_counts.read_runs(folder / "images.npz")
    except FileNotFoundError as error:
        raise ConfigError(f"{error.filename}: no such file; `rein pack` writes it") from None
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ConfigError(f"{folder}: cannot be read ({error}); pack the results again") from None
    rows = _rows(folder / "results.csv")
    packed = []
    for number, line in enumerate(lines, 1):
        where = f"{folder / 'runs.jsonl'}, line {number}"
        try:
            id, status, digest = line["run_id"], line["status"], line["rows"]
            environment = None if line["environment"] is None else environments[line["environment"]]
            domains = {name: (folder / "domains" / Path(name).name).read_bytes() for name in line["domains"]}
            experiment = dict(line["experiment"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{where}: not as `rein pack` writes it: {error}") from None
        except FileNotFoundError as error:
            raise ConfigError(f"{error.filename}: no such file, and {where} needs it") from None
        check(id, experiment, where)
        if status.get("state") not in SEARCHED:
            raise ConfigError(f"{where}: run {id} is {status.get('state')}: only runs that are over are packed")
        if digest_of(as_csv(rows.get(id, []))) != digest:
            raise ConfigError(
                f"{folder / 'results.csv'}: the rows of run {id} are not those that were packed: some were changed, "
                f"rounded by a program that saved the file, or lost; take the file that was committed"
            )
        packed.append(Packed(id, experiment, status, environment, domains, images.get(id, {}), rows.get(id, [])))
    times = Counter(one.id for one in packed)
    for name, found in (("runs.jsonl", times), ("results.csv", rows), ("images.npz", images)):
        for id in found:
            if times[id] != 1:
                raise ConfigError(f"{folder / name}: run {id} is in runs.jsonl {times[id]} times; once is due")
    return packed


def _rows(file: Path) -> dict[str, Rows]:
    """Run id -> its rows, without the id."""
    found: dict[str, Rows] = {}
    try:
        with open(file, newline="", encoding="utf-8") as text:
            rows = csv.reader(text)
            if (header := tuple(next(rows, ()))) != COLUMNS:
                raise ConfigError(f"{file}: its columns are {', '.join(header)}; {', '.join(COLUMNS)} are due")
            for row in rows:
                if len(row) != len(COLUMNS):
                    raise ConfigError(f"{file}, line {rows.line_num}: {len(row)} values; {len(COLUMNS)} are due")
                found.setdefault(row[0], []).append(row[1:])
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; `rein pack` writes it") from None
    return found
