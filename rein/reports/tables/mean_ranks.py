"""Mean ranks of the variants over the targets, and which of them the targets can tell apart."""

from __future__ import annotations

import pandas as pd

from rein.config import Table
from rein.reports.grid import MISSING, Cell, Column, Grid
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.notes import files_note
from rein.reports.statistics import ALPHA, Ranking, over_shared_seeds, probability, ranking
from rein.reports.study import Study, miou
from rein.reports.tables.conventions import SELECTION
from rein.reports.tables.numbers import cell
from rein.reports.tables.rows import Row, name, name_cells, rows_of
from rein.reports.tables.targets import of_targets


def mean_ranks(study: Study, wanted: Table) -> Grid:
    """The rank of every row on every target by its mean over shared seeds, and the mean of the ranks, best first."""
    study = of_targets(study, wanted)
    rows = {str(place): row for place, row in enumerate(rows_of(study, wanted))}
    own = {key: _scores(study, row) for key, row in rows.items()}
    own = {key: scores for key, scores in own.items() if len(scores)}  # a row that lacks a target cannot be ranked
    scores, seeds = over_shared_seeds(own)
    found = ranking(scores) if seeds and min(scores.shape) > 1 else None
    ranks = scores.rank(axis=1, ascending=False)
    order = [*ranks.mean().sort_values(kind="stable").index, *(key for key in rows if key not in scores)]
    columns = [Column(written(key, wanted.rename), name=True) for key in wanted.rows]
    columns += [Column("n"), Column("mean rank"), Column("group")]
    columns += [Column(name(study, target, wanted), "rank on") for target in study.targets]
    cells = []
    for key in order:
        of_row = ranks[key] if key in ranks else pd.Series(float("nan"), study.targets)
        mean = float(of_row.mean())
        numbers = [cell(rank, MISSING if pd.isna(rank) else f"{rank:g}") for rank in of_row]
        average = cell(mean, MISSING if pd.isna(mean) else f"{mean:.2f}")
        n = _n(len(seeds), len(own[key])) if key in own else Cell(MISSING)
        cells.append((*name_cells(study, wanted, rows[key]), n, average, Cell(_letters(found, key)), *numbers))
    said = _own(found, [len(one) for one in own.values()], seeds, len(rows))
    text = join(wanted.caption, said, files_note(study))
    values = pd.DataFrame([rows[key].names for key in order], columns=pd.Index(wanted.rows))
    values["n"] = [len(seeds) if key in own else 0 for key in order]
    for target in study.targets:
        values[f"{target} rank"] = [ranks[key][target] if key in ranks else None for key in order]
    conventions = tuple(_conventions(study, found))
    return Grid(wanted.name, text, tuple(columns), tuple(cells), values, conventions=conventions)


def _scores(study: Study, row: Row) -> pd.DataFrame:
    """mIoU of a row's finished runs that are scored on all targets: a line a seed, a column a target."""
    wide = miou(study)[[("target", target) for target in study.targets]].set_axis(study.targets, axis=1).dropna()
    seeds = row.runs.set_index("run_id")["seed"]
    wide = wide[wide.index.isin(seeds.index)]
    return wide.set_axis(seeds[wide.index].to_numpy())


def _n(ranked: int, finished: int) -> Cell:
    return Cell(str(ranked) if ranked == finished else f"{ranked} of {finished}", value=float(ranked))


def _letters(found: Ranking | None, key: str) -> str:
    """The groups that a row belongs to: rows with a letter in common are not told apart."""
    if found is None or key not in found.ranks:
        return MISSING
    return "".join(chr(ord("a") + index) for index, group in enumerate(found.groups) if key in group)


def _own(found: Ranking | None, finished: list[int], seeds: list[int], rows: int) -> str:
    """What the caption of this table says: what the test found, and what it could not use."""
    if finished and not seeds:
        return f"The {len(finished)} rows with runs share no seed: nothing was ranked."
    left_out = "Seeds that some row lacks are left out." if any(number > len(seeds) for number in finished) else ""
    if found is None:
        return join(left_out, "Too few rows have runs on two targets or more: nothing was tested.")
    variants, targets = len(found.ranks), len(found.blocks)
    return join(
        left_out,
        f"That all {variants} rank alike over {targets} targets: p {probability(found.p)}; critical difference "
        f"{found.critical_difference:.2f}.",
        "The targets do not show that the rows differ at all." if found.p >= ALPHA else "",
        f"{rows - variants} of {rows} rows lack runs on some target and are not ranked." if variants < rows else "",
    )


def _conventions(study: Study, found: Ranking | None) -> list[str]:
    tested = (
        f"p is of Friedman's test. Mean ranks that differ by more than the critical difference (Nemenyi, alpha "
        f"{ALPHA:g}) are told apart; rows with a letter in common are not."
    )
    ranked = (
        "Rank 1 is the best mean mIoU on a target, over the n seeds that all ranked rows have; ties share the mean of "
        "their ranks."
    )
    return [ranked, *([tested] if found else []), SELECTION[study.report.selection]]
