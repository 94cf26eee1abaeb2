"""The variants of a sweep as figures show them: what they are called, what they scored, what was published of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rein.config import ConfigError, Figure, nearest
from rein.published import Published
from rein.reports.figures.beside import beside, mean, remarks, source
from rein.reports.figures.picture import Look, looks
from rein.reports.grid import MISSING
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.statistics import count
from rein.reports.study import AVERAGE, Study, miou, target_column
from rein.reports.tables.numbers import number


@dataclass(frozen=True)
class Variant:
    """The runs that differ in their seed alone."""

    #: The sweep's name, how it is written, and how without the key that has the colour.
    point: str
    label: str
    rest: str
    #: What has the colour, as it is written.
    hue: str
    #: The settings and facts of one of its runs.
    run: pd.Series
    #: mIoU of its finished runs in percent: a row a run, a column a (role, domain).
    scores: pd.DataFrame
    planned: int
    #: The published row that says the same, and its mean over the targets; nan where there is none.
    row: Published | None
    published: float

    @property
    def trainable(self) -> float:
        """Trainable parameters of the backbone; nan where no run has recorded them."""
        return float(self.run["parameters.backbone_trainable"])

    def mean(self, column: tuple[str, str]) -> float:
        return float(self.scores[column].mean())

    def sd(self, column: tuple[str, str]) -> float:
        """The sample standard deviation over seeds; nan for one."""
        return float(self.scores[column].std())

    def said(self, column: tuple[str, str]) -> str:
        """`DINOv2-L, Rein: mIoU 64.1 ± 0.3 % (n 3), 2.99 M trainable`."""
        done = int(self.scores[column].count())
        of = "" if done == self.planned else f" of {self.planned}"
        parameters = f", {count(self.trainable)} trainable" if self.trainable == self.trainable else ""
        value = number(self.mean(column), self.sd(column), 1)
        return f"{self.label}: mIoU {value} % (n {done}{of}){parameters}"

    def said_there(self, value: float) -> str:
        """`DINOv2-L, Rein: mIoU 64.3 % (published, Rein T2)`."""
        return f"{self.label}: mIoU {value:.1f} % (published, {self.row.table if self.row else MISSING})"


def variants(study: Study, wanted: Figure, without: Collection[str] = ()) -> list[Variant]:
    """Those that a figure asks for, finished or not; `without` are keys that its axes show, so that no name needs them.

    Raises ConfigError where `hue` is no column of the results.
    """
    if wanted.hue and wanted.hue not in study.runs:
        known = map(str, study.runs)
        raise ConfigError(
            f"figure {wanted.name!r}: `hue`: `{wanted.hue}` is no column of the results{nearest(wanted.hue, known)}"
        )
    scores, rows = miou(study), beside(study, wanted.published, wanted.rename)
    names = labels(study, wanted.rename)
    rests = labels(study, wanted.rename, {wanted.hue, *without} - {""})
    by_point = {str(point): runs for point, runs in study.runs.groupby("point", sort=False)}
    found = []
    for point in wanted.points or study.points:
        # A run that has recorded its parameters tells them for all.
        run = by_point[point].sort_values("parameters.backbone_trainable", kind="stable").iloc[0]
        hue = setting(wanted.hue, run[wanted.hue], wanted.rename) if wanted.hue not in ("", "point") else rests[point]
        own = scores[scores.index.isin(by_point[point]["run_id"])]
        row = rows.get(point)
        published = mean(row, study) if row else math.nan
        found.append(Variant(point, names[point], rests[point], hue, run, own, len(by_point[point]), row, published))
    return found


def labels(study: Study, rename: Mapping[str, str], without: Collection[str] = ()) -> dict[str, str]:
    """Point -> its name as it is written, `Rein, DINOv2-L, rank 4`, of what differs between the study's variants.

    Without keys that a figure shows otherwise the name may be empty.
    """
    keys = ["name", *(key for key in study.sweep.vary if key != "seed" and key in study.runs)]
    differing = [key for key in keys if key not in without and study.runs[key].astype(str).nunique() > 1]
    found = {}
    for _, run in study.runs.drop_duplicates("point").iterrows():
        point = run["point"]
        # An axis that a variant's tuning does not have is none of its name.
        axes = [key for key in differing if key == "name" or f"{key}=" in point]
        text = ", ".join(setting(key, run[key], rename) for key in axes)
        found[point] = rename.get(point, text if text or without else written(run["name"], rename))
    return found


def setting(key: str, value: Any, rename: Mapping[str, str]) -> str:
    """A value as a name of its own, `DINOv2-L`; a number with what it is a number of, `rank 4`."""
    if isinstance(value, (str, tuple)):
        return written(value, rename)
    if value is None or value != value:
        return MISSING
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return rename.get(text, f"{written(key, rename)} {text}")


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """A look for every different name, in their order."""
    names = list(dict.fromkeys(names))
    return dict(zip(names, looks(len(names)), strict=True))


def aim(study: Study, rename: Mapping[str, str]) -> tuple[tuple[str, str], str]:
    """The column that a figure is about, and what its axis says."""
    column = target_column(study)
    return column, "average target mIoU in %" if column == AVERAGE else f"{written(column[1], rename)} mIoU in %"


def spread_note(found: Sequence[Variant]) -> str:
    """What stands for the seeds, and how many there are."""
    done = [len(one.scores) for one in found if len(one.scores)]
    if max(done) == 1:
        return "One run each: there is no spread to show."
    few = f"{min(done)}–{max(done)}" if min(done) < max(done) else str(max(done))
    return f"Bars are one sample standard deviation over {few} seeds."


def left_out(found: Sequence[Variant]) -> str:
    """Names what has no finished run."""
    missing = [one.label for one in found if not len(one.scores)]
    return f"Without a finished run, and not drawn: {'; '.join(missing)}." if missing else ""


def measured_first(handles: Sequence[Any], texts: Sequence[str]) -> tuple[list[Any], list[str]]:
    """A legend's entries in the order that puts published ones in a column of their own."""
    order = sorted(range(len(texts)), key=lambda one: texts[one].endswith("published"))
    return [handles[one] for one in order], [texts[one] for one in order]


def published_note(
    study: Study, wanted: Figure, rows: Sequence[Published], about: Sequence[str], mark: str = "Hollow"
) -> str:
    """Where the published values come from, and what is known to be amiss with them; empty where none was asked for,
    and in a world, which has none.

    `about` are the domains that are drawn, or `avg` for their mean.
    """
    if not wanted.published or study.moved.world is not None:
        return ""
    if not rows:
        return f"No row of {wanted.published} is about one of these variants and targets."
    return join(f"{mark}: published values ({source(rows)}).", remarks(rows, about))
