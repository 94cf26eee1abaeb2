"""`rein sync`: MLflow is made to show what the ledger holds, from nothing if need be; twice is once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rein.config import ConfigError, nearest
from rein.ledger import FINAL, Run, Statuses, tracked
from rein.sweeps.folder import SweepFolder, sweep_folders
from rein.sweeps.plan import SEARCHED
from rein.sweeps.watching.copying import how_it_ended
from rein.sweeps.watching.rows import described
from rein.tracking import Tracker, default_uri

#: Runs between two words on how far things are.
SAID = 100

Named = tuple[Run, str]


def sync(names: Sequence[str], runs: Path, say: Callable[[str], None] = lambda text: None) -> list[dict[str, Any]]:
    """Copy the sweeps of those names, or all runs; a row a sweep says how many runs had something to be copied, were
    there already, and could not be copied, which `say` hears of each.

    Raises ConfigError where a name is no sweep that was started here, OSError where MLflow cannot be reached; what was
    copied until then stays.
    """
    statuses, uri = Statuses(runs), default_uri(runs)
    groups = [(folder.name, _members(folder, statuses)) for folder in _folders(names, runs)]
    if not names and (single := _single(groups, statuses)):
        groups.append(("", single))
    if not groups:
        return []
    try:
        tracker = Tracker(uri, runs)
        tracker.store.recall(prune=True)
        return [_copy(tracker, name, members, say) for name, members in groups]
    except Exception as error:
        if isinstance(error, ConfigError):
            raise
        why = f"MLflow at {tracked.shown(uri)}: {tracked.reason(error, uri)}"
        raise OSError(f"{why}; `rein sync` goes on where this one ended") from error


def told(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows as a person reads them: `copied 3, already there 10`."""
    return [{"sweep": row["sweep"], "runs": _numbers(row), "tracker": row["tracker"]} for row in rows]


def _numbers(row: Mapping[str, Any]) -> str:
    failed = f", not copied {row['failed']}" if row["failed"] else ""
    return f"copied {row['copied']}, already there {row['there']}{failed}"


def _folders(names: Sequence[str], runs: Path) -> list[SweepFolder]:
    known = {folder.name: folder for folder in sweep_folders(runs)}
    wanted = [Path(name).stem for name in names] or list(known)
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{name}: no sweep of that name was started in {runs}{nearest(name, known)}")
    return [known[name] for name in wanted]


def _members(folder: SweepFolder, statuses: Statuses) -> list[Named]:
    members = folder.members()
    return [(Run(folder.runs / member.id), member.name) for member in members if statuses.of(member.id)]


def _single(groups: Sequence[tuple[str, list[Named]]], statuses: Statuses) -> list[Named]:
    """The runs that belong to no sweep, by what they are."""
    known = {run.id for _, members in groups for run, _ in members}
    runs = [Run(statuses.runs / id) for id, _ in statuses.all() if id not in known]
    return [(run, _title(run)) for run in runs if (run.path / "experiment.yaml").is_file()]


def _title(run: Run) -> str:
    """What it is, or where that cannot be read its id: why comes out when it is copied."""
    try:
        return described(run.experiment())
    except ConfigError:
        return run.id


def _copy(tracker: Tracker, name: str, members: Sequence[Named], say: Callable[[str], None]) -> dict[str, Any]:
    tracker.leave_sweep()
    if name:
        tracker.open_sweep(name)
    copied, failed = 0, 0
    for number, (run, title) in enumerate(members, 1):
        try:
            is_new = tracker.sync(run, title, verify=True)
            tracker.adopt(run)
            copied += is_new
        except Exception as error:
            tracker.store.check()
            failed += 1
            say(f"{run.id} ({title}) could not be copied: {tracked.reason(error, tracker.store.uri)}")
        if number % SAID == 0:
            say(f"{name or 'runs of no sweep'}: {number} of {len(members)}")
    if name:
        tracker.close_sweep(_status(SweepFolder(tracker.store.runs, name)))
    there = len(members) - copied - failed
    return {
        "sweep": name or "(none)",
        "copied": copied,
        "there": there,
        "failed": failed,
        "tracker": tracked.shown(tracker.store.uri),
    }


def _status(folder: SweepFolder) -> str:
    """How a sweep reads in MLflow: by whether it is driven now, and else by how its runs ended."""
    if folder.drivers():
        return "RUNNING"
    states = [Run(folder.runs / member.id).state for member in folder.members()]
    return how_it_ended(states, FINAL if folder.trials() is None else SEARCHED)
