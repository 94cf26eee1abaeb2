"""The steps of an attempt, and what lies between two of them: records, scores, checkpoints, an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from rein.data.loaders import Batch, training_batches
from rein.data.selection import unlabelled
from rein.ledger import Stopped
from rein.training.attempt import Attempt
from rein.training.interrupts import Interrupted
from rein.training.optim import set_rates
from rein.training.progress import Progress
from rein.training.scoring import is_scored, score_on_the_way
from rein.training.set_up import Learner


def make_steps(attempt: Attempt, learner: Learner) -> None:
    """Make the steps that are left; the last one has a checkpoint.

    Raises Stopped, Interrupted, or whatever an observer ends the run by; then too the last step has a checkpoint.
    """
    experiment, record, interrupts = attempt.experiment, attempt.record, attempt.interrupts
    checkpoints, make_step, start, steps = learner.checkpoints, learner.make_step, learner.start, experiment.steps
    batches = _batches(attempt, start)
    if _is_scored_after(attempt, start) and not is_scored(attempt, start):  # it was cut before that
        with _ends_well(attempt, learner, start, []):
            score_on_the_way(attempt, learner.model, start)

    progress = Progress(attempt, start, learner.losses)
    interrupts.stepping = True
    for step, (images, labels, _) in enumerate(progress.waiting_for(batches), start):
        factor = set_rates(make_step.optimizer, experiment.optim, step, steps)
        progress.losses.append(make_step(step, images, labels))
        done = step + 1
        with _ends_well(attempt, learner, done, progress.losses):
            if progress.is_due(done):
                progress.record(done, factor * experiment.optim.lr, make_step.micro_batch)
                if asked := record.asked_to_stop():
                    raise Stopped(asked)
            if _is_scored_after(attempt, done):
                score_on_the_way(attempt, learner.model, done)
            if not progress.losses and done < steps and checkpoints.is_due:
                checkpoints.save(done)
            attempt.obey()
    interrupts.stepping = False
    checkpoints.save(steps, must=True)
    attempt.obey()


def _batches(attempt: Attempt, start: int) -> Iterable[Batch]:
    """This process's share of the batches that are left; what of the sources has no label is recorded."""
    data, machine, ranks = attempt.experiment.data, attempt.machine, attempt.ranks
    for source in data.sources:
        attempt.remarks.add("train", unlabelled(data, source, "train", machine.data))
    return training_batches(
        data,
        machine.data,
        attempt.experiment.seed,
        range(start, attempt.experiment.steps),
        attempt.device,
        machine.workers,
        (ranks.rank, ranks.world),
        machine.cache,
    )


def _is_scored_after(attempt: Attempt, done: int) -> bool:
    """Whether so many steps are followed by a score; that of the last step is no score on the way."""
    every, steps = attempt.experiment.evaluation.every, attempt.experiment.steps
    return every is not None and 0 < done < steps and done % every == 0


@contextmanager
def _ends_well(attempt: Attempt, learner: Learner, step: int, losses: Sequence[Tensor]) -> Iterator[None]:
    """What lies between two steps: whoever ends the run here, as a scheduler does in `observe`, leaves a checkpoint.

    It ends as what it was asked to, whether it found the request by itself or was told by an exception.
    """
    try:
        yield
    except (SystemExit, Interrupted, Stopped) as error:
        unrecorded = [loss.item() for loss in losses]
        if unrecorded and attempt.ranks.world > 1:
            if not isinstance(error, Interrupted):  # the others do not know, and have their shares of these losses
                raise
            unrecorded = [sum(shares) for shares in zip(*attempt.ranks.exchange(unrecorded), strict=True)]
        learner.checkpoints.save(step, unrecorded)
        asked = attempt.record.asked_to_stop()
        if asked and not isinstance(error, Stopped):
            raise Stopped(asked) from error
        raise
