"""The steps of an attempt, and what lies between two of them: records, scores, checkpoints, an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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
    experiment, interrupts = attempt.experiment, attempt.interrupts
    checkpoints, make_step, start, steps = learner.checkpoints, learner.make_step, learner.start, experiment.steps
    batches = _batches(attempt, start)
    progress = Progress(attempt, start, learner.losses)
    if _is_scored_after(attempt, start) and not is_scored(attempt, start):  # it was cut before that
        with _ends_well(attempt, learner, start, progress):
            score_on_the_way(attempt, learner.model, start)

    interrupts.stepping = True
    for step, (images, labels, _) in enumerate(progress.waiting_for(batches), start):
        factor = set_rates(make_step.optimizer, experiment.optim, step, steps)
        progress.add(make_step(step, images, labels))
        done = step + 1
        with _ends_well(attempt, learner, done, progress):
            if progress.is_due(done):
                progress.record(done, factor * experiment.optim.lr, make_step.micro_batch)
                _stop_if_asked(attempt)
            if _is_scored_after(attempt, done):
                progress.pool()  # what ends the run there may come to the first process alone
                if attempt.machine.checkpoint_seconds == 0:  # Tune does not wait for whom it sets aside there
                    checkpoints.save(done, progress.unrecorded())
                score_on_the_way(attempt, learner.model, done)
            if attempt.obey(done < steps and checkpoints.is_due(recorded=not progress.losses)):
                progress.pool()
                checkpoints.save(done, progress.unrecorded())
                _stop_if_asked(attempt)  # steps may be slow, and the next record far
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


def _stop_if_asked(attempt: Attempt) -> None:
    if asked := attempt.record.asked_to_stop():
        raise Stopped(asked)


@contextmanager
def _ends_well(attempt: Attempt, learner: Learner, step: int, progress: Progress) -> Iterator[None]:
    """What lies between two steps: whoever ends the run here, as a scheduler does in `observe`, leaves a checkpoint.

    It ends as what it was asked to, whether it found the request by itself or was told by an exception.
    """
    try:
        yield
    except (SystemExit, Interrupted, Stopped) as error:
        if isinstance(error, Interrupted):  # which all processes obey together
            progress.pool()
        if progress.is_whole:  # else another process was ended in the middle of its step, with its share of the loss
            learner.checkpoints.save(step, progress.unrecorded())
        asked = attempt.record.asked_to_stop()
        if asked and not isinstance(error, Stopped):
            raise Stopped(asked) from error
        raise
