"""The scores of a run, on the way and at its end: into its folder, and as one record for who observes it."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rein import image_counts
from rein.evaluation import Score, evaluate
from rein.ledger import write_atomic
from rein.ledger.scored import in_short
from rein.models.segmenter import Segmenter
from rein.panels import save_examples
from rein.training.attempt import Attempt

#: Images of a domain, or of a family of domains, whose prediction is kept in the run to be looked at.
EXAMPLES = 2


def score_on_the_way(attempt: Attempt, model: Segmenter, step: int) -> None:
    """Score a network between two steps; a signal need not wait for it."""
    with attempt.interrupts.anywhere():
        entry = _record(attempt, _scores(attempt, model), step)
    attempt.observe(entry)


def score_at_the_end(attempt: Attempt, model: Segmenter) -> None:
    """Score a network that is trained, and keep pictures, confusion matrices and what each image adds to them."""
    scores = _scores(attempt, model, EXAMPLES)
    entry = _record(attempt, scores, attempt.experiment.steps)
    if attempt.ranks.first:
        matrices: dict[str, Any] = {score.domain: score.matrix.numpy() for score in scores}
        packed = io.BytesIO()
        np.savez_compressed(packed, **matrices)
        write_atomic(attempt.record.path / "confusion.npz", packed.getvalue())
        images = {score.domain: image_counts.ImageCounts(score.files, score.counts.numpy()) for score in scores}
        write_atomic(attempt.record.path / "images.npz", image_counts.pack(images))
    attempt.observe(entry)


def is_scored(attempt: Attempt, step: int) -> bool:
    """Whether the run's records hold a score of that step."""
    return any(entry["step"] == step and "loss" not in entry for entry in attempt.record.metrics()[0])


def _scores(attempt: Attempt, model: Segmenter, examples: int = 0) -> list[Score]:
    machine, record, remarks = attempt.machine, attempt.record, attempt.remarks
    scores = []
    for score in evaluate(
        model, attempt.experiment, machine.data, attempt.device, machine.workers, examples, machine.cache,
        ranks=None if attempt.is_sharded else attempt.ranks,  # a trunk in shares is run on the same images
        halves=not attempt.is_sharded,
    ):  # fmt: skip
        if attempt.ranks.first:
            save_examples(record.path / "predictions", score)
        remarks.scored(score.domain, score.remarks)
        scores.append(replace(score, examples=[]))  # whole images: kept of all domains they would fill the memory
    remarks.save()
    return scores


def _record(attempt: Attempt, scores: Sequence[Score], step: int) -> dict[str, Any]:
    """Put scores into the run's folder; returns what metrics.jsonl got."""
    record = attempt.record
    record.update(scored={score.domain: score.scored for score in scores})
    record.scores(row for score in scores for row in score.rows(step))
    entry = {"step": step, "time": time.time(), **in_short((one.domain, one.role, one.miou) for one in scores)}
    record.append(entry)
    return entry
