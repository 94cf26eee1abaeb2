"""Every variant against one: differences with their intervals, and a star where the seeds can bear it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from rein import results
from rein.config import ConfigError, Table, nearest
from rein.image_counts import ImageCounts
from rein.reports.grid import MISSING, Cell, Column, Grid
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.notes import files_note, unlike_domains
from rein.reports.statistics import (
    ALPHA,
    MIN_IMAGES,
    MIN_SEEDS,
    Comparison,
    Difference,
    corrected,
    draws_for,
    over_images,
    over_seeds,
    probability,
)
from rein.reports.study import Study, miou, target_column
from rein.reports.tables.conventions import PERCENT, SELECTION, mean_over
from rein.reports.tables.numbers import cell, difference, number
from rein.reports.tables.rows import Row, name, name_cells, rows_of
from rein.reports.tables.targets import of_targets

STAR = "*"

#: Why there is no p.
FEW, UNLIKE = f"n < {MIN_SEEDS}", "other images"

BOTH = (
    "A difference is over the n seeds that both rows have; ± is the sample standard deviation over all seeds of a row."
)
OVER_IMAGES = (
    "Over images: bootstrap of the images of every target under the nets as they are trained, 95 % interval; it says "
    "nothing of training anew."
)
ON_BOTH = ", over seeds and over images, and both on one side of zero"


def comparisons(study: Study, wanted: Table) -> Grid:
    """Mean target mIoU of every row less that of the row `against`, over seeds that both have and over images."""
    study = of_targets(study, wanted)
    rows = rows_of(study, wanted)
    base = _against(study, wanted, rows)
    others = [row for row in rows if row is not base]
    found = corrected([_compare(study, row, base, len(others)) for row in others])
    lines = [(base, None), *zip(others, found, strict=True)]
    columns = [Column(written(key, wanted.rename), name=True) for key in wanted.rows]
    columns += [Column("mIoU"), Column("difference", "over seeds"), Column("95 % interval", "over seeds")]
    columns += [Column("n", "over seeds"), Column("p (Holm)", "over seeds")]
    images = _are_images_tested(found)
    columns += [Column(title, "over images") for title in ("difference", "95 % interval", "p (Holm)") if images]
    cells = []
    for row, one in lines:
        mean = _scores(study, row)
        line = [*name_cells(study, wanted, row), cell(mean.mean(), number(mean.mean(), mean.std(), 1))]
        line += _of_seeds(one) if one else [Cell("against"), *[Cell(MISSING)] * 3]
        line += _of_images(one) if images else []
        cells.append(tuple(line))
    return Grid(
        wanted.name, join(wanted.caption, _own(study, wanted, base, found)), tuple(columns), tuple(cells),
        _values(wanted, lines), conventions=tuple(_conventions(study, found)),
    )  # fmt: skip


def _against(study: Study, wanted: Table, rows: list[Row]) -> Row:
    if not wanted.against:
        return rows[0]
    told = [[name(study, value, wanted) for value in row.values] for row in rows]
    texts = [
        {*row.names, ", ".join(row.names), *names, ", ".join(names)} for row, names in zip(rows, told, strict=True)
    ]
    same = [row for row, text in zip(rows, texts, strict=True) if wanted.against in text]
    if len(same) != 1:
        known = {one for text in texts for one in text}
        what = f"{len(same)} rows have" if same else "no row has"
        near = "" if same else nearest(wanted.against, known)
        also = "; a row of several keys is named by all of them after another: `a, b`" if same else ""
        raise ConfigError(f"table {wanted.name!r}: `against`: {what} {wanted.against!r}{near}{also}")
    return same[0]


def _compare(study: Study, row: Row, base: Row, comparisons: int) -> Comparison:
    """Nothing is tested where the runs of the shared seeds were not all scored on the same images."""
    ours, theirs = _scores(study, row), _scores(study, base)
    found, seeds = over_seeds(ours, theirs), sorted({*ours.index} & {*theirs.index})
    runs = pd.concat([row.runs, base.runs])
    runs = runs[runs["seed"].isin(seeds)]
    if {*unlike_domains(replace(study, runs=runs))} & {*study.targets}:
        return Comparison(found.untested)
    try:
        return Comparison(found, _over_images(study, row, base, seeds, comparisons))
    except ValueError:  # the same names, but not the same images
        return Comparison(found.untested)


def _scores(study: Study, row: Row) -> pd.Series:
    """Seed -> mean target mIoU in percent, of the finished runs that have it."""
    scores = miou(study)[target_column(study)]
    seeds = row.runs.set_index("run_id")["seed"]
    scores = scores[scores.index.isin(seeds.index)].dropna()
    return scores.set_axis(seeds[scores.index].to_numpy())


def _over_images(study: Study, row: Row, base: Row, seeds: list[int], comparisons: int) -> Difference | None:
    """The same over the images of these seeds' runs; None where they have not kept them.

    What a run keeps of its images is of its end, so only the `last` checkpoint can be told of. Raises
    ValueError where the images are not the same.
    """
    if study.report.selection != "last":
        return None
    ours, theirs = (_counts(study, one, seeds) if seeds else None for one in (row, base))
    if ours is None or theirs is None:
        return None
    return over_images(*_paired(ours, theirs), draws=draws_for(comparisons))


def _counts(study: Study, row: Row, seeds: list[int]) -> Mapping[str, list[ImageCounts]] | None:
    """Domain -> what the run of every seed keeps; None where a run lacks it."""
    paths = row.runs.set_index("seed")["path"]
    kept = [results.images(paths[seed]) for seed in seeds]
    if study.report.classes:
        order = [study.told_apart.index(name) for name in study.report.classes]
        kept = [{name: replace(one, counts=one.counts[..., order]) for name, one in of.items()} for of in kept]
    if not all(target in one for one in kept for target in study.targets):
        return None
    return {target: [one[target] for one in kept] for target in study.targets}


def _paired(*variants: Mapping[str, list[ImageCounts]]) -> list[dict[str, np.ndarray]]:
    """Of each variant domain -> (seeds, N, 3, K). Raises ValueError where images differ by their names."""
    for domain in variants[0]:
        if len({one.names for variant in variants for one in variant[domain]}) > 1:
            raise ValueError(f"{domain}: the images differ")
    return [{domain: np.stack([one.counts for one in runs]) for domain, runs in kept.items()} for kept in variants]


def _of_seeds(one: Comparison) -> list[Cell]:
    gap, n = one.difference, one.seeds.n
    text = difference(gap, 1) + (STAR if one.significant else "")
    told = Cell(FEW if n < MIN_SEEDS else UNLIKE) if one.p is None else _p(one.p)
    return [cell(gap, text), Cell(_interval(one.seeds)), Cell(str(n), value=float(n)), told]


def _of_images(one: Comparison | None) -> list[Cell]:
    if one is None or one.images is None:
        return [Cell(MISSING)] * 3
    gap = one.images.value
    return [cell(gap, difference(gap, 1)), Cell(_interval(one.images)), _p(one.p_images)]


def _p(p: float | None) -> Cell:
    return Cell(MISSING if p is None else probability(p).removeprefix("= "), value=p)


def _interval(one: Difference) -> str:
    if one.low is None or one.high is None:
        return MISSING
    return f"{difference(one.low, 1)} to {difference(one.high, 1)}"


def _own(study: Study, wanted: Table, base: Row, found: list[Comparison]) -> str:
    """What the caption of this table says: against what, and how many comparisons were tested."""
    against = ", ".join(cell.text for cell in name_cells(study, wanted, base))
    tested, few = sum(one.p is not None for one in found), sum(one.seeds.n < MIN_SEEDS for one in found)
    images, unlike = sum(one.p_images is not None for one in found), len(found) - tested - few
    unlike_images = (
        f"{unlike} of {len(found)} comparisons rest on runs that were not all scored on the same images: a number and "
        f"no test."
    )
    over_images = f", {images} over images" if images else ""
    return join(
        mean_over(len(study.targets)),
        f"Differences are those to {against}.",
        f"{_number(tested, len(found))} tested over seeds{over_images}." if tested else "",
        f"{few} of {len(found)} comparisons share fewer than {MIN_SEEDS} seeds: a number and no test." if few else "",
        unlike_images if unlike else "",
        _too_few_images(study, base, found),
        files_note(study),
    )


def _are_images_tested(found: list[Comparison]) -> bool:
    return any(one.p_images is not None for one in found)


def _too_few_images(study: Study, base: Row, found: list[Comparison]) -> str:
    """Why nothing was tested over images that were kept: targets with fewer than a bootstrap can bear."""
    if _are_images_tested(found) or not any(one.images for one in found):
        return ""
    kept = _counts(study, base, [*_scores(study, base).index][:1]) or {}
    sizes = {domain: len(one[0].names) for domain, one in kept.items()}
    small = [f"{domain} has {size}" for domain, size in sizes.items() if size < MIN_IMAGES]
    return f"There is no star, since nothing was tested over images: that takes {MIN_IMAGES}, and {', '.join(small)}."


def _number(tested: int, of: int) -> str:
    """`All 3 comparisons were`, `1 of 3 comparisons was`."""
    if tested == of > 1:
        return f"All {of} comparisons were"
    return f"{tested} of {of} comparison{'' if of == 1 else 's'} {'was' if tested == 1 else 'were'}"


def _conventions(study: Study, found: list[Comparison]) -> list[str]:
    images, tested = _are_images_tested(found), any(one.p is not None for one in found)
    of_p = (
        "Over seeds: paired t test of the runs with the same seed, 95 % interval.",
        "p is corrected after Holm over the comparisons of a table that were tested alike.",
    )
    of_stars = (
        f"A star: corrected p under {ALPHA:g}{ON_BOTH if images else ''}. A lacking star does not show that there is "
        f"no difference."
    )
    is_there_a_star = images or not any(one.images for one in found)
    return [
        PERCENT,
        BOTH,
        *(of_p if tested else ()),
        *((of_stars,) if tested and is_there_a_star else ()),
        *((OVER_IMAGES,) if images else ()),
        SELECTION[study.report.selection],
    ]


def _values(wanted: Table, lines: list[tuple[Row, Comparison | None]]) -> pd.DataFrame:
    found = []
    for row, one in lines:
        line: dict[str, object] = dict(zip(wanted.rows, row.names, strict=True))
        for what, of in (("seeds", one.seeds), ("images", one.images)) if one else ():
            if of:
                line |= {f"{what} difference": of.value, f"{what} n": of.n, f"{what} low": of.low,
                         f"{what} high": of.high, f"{what} p": of.p}  # fmt: skip
        if one:
            line |= {"p corrected": one.p, "images p corrected": one.p_images, "significant": one.significant}
        found.append(line)
    return pd.DataFrame(found)
