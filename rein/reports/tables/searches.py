"""What a search tried and what it cost, beside what the whole grid would have: by `source_val` alone, as it chose."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from rein.config import ConfigError, Table
from rein.reports.grid import MISSING, Cell, Column, Grid
from rein.reports.markup import join
from rein.reports.study import Study

#: What the search's own numbers are, for every caption.
CHOSEN = "`source_val` is the mean mIoU in percent on the sources' val splits, by which the search chose."


def searched_note(study: Study) -> str:
    """What an ordinary table must say of rows that a search has chosen; empty for a plain sweep."""
    search = study.sweep.search
    if search is None:
        return ""
    stopped = sum("pruned_at" in study.statuses[run_id] for run_id in study.runs["run_id"])
    how = f"{search.scheduler.method} stopped {stopped} of {len(study.runs)} early; " if search.scheduler else ""
    return (
        f"These runs were searched by `source_val`, not tabled: {how}only finished ones are shown, with one seed each, "
        f"and the best of many flatters itself on the source."
    )


def trials(study: Study, wanted: Table) -> Grid:
    """Every trial: its values, how it ended, the steps and seconds it got, the last `source_val` that was seen."""
    frame = _trials(study)
    best = frame["source_val"].max()
    rows = []
    for trial in frame.to_dict("records"):
        value = trial["source_val"]
        rows.append(
            (
                Cell(str(trial["point"])),
                Cell(str(trial["state"])),
                Cell(_count(trial["steps"])),
                Cell(_count(trial["seconds"])),
                Cell(MISSING if math.isnan(value) else f"{value:.1f}", "best" if value == best else ""),
            )
        )
    columns = (
        Column("trial", name=True), Column("state", name=True), Column("steps"), Column("seconds"),
        Column("source_val"),
    )  # fmt: skip
    text = join(wanted.caption, _cost_note(study, frame))
    return Grid(wanted.name, text, columns, tuple(rows), frame, conventions=(CHOSEN, "Bold is the best."))


def cost(study: Study, wanted: Table) -> Grid:
    """Two rows: the search, and all of its runs to their end, as a plain sweep of the same axes has them."""
    frame = _trials(study)
    whole = frame[frame["full_state"] == "done"]
    lines = [
        ("the search", len(frame), frame["steps"].sum(), frame["seconds"].sum(), frame["source_val"].max()),
        ("all runs to their end", len(whole), whole["full_steps"].sum(), whole["full_seconds"].sum(),
         whole["full_source_val"].max()),
    ]  # fmt: skip
    values = pd.DataFrame(lines, columns=["what", "runs", "steps", "seconds", "best source_val"])
    rows = []
    for what, runs, steps, seconds, best in lines:
        of = str(runs) if runs == len(frame) else _states(frame)
        share = [f"{100 * part / all_of:.0f}" if all_of and len(whole) == len(frame) else MISSING
                 for part, all_of in ((steps, lines[1][2]), (seconds, lines[1][3]))]  # fmt: skip
        value = MISSING if math.isnan(best) else f"{best:.1f}"
        cells = (of, _count(steps), share[0], _count(seconds), share[1], value)
        rows.append((Cell(what), *map(Cell, cells)))
    columns = (
        Column("", name=True), Column("runs"), Column("steps"), Column("% of steps"), Column("seconds"),
        Column("% of seconds"), Column("best source_val"),
    )  # fmt: skip
    missing = len(frame) - len(whole)
    partly = (
        f"{missing} of the {len(frame)} runs have not been taken to their end, so the lower row is not yet the whole "
        f"grid: the same sweep with `search=null` goes on with them."
    )
    text = join(wanted.caption, partly if missing else "")
    return Grid(wanted.name, text, columns, tuple(rows), values, conventions=(CHOSEN, _KEPT))


_KEPT = (
    "A run that was stopped and later taken to its end counts above with what it had when it was stopped, below with "
    "all of it."
)


def _trials(study: Study) -> pd.DataFrame:
    """A row a run: what it had spent and scored when the search was through with it, and by now."""
    if study.sweep.search is None:
        raise ConfigError(f"tables: {study.report.sweep} is no search; a table of kind `search` or `cost` shows one")
    scores = study.results[(study.results["metric"] == "miou") & (study.results["role"] == "source")]
    means = 100 * scores.groupby(["run_id", "step"], observed=True)["value"].mean()
    curves = {run_id: curve.droplevel(0) for run_id, curve in means.groupby(level=0, observed=True)}
    rows = []
    for run_id, point, state in study.runs[["run_id", "point", "state"]].itertuples(index=False):
        status: dict[str, Any] = study.statuses[run_id]
        now = {"step": status.get("step", 0), "seconds": status.get("seconds") or 0.0}
        then = status.get("pruned_at", now)
        curve = curves.get(run_id, pd.Series(dtype=float))
        seen = curve[curve.index <= then["step"]]
        said = f"pruned at {then['step']:,}" if "pruned_at" in status else state
        rows.append(
            {
                "run_id": run_id, "point": point, "state": said, "steps": then["step"],
                "seconds": then["seconds"] or 0.0, "source_val": _last(seen), "full_state": state,
                "full_steps": now["step"], "full_seconds": now["seconds"], "full_source_val": _last(curve),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _states(frame: pd.DataFrame) -> str:
    """`2 done, 1 pruned`."""
    return ", ".join(f"{number} {state}" for state, number in frame["full_state"].value_counts().sort_index().items())


def _last(curve: pd.Series) -> float:
    return float(curve.iloc[-1]) if len(curve) else math.nan


def _cost_note(study: Study, frame: pd.DataFrame) -> str:
    """What was spent, of what all trials would have taken to their end."""
    full = study.runs["steps"].sum()
    spent, seconds = frame["steps"].sum(), frame["seconds"].sum()
    return f"In all {spent:,} steps of the {full:,} that no early stop would have taken, in {seconds:,.0f} s."


def _count(number: float) -> str:
    return f"{number:,.0f}"
