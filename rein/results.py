"""The results of a runs folder as one tidy frame, for reports and notebooks; nothing here needs torch.

`load` gives a row per (run, checkpoint step, domain, class, metric):

| column | what it is |
| --- | --- |
| `run_id`, `state` | the run's folder, and `done`, `running`, `failed`, ... |
| `step` | the steps that were trained when it was scored |
| `domain`, `role` | `cityscapes`, ...; `target`, `source` (its val split), or `train` for a loss |
| `class` | a class's name, or `all` |
| `metric` | `miou` (class `all`), `iou` (of a class), or `loss` (domain and class `all`, only with `losses=True`) |
| `value` | mIoU and IoU are fractions, 0..1, and missing where no pixel is labelled |
| `tuning.rank`, ... | every key of the run's config by its dotted name; missing where a run's method has no such key |
| `parameters.backbone`, ... | facts of the whole run (`FACTS`): counts, seconds, MiB |

Names, and lists as tuples, are categoricals (so `groupby` wants `observed=True` before pandas 3), numbers are numbers.
Every checkpoint that was scored is there; `select` keeps one a run. What each method gives on the unseen domains, the
mean over them and over seeds in percent:

    >>> frame = results.select(results.load("runs"), "last")
    >>> targets = frame[(frame["metric"] == "miou") & (frame["role"] == "target")]
    >>> means = 100 * targets.groupby("tuning.method", observed=True)["value"].mean()
    >>> means.round(1).to_dict()
    {'lora': 41.5, 'rein': 46.5}

One class of one domain, a row a seed and a column a method:

    >>> cars = frame[(frame["class"] == "car") & (frame["domain"] == "kitti")]
    >>> cars.pivot(index="seed", columns="tuning.method", values="value").loc[0].to_dict()
    {'lora': 0.3, 'rein': 0.35}

The last training loss that every run has logged:

    >>> losses = results.load("runs", losses=True).query("metric == 'loss'")
    >>> ends = losses.sort_values("step").groupby("run_id", observed=True).tail(1)
    >>> ends.groupby("seed")[["step", "value"]].max().values.tolist()
    [[100.0, 10.0], [100.0, 9.0]]

`images` has what each image adds to a run's scores, for statistics over images.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rein import image_counts
from rein.config import ConfigError, nearest
from rein.config.report import Selection
from rein.config_columns import Configs, categorical, columns
from rein.image_counts import ImageCounts
from rein.ledger import Run, runs
from rein.ledger.run import SCORE_COLUMNS

log = logging.getLogger(__name__)

#: A score's own columns.
COLUMNS = ("run_id", "state", "step", "domain", "role", "class", "metric", "value")

#: Facts of the whole run: counts of parameters, wall seconds of all attempts, peak memory, the share of its time that
#: it waited for data, how many images it left out since they could not be used, in training and in all domains, and how
#: many images went through the network at once where memory was too short for a whole batch.
FACTS = (
    "parameters.backbone", "parameters.backbone_trainable", "parameters.head", "seconds", "peak_memory_mib",
    "data_wait", "skipped_files", "micro_batch",
)  # fmt: skip

_HEADER = ",".join(SCORE_COLUMNS).encode() + b"\n"
_TYPES: dict[str, Any] = {
    "step": np.int64, "value": np.float64,
    **dict.fromkeys(("domain", "role", "class", "metric"), "category"),
}  # fmt: skip


def load(root: str | Path = "runs", ids: Iterable[str] | None = None, *, losses: bool = False) -> pd.DataFrame:
    """Every score of every run (or of those named) below a runs folder, and with `losses` the training losses.

    A run whose config this code cannot read is left out, and the log says which. Raises ConfigError where there is no
    such folder, or no run of a name in it.
    """
    if not Path(root).is_dir():
        raise ConfigError(f"there is no runs folder {Path(root).absolute()}")
    chosen = list(runs(Path(root))) if ids is None else [Run(Path(root) / id) for id in ids]
    for run in chosen:
        if not run.path.is_dir():
            raise ConfigError(f"no run {run.id} in {root}{nearest(run.id, (one.id for one in runs(Path(root))))}")
    statuses = {run.id: run.status() for run in chosen}
    frame = scores(root, statuses, losses=losses)
    configs, found, read = Configs(), [], []
    for id in frame["run_id"].unique():
        run = Run(Path(root) / id)
        try:
            found.append(configs.read(run))
            read.append(id)
        except ConfigError as error:
            log.warning("%s is left out: %s", run.path, error)
    if len(read) < len(frame["run_id"].cat.categories):
        frame = frame[frame["run_id"].isin(read)].reset_index(drop=True)
        frame["run_id"] = frame["run_id"].cat.remove_unused_categories()
    of_runs = pd.concat([columns(found), facts_of(statuses[id] for id in read)], axis=1)
    places = pd.Index(read, dtype="str").get_indexer(frame["run_id"].cat.categories)[frame["run_id"].cat.codes]
    return pd.concat([frame, of_runs.take(places).reset_index(drop=True)], axis=1)


def scores(root: str | Path, statuses: Mapping[str, Mapping[str, Any]], *, losses: bool = False) -> pd.DataFrame:
    """The columns `COLUMNS` of the runs whose statuses are given, in their order: `load` without configs and facts."""
    found = {}
    for id in statuses:
        run = Run(Path(root) / id)
        if text := lines(run, losses=losses):
            found[id] = text
    # One parse: what a frame costs to make and to join, it costs ten thousand times where each run has one.
    frame = pd.read_csv(
        BytesIO(b"".join(found.values())), names=list(SCORE_COLUMNS), dtype=_TYPES,
        keep_default_na=False, na_values={"value": ["nan", "NaN", ""]},
    )  # fmt: skip
    whose = np.repeat(np.arange(len(found)), [text.count(b"\n") for text in found.values()])
    frame.insert(0, "run_id", categorical([*found], whose))
    frame.insert(1, "state", categorical([statuses[id].get("state") for id in found], whose))
    return frame


def lines(run: Run, *, losses: bool = False) -> bytes:
    """The lines of a run's scores.csv without their header, and with `losses` such lines of its training losses."""
    return _scores(run) + (_losses(run) if losses else b"")


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


