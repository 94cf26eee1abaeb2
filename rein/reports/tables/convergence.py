"""Whether the budget was enough to compare the variants."""

from __future__ import annotations

from rein.config import Table
from rein.reports.grid import Column, Grid
from rein.reports.study import Study, final_loss, trajectory
from rein.reports.tables.means import Measure, grid


def convergence(study: Study, wanted: Table) -> Grid:
    """The training loss at the end of every variant's budget, and whether its curve had flattened."""
    losses = trajectory(study)
    ends = final_loss(losses[losses["run_id"].isin(study.done["run_id"])]).set_index("run_id")
    ends["change"] *= 100
    measures = [Measure(Column("final loss"), digits=2), Measure(Column("change in %"))]
    if "steps" not in wanted.rows:
        ends.insert(0, "steps", study.runs.set_index("run_id")["steps"].reindex(ends.index))
        measures.insert(0, Measure(Column("steps"), digits=0, spread=False))
    explained = (
        "Training loss: its mean over the last tenth of the steps, and how far that lies from the mean over the tenth "
        "that ends where the last quarter begins. Where one variant still falls faster than another, more steps may "
        "change their order; a learning rate that decays to zero flattens the end of every curve."
    )
    return grid(study, wanted, ends, measures, [explained])
