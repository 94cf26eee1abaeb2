"""From the packed files to run folders."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import yaml

from rein import image_counts
from rein.config import ConfigError
from rein.ledger import Run, write_atomic
from rein.ledger.run import SCORE_COLUMNS
from rein.ledger.scored import in_short
from rein.packing.images import read_runs
from rein.packing.packed import COLUMNS, Packed, Rows, as_csv, check, digest_of_run
from rein.sweeps.plan import SEARCHED

T = TypeVar("T")

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
    lines = _content(folder / "runs.jsonl", lambda file: [*map(json.loads, file.read_text("utf-8").splitlines())])
    environments = _content(folder / "environments.json", lambda file: json.loads(file.read_text("utf-8")))
    images = _content(folder / "images.npz", read_runs)
    rows = _content(folder / "results.csv", _rows)
    packed = []
    for number, line in enumerate(lines, 1):
        where = f"{folder / 'runs.jsonl'}, line {number}"
        try:
            id, experiment, status = line["run_id"], dict(line["experiment"]), dict(line["status"])
            environment = None if line["environment"] is None else environments[line["environment"]]
            names, digest = [str(name) for name in line["domains"]], line["digest"]
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{where}: not as `rein pack` writes it ({error}); pack the results again") from None
        check(id, experiment, where)  # which also makes it a name without folders
        if odd := [name for name in names if Path(name).name != name or name.startswith(".")]:
            raise ConfigError(f"{where}: run {id} has a domain's file {odd[0]!r}: it must be a name without folders")
        domains = {name: _content(folder / "domains" / name, Path.read_bytes) for name in names}
        one = Packed(id, experiment, status, environment, domains, images.get(id, {}), rows.get(id, []))
        if digest_of_run(one) != digest:
            raise ConfigError(
                f"{where}: run {id} is not as it was packed: this line, its environment, domains, images or rows of "
                f"results.csv were changed, rounded by a program that saved them, or lost; take the files that were "
                f"committed, or pack the results again"
            )
        packed.append(one)
    times = Counter(one.id for one in packed)
    for name, found in (("runs.jsonl", times), ("results.csv", rows), ("images.npz", images)):
        for id in found:
            if times[id] != 1:
                raise ConfigError(f"{folder / name}: run {id} is in runs.jsonl {times[id]} times; once is due")
    return packed


def _content(file: Path, read: Callable[[Path], T]) -> T:
    """What a reader makes of a file. Raises ConfigError where it cannot."""
    try:
        return read(file)
    except ConfigError:
        raise
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; `rein pack` writes it") from None
    except Exception as error:  # damaged bytes make zip, numpy and csv raise almost anything
        raise ConfigError(f"{file}: cannot be read ({error}); pack the results again") from None


def _rows(file: Path) -> dict[str, Rows]:
    """Run id -> its rows, without the id."""
    found: dict[str, Rows] = {}
    with open(file, newline="", encoding="utf-8") as text:
        rows = csv.reader(text)
        if (header := tuple(next(rows, ()))) != COLUMNS:
            raise ConfigError(f"{file}: its columns are {', '.join(header)}; {', '.join(COLUMNS)} are due")
        for row in rows:
            if len(row) != len(COLUMNS):
                raise ConfigError(f"{file}, line {rows.line_num}: {len(row)} values; {len(COLUMNS)} are due")
            found.setdefault(row[0], []).append(row[1:])
    return found
