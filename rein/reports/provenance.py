"""What a report's numbers come from: how much of the sweeps is done, by what commands, settings and software."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rein.reports.missing import duration, hours_to_fill
from rein.reports.notes import files_mark
from rein.reports.study import Study, environments
from rein.reports.tables.conventions import SELECTION
from rein.sweeps.plan import final

#: The settings that every report prints; all others are in runs.csv.
_PRINTED = (
    "backbone.name", "backbone.weights", "data.sources", "data.targets", "data.batch_size",
    "data.crop_size", "steps", "seed",
)  # fmt: skip


def progress(studies: Sequence[Study]) -> str:
    """`partial: 7 of 12 runs done (1 failed, 4 not started); files were skipped in 2 of 7 runs`; empty once all are
    done and have read all files. A run that several chapters are about is one run."""
    done, others = set[str](), dict[str, str]()
    for study in studies:
        ends = final(study.sweep)  # a search is through with what it has stopped
        for run_id, state in study.runs[["run_id", "state"]].itertuples(index=False):
            if state in ends:
                done.add(run_id)
            else:
                others[run_id] = state
    counted = Counter(state for run_id, state in others.items() if run_id not in done)
    counts = ", ".join(f"{number} {state}" for state, number in counted.items())
    planned = len(done) + counted.total()
    partial = f"partial: {len(done)} of {planned} runs done ({counts})" if counted else ""
    return "; ".join(dict.fromkeys(filter(None, (partial, *map(files_mark, studies)))))


def provenance(study: Study, name: str = "", world: str | None = None) -> list[tuple[str, str]]:
    """(what, value) pairs that say how the numbers were made and let a reader make them again."""
    runs = study.runs
    vary = "" if study.report.vary is None else f" 'vary={json.dumps(study.report.vary)}'"
    there = f" --domains {world}" if world else ""
    sweep, report = study.report.sweep, name or "REPORT.yaml"
    commands = f"`rein sweep {sweep}{vary}{there}`, then `rein report {report}{vary}{there}`"
    facts = [("commands", commands), ("runs", f"{len(study.done)} done of {len(runs)} planned")]
    if unpacked := sum(bool(status.get("unpacked")) for status in study.statuses.values()):
        facts.append(("unpacked", f"{unpacked} runs were not made in this ledger: `rein unpack` took their results"))
    if hours := hours_to_fill([study]):
        facts.append(("to fill the missing cells", hours))
    facts += [(f"`{key}`", "; ".join(dict.fromkeys(_plain(value) for value in runs[key]))) for key in _PRINTED]
    subsets = {str(value) for value in runs["evaluation.images"] if pd.notna(value)}
    if subsets:
        facts.append(
            ("`evaluation.images`", f"{', '.join(sorted(subsets))}: a part of every domain's images is scored")
        )
    if study.report.classes:
        facts.append(("mIoU over the classes", ", ".join(study.report.classes)))
    facts.append(("selection rule", f"`{study.report.selection}`. {SELECTION[study.report.selection]}"))
    facts.append(("significance", "no test is made but where a sentence or a table above names it"))
    facts.append(
        (
            "total run time",
            duration(runs["seconds"].sum()) if runs["seconds"].notna().any() else "not recorded",
        )
    )
    memory = runs["peak_memory_mib"].max()
    if memory == memory:
        facts.append(("peak memory of a run", f"{memory:,.0f} MiB"))
    wait = runs["data_wait"].max()
    if wait == wait:
        facts.append(("waiting for data", f"at most {100 * wait:.0f} % of a run's time"))
    return facts


def altogether(studies: Sequence[Study]) -> list[tuple[str, str]]:
    """What several chapters took; a run that several of them are about is one run."""
    if len(studies) == 1:
        return []
    done = pd.concat([study.done[["run_id", "seconds"]] for study in studies]).drop_duplicates("run_id")
    if done.empty:
        return []
    return [
        ("all chapters", f"{len(done)} runs, each counted once, with {duration(done['seconds'].sum())} of run time")
    ]


def software(studies: Sequence[Study]) -> list[tuple[str, str]]:
    """Commit, device, weights and versions of the runs, each once; where they differ, every value with its number."""
    paths = {
        run_id: path for study in studies for run_id, path in study.runs[["run_id", "path"]].itertuples(index=False)
    }
    found, runs = environments(paths.values()), len(paths)
    if not found:
        return [("software", "no run has recorded its environment")]
    lines = []
    for key in dict.fromkeys(key for one in found for key in one):
        short = key.removeprefix("packages.").removeprefix("versions.")
        # Data digests and the like are for the machine; a reader wants versions, commit and device.
        if short == key and not any(word in key for word in ("commit", "dirty", "python", "device", "weights")):
            continue
        values = Counter(_plain(one[key]) for one in found if key in one)
        one = len(values) == 1
        lines.append(
            (
                short,
                next(iter(values))
                if one
                else ", ".join(f"{value} ({number} runs)" for value, number in values.items()),
            )
        )
    if len(found) < runs:
        lines.append(("environments recorded", f"{len(found)} of {runs} runs"))
    return lines


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
