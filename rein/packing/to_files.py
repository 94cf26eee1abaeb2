"""From run folders to the packed files."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rein import results
from rein.config import ConfigError, Sweep
from rein.ledger import Run, write_atomic
from rein.packing.images import pack_runs
from rein.packing.packed import COLUMNS, Packed, as_csv, as_json, check, digest_of, digest_of_run
from rein.sweeps.plan import Planned, final
from rein.sweeps.search.members import known

log = logging.getLogger(__name__)

#: What is kept of a run's status, and all `parameters.*`.
KEPT = (
    "state", "error", "started", "ended", "step", "steps", "device", "loss", "rate", "seconds", "peak_memory_mib",
    "data_wait", "micro_batch", "scored", "skipped_files", "unknown_ids", "pruned_at",
)  # fmt: skip
#: What of an environment says more of the machine than of the numbers: its kernel, by name.
LEFT_OUT = ("platform",)
#: So many of the runs that are left out are named.
NAMED = 8


def pack(sweeps: Sequence[Sweep], runs: Path, out: Path) -> dict[str, Any]:
    """Write the runs of some sweeps that are over into a folder; a row says how many, and the log which are not.

    Raises ConfigError where none is, two were run with different definitions of a domain, or the folder has a
    `domains` of its own.
    """
    if out.resolve() == Path.cwd() or ((out / "domains").exists() and not (out / "runs.jsonl").exists()):
        raise ConfigError(f"{out} is more than packed results, and its domains/ would be replaced; give them a folder")
    over, others = _sorted_out(sweeps, runs)
    if not over:
        raise ConfigError(f"no run of this sweep is over in {runs}, so there is nothing to pack; `rein sweep` runs it")
    chosen = [_of(Run(runs / id)) for id in sorted(over)]
    environments = {
        digest_of(as_json(one.environment)): one.environment for one in chosen if one.environment is not None
    }
    files = {
        "results.csv": as_csv([COLUMNS, *([one.id, *row] for one in chosen for row in one.rows)]).encode(),
        "runs.jsonl": "".join(_line(one) for one in chosen).encode(),
        "environments.json": (json.dumps(environments, indent=1) + "\n").encode(),
        "images.npz": pack_runs({one.id: one.images for one in chosen}),
        **{f"domains/{name}": content for name, content in _definitions(chosen, runs).items()},
    }
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out / name, content)
    for file in {*(out / "domains").glob("[!.]*")} - {out / name for name in files}:  # of runs that were packed before
        file.unlink()
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
    check(run.id, experiment, str(run.path / "experiment.yaml"))
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
        "environment": None if one.environment is None else digest_of(as_json(one.environment)),
        "domains": [*one.domains],
        "digest": digest_of_run(one),
        "experiment": one.experiment,
    }
    return as_json(line) + "\n"
