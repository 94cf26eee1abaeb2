"""Every variant against one: differences with their intervals, and a star where the seeds can bear it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rein import results
from rein.config import ConfigError, Table, nearest
from rein.reports.grid import MISSING, Cell, Column, Grid
from rein.reports.names import written
from rein.reports.notes import files_note
from rein.reports.statistics import MIN_SEEDS, Comparison, Difference, corrected, over_images, over_seeds, probability
from rein.reports.study import Study, miou, target_column
from rein.reports.tables.numbers import cell, difference, number
from rein.reports.tables.rows import SELECTION, Row, name, name_cells, rows_of
from rein.reports.tables.targets import of_targets

STAR = "*"


def comparisons(study: Study, wanted: Table) -> Grid:
    """Mean target mIoU of every row less that of the row `against`, over seeds that both have and over images."""
    study = of_targets(study, wanted)
    rows = rows_of(study, wanted)
    base = _against(study, wanted, rows)
    others = [row for row in rows if row is not base]
    found = corrected([_compare(study, row, base) for row in others])
    lines = [(base, None), *zip(others, found, strict=True)]
    columns = [Column(written(key, wanted.rename), name=True) for key in wanted.rows]
    columns += [Column("mIoU"), Column("difference", "over seeds"), Column("95 % interval", "over seeds")]
    columns += [Column("n", "over seeds"), Column("p (Holm)", "over seeds")]
    images = any(one.images for one in found)
    columns += [Column("difference", "over images"), Column("95 % interval", "over images")] if images else []
    cells = []
    for row, one in lines:
        mean = _scores(study, row)
        line = [*name_cells(study, wanted, row), cell(mean.mean(), number(mean.mean(), mean.std(), 1))]
        line += _of_seeds(one) if one else [Cell("against"), *[Cell(MISSING)] * 3]
        line += _of_images(one.images if one else None) if images else []
        cells.append(tuple(line))
    text = " ".join(filter(None, (wanted.caption.strip(), *_explained(study, wanted, base, found), files_note(study))))
    return Grid(wanted.name, text, tuple(columns), tuple(cells), _values(wanted, lines))


def _against(study: Study, wanted: Table, rows: list[Row]) -> Row:
    if not wanted.against:
        return rows[0]
    texts = [{*row.names, ", ".join(row.names), *(name(study, value, wanted) for value in row.values)} for row in rows]
    same = [row for row, text in zip(rows, texts, strict=True) if wanted.against in text]
    if len(same) != 1:
        known = {one for text in texts for one in text}
        what = f"{len(same)} rows have" if same else "no row has"
        near = "" if same else nearest(wanted.against, known)
        also = "; a row of several keys is named by all of them after another: `a, b`" if same else ""
        raise ConfigError(f"table {wanted.name!r}: `against`: {what} {wanted.against!r}{near}{also}")
    return same[0]


def _compare(study: Study, row: Row, base: Row) -> Comparison:
    return Comparison(over_seeds(_scores(study, row), _scores(study, base)), _over_images(study, row, base))


def _scores(study: Study, row: Row) -> pd.Series:
    """Seed -> mean target mIoU in percent, of the finished runs that have it."""
    scores = miou(study)[target_column(study)]
    seeds = row.runs.set_index("run_id")["seed"]
    scores = scores[scores.index.isin(seeds.index)].dropna()
    return scores.set_axis(seeds[scores.index].to_numpy())


def _over_images(study: Study, row: Row, base: Row) -> Difference | None:
    """The same over the images that all runs of shared seeds were scored on; None where they have not kept them.

    What a run keeps of its images is of its end, so only the `last` checkpoint can be told of.
    """
    if study.report.selection != "last":
        return None
    seeds = sorted(set(_scores(study, row).index) & set(_scores(study, base).index))
    ours, theirs = (_counts(study, one, seeds) if seeds else None for one in (row, base))
    if ours is None or theirs is None:
        return None
    try:
        return over_images(ours, theirs)
    except ValueError:  # other images: their difference would be of those
        return None


def _counts(study: Study, row: Row, seeds: list[int]) -> Mapping[str, np.ndarray] | None:
    """Domain -> (seeds, N, 3, K); None where a run lacks it, or the runs were scored on unlike images."""
    paths = row.runs.set_index("seed")["path"]
    kept = [results.images(paths[seed]) for seed in seeds]
    counts = {}
    for target in study.targets:
        of_target = [one[target] for one in kept if target in one]
        if len(of_target) < len(seeds) or len({one.names for one in of_target}) > 1:
            return None
        counts[target] = np.stack([one.counts for one in of_target])
    return counts


def _of_seeds(one: Comparison) -> list[Cell]:
    gap, p = one.difference, one.p
    text = difference(gap, 1) + (STAR if one.significant else "")
    told = probability(p).removeprefix("= ") if p is not None else MISSING
    return [cell(gap, text), Cell(_interval(one.seeds)), Cell(str(one.seeds.n), value=float(one.seeds.n)),
            Cell(told, value=p)]  # fmt: skip


def _of_images(one: Difference | None) -> list[Cell]:
    return [cell(one.value, difference(one.value, 1)), Cell(_interval(one))] if one else [Cell(MISSING)] * 2


def _interval(one: Difference) -> str:
    if one.low is None or one.high is None:
        return MISSING
    return f"{difference(one.low, 1)} to {difference(one.high, 1)}"


def _explained(study: Study, wanted: Table, base: Row, found: list[Comparison]) -> list[str]:
    targets = f", the mean over {len(study.targets)} targets" if len(study.targets) > 1 else ""
    tested = sum(one.p is not None for one in found)
    against = ", ".join(cell.text for cell in name_cells(study, wanted, base))
    few = len(found) - tested
    notes = [f"mIoU in percent{targets}, ± the sample standard deviation over seeds; every row less {against}."]
    if tested:
        notes.append(
            f"Over seeds: paired t test of the runs with the same seed, n of them, 95 % interval; p is corrected after "
            f"Holm over the {tested} comparisons of this table that were tested."
        )
    if few:
        notes.append(f"{few} of {len(found)} comparisons share fewer than {MIN_SEEDS} seeds: a number and no test.")
    if any(one.images for one in found):
        notes.append(
            "Over images: bootstrap of the images of every target under the nets as they are trained, 95 % interval; "
            "it says nothing of training anew."
        )
    if tested:
        clear = ", and the interval over images, where there is one, on the same side of zero"
        notes.append(
            f"A star: corrected p under 0.05{clear}. A lacking star does not show that there is no difference."
        )
    return [*notes, SELECTION[study.report.selection]]


def _values(wanted: Table, lines: list[tuple[Row, Comparison | None]]) -> pd.DataFrame:
    found = []
    for row, one in lines:
        line: dict[str, object] = dict(zip(wanted.rows, row.names, strict=True))
        for what, of in (("seeds", one.seeds), ("images", one.images)) if one else ():
            if of:
                line |= {f"{what} difference": of.value, f"{what} n": of.n, f"{what} low": of.low,
                         f"{what} high": of.high, f"{what} p": of.p}  # fmt: skip
        found.append(line | ({"p corrected": one.p, "significant": one.significant} if one else {}))
    return pd.DataFrame(found)
