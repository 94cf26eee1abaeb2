"""A sweep's plan beside what the ledger holds of it: what every table and figure of a report is a view of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from rein import domain_files, results
from rein.config import ConfigError, Report, Sweep, nearest
from rein.config.keys import fits
from rein.config.mappings import dotted
from rein.config.report import Selection
from rein.config_columns import Configs, categorical
from rein.config_io import check_domain, load
from rein.data.classes import CLASSES
from rein.data.selection import scored_domains
from rein.ledger import Run
from rein.results import FACTS
from rein.sweeps.plan import Planned
from rein.sweeps.search.members import known
from rein.worlds import Moved, move

#: The column of the mean over the targets in a wide frame of (role, domain).
AVERAGE = ("target", "Avg.")


@dataclass(frozen=True)
class Study:
    """One report's material."""

    report: Report
    sweep: Sweep
    #: The world that the sweep was run in, and what stands for what there.
    moved: Moved
    #: One row a planned run, in the sweep's order: run_id, point (a variant's name with its values on the axes), name
    #: (the sweep's own, without them), state (`not started` included), path, the dotted config, and the facts of the
    #: run where there are any.
    runs: pd.DataFrame
    #: The scores and losses of those runs, finished or not: `results.COLUMNS` and `point`; `runs` has their config.
    results: pd.DataFrame
    #: run_id -> what its status.json says.
    statuses: dict[str, dict[str, Any]]
    #: (domain, role) of all that some run is scored on.
    scored: list[tuple[str, str]]
    #: Targets of the document's earlier chapters: a domain has one colour in all of them.
    earlier: tuple[str, ...] = ()

    @property
    def done(self) -> pd.DataFrame:
        """The finished runs; tables and tests use no others."""
        return self.runs[self.runs["state"] == "done"]

    @cached_property
    def settings(self) -> pd.DataFrame:
        """What of the config tells variants apart, as text: every dotted key that differs somewhere, but the seed."""
        kept = [key for key in self.runs if key not in ("run_id", "point", "name", "state", "path", "seed", *FACTS)]
        text = self.runs[kept].astype(str)
        return text.loc[:, text.nunique(dropna=False) > 1]

    @property
    def points(self) -> list[str]:
        """The sweep's variants in its own order."""
        return list(dict.fromkeys(self.runs["point"]))

    @property
    def targets(self) -> list[str]:
        """Every target domain of the sweep, in the order of its configs; a source is none, whoever names it so."""
        sources = {name for names in self.runs["data.sources"] for name in names}
        return [name for name, role in self.scored if role == "target" and name not in sources]

    @property
    def sources(self) -> list[str]:
        """Every source domain of the sweep that is scored, in the order of its configs."""
        return [name for name, role in self.scored if role == "source"]

    @property
    def classes(self) -> list[str]:
        """What every mIoU is the mean over: the report's classes, or all that the runs tell apart."""
        return [*self.report.classes] or self.told_apart

    @property
    def told_apart(self) -> list[str]:
        """What the sweep's runs tell apart, in the order of train ids."""
        return list(dict.fromkeys(name for names in self.runs["data.classes"] for name in names or CLASSES))

    def only(self, wanted: Mapping[str, Any], where: str) -> Study:
        """The runs with these values alone: column of `runs` -> a value, a list of values, or text with `*`.

        Values of a world may be named as what they stand for. Raises ConfigError for a column that there is not, and
        where no run is left; `where` opens the message.
        """
        runs = self.runs
        for key, value in wanted.items():
            if key not in runs:
                raise ConfigError(
                    f"{where}: `filter`: `{key}` is no column of the results{nearest(key, map(str, runs))}"
                )
            runs = runs[[fits(one, value) or fits(self.original(one), value) for one in runs[key]]]
        if runs.empty:
            raise ConfigError(f"{where}: `filter`: no run of the sweep has {dict(wanted)}")
        if len(runs) == len(self.runs):
            return self
        results = self.results[self.results["run_id"].isin(runs["run_id"])]
        return replace(self, runs=runs.reset_index(drop=True), results=results)

    def on(self, targets: Sequence[str]) -> Study:
        """The study of these targets alone, in this order."""
        kept = [(name, role) for name, role in self.scored if role != "target" or name not in self.targets]
        return replace(self, scored=[*((name, "target") for name in targets), *kept])

    def original(self, value: Any) -> Any:
        """What a domain or backbone of a world stands for, or each of several; any other value is itself."""
        if isinstance(value, tuple):
            return tuple(self.original(one) for one in value)
        return self.moved.stands_for.get(value, value) if isinstance(value, str) else value


def gather(report: Report, runs_root: Path, world: str | None = None) -> Study:
    """Expand the report's sweep, in a world if one is named, and read what the ledger holds of its runs.

    Raises ConfigError where the selection rule has nothing to select by.
    """
    sweep = load(Sweep, report.sweep)
    moved = move(sweep if report.vary is None else replace(sweep, vary=report.vary), world)
    sweep = moved.sweep
    planned = known(sweep, runs_root, to_run=False)
    if not planned:
        raise ConfigError(f"{report.sweep}: this search has no run in {runs_root} yet; `rein sweep` starts it")
    _make_domains_known(planned, runs_root)
    rows, statuses, configs = [], {}, Configs()
    for item in planned:
        run = Run(runs_root / item.id)
        status = statuses[item.id] = run.status()
        own = {
            "run_id": item.id,
            "point": item.variant or sweep.experiment,
            "name": item.point or sweep.experiment,
            "state": status.get("state") or "not started",
            "path": run.path,
        }
        for group in configs.flat(item.experiment):
            own |= group
        rows.append(own)
    runs = pd.concat([pd.DataFrame(rows), results.facts_of(statuses.values())], axis=1)
    frame = results.scores(runs_root, statuses, losses=True)
    points, ids = dict(zip(runs["run_id"], runs["point"], strict=True)), frame["run_id"].cat
    frame.insert(1, "point", categorical([points[id] for id in ids.categories], ids.codes.to_numpy()))
    if report.classes:
        frame = results.of_classes(frame, report.classes)
    scored = dict.fromkeys(pair for item in planned for pair in scored_domains(item.experiment))
    study = Study(report, sweep, moved, runs, frame, statuses, list(scored))
    for name in report.classes:
        if name not in study.told_apart:
            raise ConfigError(f"classes: {name!r} is no class of the runs{nearest(name, study.told_apart)}")
    if report.selection == "source_val" and not study.sources:
        raise ConfigError("selection: `source_val` needs a source with a val split, and there is none; take `last`")
    return study


