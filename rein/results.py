"""The tidy frame: one row per (run, checkpoint step, domain, class, metric), the dotted config as columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from rein import image_counts
from rein.config import ConfigError, flatten
from rein.image_counts import ImageCounts
from rein.ledger import Run, runs

log = logging.getLogger(__name__)

#: A score's own columns. `role` is `target` or `source`, or `train` for the loss; `class` is a class name or `all`;
#: `metric` is `miou` (class `all`), `iou` (per class) or `loss` (domain and class `all`). mIoU and IoU are fractions.
COLUMNS = ("run_id", "state", "step", "domain", "role", "class", "metric", "value")

#: Facts of the whole run: counts of parameters, wall seconds of all attempts, peak memory, the share of its time that
#: it waited for data, how many images it left out since they could not be used, in training and in all domains, and how
#: many images went through the network at once where memory was too short for a whole batch.
FACTS = (
    "parameters.backbone", "parameters.backbone_trainable", "parameters.head", "seconds", "peak_memory_mib",
    "data_wait", "skipped_files", "micro_batch",
)  # fmt: skip

Selection = Literal["last", "source_val", "oracle"]


def load(root: str | Path = "runs", ids: Iterable[str] | None = None) -> pd.DataFrame:
    """Every score of every run (or of those named) below a runs folder."""
    chosen = runs(Path(root)) if ids is None else (Run(Path(root) / id) for id in ids)
    frames = [frame for run in chosen if (frame := _run_frame(run)) is not None]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*COLUMNS, *FACTS])


def images(run: str | Path) -> dict[str, ImageCounts]:
    """What each image adds to the scores of a finished run, by domain; nothing for a run that has not kept it.

    `run` is the run's folder. The sum over a domain's images is the score at the run's end: `images(run)[d].miou()`.
    """
    return image_counts.read(Path(run) / "images.npz")


def facts(status: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that a run's status holds; None for what it does not (yet)."""
    return {
        **{fact: status.get(fact) for fact in FACTS},
        "skipped_files": sum(status.get("skipped_files", {}).values()),
    }


def select(frame: pd.DataFrame, rule: Selection) -> pd.DataFrame:
    """Keep one checkpoint step a run: the `last` scored, the best on the sources' val split, or the best on test.

    `oracle` chooses with the test labels: it flatters a method, and a table that uses it must say so. Ties go to the
    earlier step.
    """
    scores = frame[frame["metric"] != "loss"]
    if rule == "last":
        chosen = scores.groupby("run_id")["step"].max()
    else:
        role = "source" if rule == "source_val" else "target"
        judge = scores[(scores["role"] == role) & (scores["metric"] == "miou")]
        mean = judge.groupby(["run_id", "step"])["value"].mean().reset_index()
        best = mean.sort_values(["value", "step"], ascending=[False, True]).groupby("run_id").head(1)
        chosen = best.set_index("run_id")["step"]
    return scores[scores["step"] == scores["run_id"].map(chosen)]


def _run_frame(run: Run) -> pd.DataFrame | None:
    status = run.status()
    scores = run.path / "scores.csv"
    parts = [pd.read_csv(scores)] if scores.is_file() else []
    losses = {record["step"]: record["loss"] for record in run.metrics()[0] if "loss" in record}
    if losses:
        frame = pd.DataFrame({"step": losses.keys(), "value": losses.values()})
        parts.append(frame.assign(domain="all", role="train", metric="loss", **{"class": "all"}))
    if not parts:
        return None
    try:
        experiment = run.experiment()
    except ConfigError as error:
        log.warning("%s is left out: %s", run.path, error)
        return None
    config = {key: tuple(value) if isinstance(value, list) else value for key, value in flatten(experiment).items()}
    frame = pd.concat(parts, ignore_index=True).assign(run_id=run.id, state=status.get("state"))
    constants = pd.DataFrame({key: [value] * len(frame) for key, value in {**config, **facts(status)}.items()})
    return pd.concat([frame[list(COLUMNS)], constants], axis=1)
