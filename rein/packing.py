"""The results of sweeps in a few small files that a repository can hold, and run folders made of them again.

| file | holds |
| --- | --- |
| `results.csv` | `run_id` and the columns of a run's scores.csv: every score of every run, and its logged losses |
| `runs.jsonl` | a line a run: its experiment, what its status says (`KEPT`), a digest of its rows in results.csv |
| `environments.json` | by digest, what the runs were made with; most of a sweep have one and the same |
| `images.npz` | what every image adds to a run's scores at its end (`rein.image_counts.read_runs`) |
| `domains/` | the files that describe domains of one's own |

Runs are in the order of their ids, and packing again gives the same bytes. No file names a host, a process or a place,
but for what a domain's file says of its own. A ledger stays what reports read: `unpack` makes run folders, without
weights and pictures.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

import yaml

from rein import image_counts, results
from rein.config import ConfigError, Experiment, Sweep, run_id
from rein.config_io import build
from rein.image_counts import ImageCounts
from rein.ledger import Run, write_atomic
from rein.ledger.run import SCORE_COLUMNS
from rein.ledger.scored import in_short
from rein.sweeps.plan import SEARCHED, Planned, final
from rein.sweeps.search.members import known

log = logging.getLogger(__name__)

COLUMNS = ("run_id", *SCORE_COLUMNS)
#: What is kept of a run's status, and all `parameters.*`.
KEPT = (
    "state", "error", "started", "ended", "step", "steps", "device", "loss", "rate", "seconds", "peak_memory_mib",
    "data_wait", "micro_batch", "scored", "skipped_files", "unknown_ids", "pruned_at",
)  # fmt: skip
#: What of an environment says more of the machine than of the numbers: its kernel, by name.
LEFT_OUT = ("platform",)
#: So many of the runs that are left out are named.
NAMED = 8

Rows = list[list[str]]


@dataclass(frozen=True)
class Packed:
    """One run as the files have it."""

    id: str
    experiment: Mapping[str, Any]
    status: Mapping[str, Any]
    environment: Mapping[str, Any] | None
    #: Name -> content of the files that describe its domains.
    domains: Mapping[str, bytes]
    images: Mapping[str, ImageCounts]
    #: As scores.csv has them, and the losses behind.
    rows: Rows


# ---------------------------------------------------------------- pack


def pack(sweeps: Sequence[Sweep], runs: Path, out: Path) -> dict[str, Any]:
    """Write the runs of some sweeps that are over into a folder; a row says how many, and the log which are not.

    Raises ConfigError where none is, or two were run with different definitions of a domain.
    """
    over, others = _sorted_out(sweeps, runs)
    if not over:
        raise ConfigError(f"no run of this sweep is over in {runs}, so there is nothing to pack; `rein sweep` runs it")
    chosen = [_of(Run(runs / id)) for id in sorted(over)]
    environments = {_digest(_json(one.environment)): one.environment for one in chosen if one.environment is not None}
    files = {
        "results.csv": _csv([COLUMNS, *([one.id, *row] for one in chosen for row in one.rows)]).encode(),
        "runs.jsonl": "".join(_line(one) for one in chosen).encode(),
        "environments.json": (json.dumps(environments, indent=1) + "\n").encode(),
        "images.npz": image_counts.pack_runs({one.id: one.images for one in chosen}),
        **{f"domains/{name}": content for name, content in _definitions(chosen, runs).items()},
    }
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out / name, content)
    if others:
        named = [f"{plan.label} ({state or 'not started'})" for plan, state in others.values()][:NAMED]
        more = f"; and {len(others) - NAMED} more" if len(others) > NAMED else ""
        log.warning(
            "%d of %d runs are not over, and so not packed: %s%s",
            len(others), len(over) + len(others), "; ".join(named), more,
        )  # fmt: skip
    return {"runs": len(chosen), "left out": len(others), "folder": str(out), "bytes": sum(map(len, files.values()))}


def _sorted_out(sweeps: Sequence[Sweep], runs: Path) -> tuple[set[str], dict[str, tuple[Planned, str | None]]]:
    """The ids of the runs that are over, and the others with their states."""
    over, others = set[str](), dict[str, tuple[Planned, str | None]]()
    for sweep in sweeps:
        for plan in known(sweep, runs, to_run=False):
            if (state := Run(runs / plan.id).state) in final(sweep):
                over.add(plan.id)
            else:
                others[plan.id] = plan, state
    return over, {id: other for id, other in others.items() if id not in over}


def _of(run: Run) -> Packed:
    """A run as it is packed. Raises ConfigError where its folder does not hold what its name says."""
    experiment = run.values()
    backbone = experiment.get("backbone") or {}
    if "weights" in backbone:  # of a file only the name counts
        backbone["weights"] = Path(backbone["weights"]).name
    _check(run.id, experiment, str(run.path / "experiment.yaml"))
    status = run.status()
    kept = {key: status[key] for key in status if key in KEPT or key.startswith("parameters.")}
    kept = {key: value for key, value in kept.items() if value is not None}
    try:
        facts = json.loads((run.path / "environment.json").read_text())
        environment = {key: value for key, value in facts.items() if key not in LEFT_OUT}
    except FileNotFoundError:
        environment = None
    domains = {path.name: path.read_bytes() for path in sorted(run.domains.glob("[!.]*"))}
    rows = list(csv.reader(io.StringIO(results.lines(run, losses=True).decode())))
    return Packed(run.id, experiment, kept, environment, domains, results.images(run.path), rows)


def _definitions(chosen: Iterable[Packed], runs: Path) -> dict[str, bytes]:
    """Name -> content of all files that describe domains."""
    found: dict[str, tuple[bytes, str]] = {}
    for one in chosen:
        for name, content in one.domains.items():
            first, other = found.setdefault(name, (content, one.id))
            if first != content:
                raise ConfigError(
                    f"{runs / other} and {runs / one.id} were run with two definitions of a domain ({name}); pack "
                    f"their sweeps into two folders"
                )
    return {name: found[name][0] for name in sorted(found)}


def _line(one: Packed) -> str:
    line = {
        "run_id": one.id,
        "status": one.status,
        "environment": None if one.environment is None else _digest(_json(one.environment)),
        "domains": [*one.domains],
        "rows": _digest(_csv(one.rows)),
        "experiment": one.experiment,
    }
    return _json(line) + "\n"


# ---------------------------------------------------------------- unpack


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
        files["scores.csv"] = _csv([SCORE_COLUMNS, *scores]).encode()
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
        _check(id, experiment, where)
        if status.get("state") not in SEARCHED:
            raise ConfigError(f"{where}: run {id} is {status.get('state')}: only runs that are over are packed")
        if _digest(_csv(rows.get(id, []))) != digest:
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


# ---------------------------------------------------------------- both


def _check(id: str, experiment: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError where a run is not named by its experiment."""
    name = run_id(build(Experiment, experiment, f"{where}: run {id}", to_run=False))
    if name != id:
        raise ConfigError(
            f"{where}: run {id} has the experiment of {name}: it was changed, or written by another version of rein"
        )


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