def _make_domains_known(planned: Sequence[Planned], runs_root: Path) -> None:
    """As the working folder describes them, or a run that keeps a copy.

    Raises ConfigError where two runs with results had different definitions of a domain: a mean would mix them.
    """
    runs = [(Run(runs_root / plan.id), plan.experiment.data) for plan in planned]
    keep = {run.id for run, _ in runs if run.domains.is_dir()}  # none where all domains are shipped ones
    for name in dict.fromkeys(name for _, data in runs for name in (*data.sources, *data.targets)):
        readers = [run for run, data in runs if name in (*data.sources, *data.targets)]
        copies = [run.domains for run in readers if run.id in keep and domain_files.copy(name, run.domains)]
        check_domain(name, kept=copies[0] if copies else None)
        if not copies:
            continue
        unlike = {domain_files.content(name, run.domains): run for run in readers if run.has_results}
        for run, other in pairwise(unlike.values()):
            if not domain_files.same(name, run.domains, other.domains):
                raise ConfigError(
                    f"{run.path} and {other.path} were run with two definitions of {name}; give one of them another "
                    f"name in the sweep, or remove the folders of the runs with the outdated one"
                )


def miou(study: Study, states: tuple[str, ...] = ("done",), rule: Selection | None = None) -> pd.DataFrame:
    """mIoU in percent at the selected checkpoint: a row a run (index run_id), a column a (role, domain).

    Targets come first, then their mean `AVERAGE` (only where there are several), then the sources' val splits. The
    mean is a run's own, and missing where one of its targets is. `rule` selects in place of the report's; `oracle`
    judges by the targets of the study.
    """
    frame = study.results[study.results["state"].isin(states)]
    return _wide(results.select(frame, rule or study.report.selection, study.targets), study)


def miou_by_step(study: Study) -> pd.DataFrame:
    """As `miou`, for every checkpoint that was scored, of runs in progress too; the index is (run_id, step)."""
    return _wide(study.results, study, ["run_id", "step"])


def target_column(study: Study) -> tuple[str, str]:
    """The column that a claim is about: the mean over the targets, or the only target."""
    return AVERAGE if len(study.targets) > 1 else ("target", study.targets[0])


def trajectory(study: Study) -> pd.DataFrame:
    """The logged training losses: run_id, point, step, value, in the order of steps."""
    losses = study.results[study.results["metric"] == "loss"]
    losses = losses[["run_id", "point", "step", "value"]].sort_values(["run_id", "step"], ignore_index=True)
    return losses.astype({"run_id": "str", "point": "str"})


def final_loss(losses: pd.DataFrame) -> pd.DataFrame:
    """A row a run: `final`, its mean loss over the last tenth of its steps, and `change` over the last quarter.

    `change` is the relative difference of `final` to the mean over the tenth of the steps that ends where the last
    quarter begins; near zero the curve is flat, and strongly negative it was still falling.
    """
    share = losses["step"] / losses.groupby("run_id")["step"].transform("max")
    parts = pd.DataFrame(
        {
            "run_id": losses["run_id"],
            "final": losses["value"].where(share > 0.9),
            "before": losses["value"].where((share > 0.65) & (share <= 0.75)),
        }
    )
    means = parts.groupby("run_id", sort=False).mean().reset_index()
    return means.assign(change=means["final"] / means["before"] - 1)[["run_id", "final", "change"]]


def environments(paths: Iterable[Path]) -> list[dict[str, object]]:
    """The recorded environment of every run that has one, as dotted keys; of the runs' folders."""

    @cache  # most runs of a sweep have the same
    def read(content: bytes) -> dict[str, object]:
        return dict(dotted(json.loads(content)))

    files = (path / "environment.json" for path in paths)
    return [read(file.read_bytes()) for file in files if file.is_file()]


def _wide(frame: pd.DataFrame, study: Study, index: list[str] | None = None) -> pd.DataFrame:
    chosen = frame[(frame["metric"] == "miou") & (frame["class"] == "all")]
    index, names = index or ["run_id"], ["role", "domain"]
    chosen = chosen[[*index, *names, "value"]].astype({"run_id": "str", "role": "str", "domain": "str"})
    wide = 100 * chosen.groupby([*index, *names])["value"].mean().unstack(names)
    targets = [("target", name) for name in study.targets]
    sources = [("source", name) for name in study.sources]
    wide = wide.reindex(columns=pd.MultiIndex.from_tuples([*targets, AVERAGE, *sources]))
    wide[AVERAGE] = wide[targets].mean(axis=1, skipna=False)
    return wide if len(targets) > 1 else wide.drop(columns=[AVERAGE])