def facts_of(statuses: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A row a status, the columns `FACTS`, as numbers: nan for what a run does not have (yet)."""
    return pd.DataFrame([facts(status) for status in statuses], columns=list(FACTS)).apply(pd.to_numeric)


def of_classes(frame: pd.DataFrame, classes: Iterable[str]) -> pd.DataFrame:
    """The scores over these classes alone: every mIoU the mean over their IoU, and no IoU of another class.

    A class that a domain does not label, and that was not predicted there, has no IoU: the mean is over the others.
    """
    frame = frame[frame["class"].isin(["all", *classes])].copy()
    keys = ["run_id", "step", "domain", "role"]
    means = frame[frame["metric"] == "iou"].groupby(keys, observed=True)["value"].mean()
    scores = frame["metric"] == "miou"
    frame.loc[scores, "value"] = means.reindex(pd.MultiIndex.from_frame(frame.loc[scores, keys])).to_numpy()
    return frame


def select(frame: pd.DataFrame, rule: Selection, targets: Iterable[str] | None = None) -> pd.DataFrame:
    """Keep one checkpoint step a run: the `last` scored, the best on the sources' val split, or the best on test.

    `oracle` chooses with the test labels, of all targets or of those named: it flatters a method, and a table that uses
    it must say so. Ties go to the earlier step.
    """
    scores = frame[frame["metric"] != "loss"]
    if rule == "last":
        return scores[scores["step"] == scores.groupby("run_id", observed=True)["step"].transform("max")]
    role = "source" if rule == "source_val" else "target"
    judge = scores[(scores["role"] == role) & (scores["metric"] == "miou")]
    if rule == "oracle" and targets is not None:
        judge = judge[judge["domain"].isin([*targets])]
    mean = judge.groupby(["run_id", "step"], observed=True)["value"].mean().reset_index()
    best = mean.sort_values(["value", "step"], ascending=[False, True]).drop_duplicates("run_id")
    chosen = dict(zip(best["run_id"], best["step"], strict=True))
    return scores[scores["step"] == scores["run_id"].map(chosen).astype(np.float64)]


def _scores(run: Run) -> bytes:
    """The rows of scores.csv."""
    try:
        text = (run.path / "scores.csv").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    if not text.startswith(_HEADER):
        log.warning("%s: scores.csv is left out: its columns are not %s", run.path, ", ".join(SCORE_COLUMNS))
        return b""
    return text.removeprefix(_HEADER)


def _losses(run: Run) -> bytes:
    """The logged losses as rows of scores.csv would have them; of a step that was logged twice the later."""
    found = {record["step"]: record["loss"] for record in run.metrics()[0] if "loss" in record}
    return "".join(f"{step},all,train,all,loss,{loss!r}\n" for step, loss in found.items()).encode()
