"""One run: train what the tuning lets train, score it, and leave everything in the ledger."""

from __future__ import annotations

import logging
import time

from rein.config import Experiment, Machine, run_id
from rein.config_io import check_data
from rein.device import is_out_of_memory
from rein.ledger import LostError, Run, State, Stopped
from rein.ledger.notes import noted
from rein.ledger.run_log import logged
from rein.ranks import Ranks
from rein.training.attempt import Attempt, Observer
from rein.training.follower import Follower
from rein.training.interrupts import Interrupts
from rein.training.loop import make_steps
from rein.training.remarks import Remarks
from rein.training.scoring import score_at_the_end
from rein.training.set_up import set_up

log = logging.getLogger(__name__)


def train(
    experiment: Experiment,
    machine: Machine | None = None,
    observe: Observer = lambda record: None,
    ranks: Ranks | None = None,
) -> Run:
    """Train and score an experiment, going on where an earlier attempt was cut; a run that is done is left alone.

    `observe` gets every record that metrics.jsonl gets. Whatever ends the run early is recorded in its status
    (`failed`, `oom`, `diverged`, `preempted`) and raised again. Raises BusyError where another process works
    on the run, LostError where one has taken it over from this one, and Stopped where the run was asked to stop.

    Where torch.distributed is set up, all its processes must call this, and share every batch; the first of them alone
    writes, and the others observe the same records.
    """
    machine = machine or Machine()
    ranks = ranks or Ranks.here()
    with ranks.ending_together():
        if not ranks.first:
            record = Follower(machine.runs / run_id(experiment))
            if ranks.exchange([False])[0][0]:
                _try(experiment, machine, record, observe, ranks)
            return record
        check_data(experiment, kept=Run(machine.runs / run_id(experiment)).domains)
        record = Run.create(machine.runs, experiment)
        if record.state == "done":
            record.check_domains(experiment)
            ranks.exchange([False])
            return record
        with record.claimed():
            left = record.state != "done"  # or another process did it while this one waited
            ranks.exchange([left])
            if left:
                _try(experiment, machine, record, observe, ranks)
    return record


def _try(experiment: Experiment, machine: Machine, record: Run, observe: Observer, ranks: Ranks) -> None:
    """Make an attempt at a run that this process has claimed, and record how it ended."""
    started = time.monotonic() - (record.status().get("seconds") or 0.0)  # as if all attempts were one

    def seconds() -> float:
        return round(time.monotonic() - started, 2)

    with noted(record):
        try:
            record.start(step=0, steps=experiment.steps)
            with logged(record) as run_log, Remarks(record, machine.data) as remarks, Interrupts() as interrupts:
                tell = run_log.before(observe)
                attempt = Attempt(experiment, machine, ranks, record, remarks, interrupts, tell, seconds)
                learner = set_up(attempt)
                make_steps(attempt, learner)
                score_at_the_end(attempt, learner.model)
        except LostError:  # the record is another process's now
            raise
        except BaseException as error:
            try:
                record.finish(_state_of(error), error, seconds=seconds())
            except OSError as full:  # without a holder it counts as cut
                log.error("%s: how the run ended cannot be written: %s", record.id, full)
            raise
    record.finish("done", seconds=seconds())


def _state_of(error: BaseException) -> State:
    match error:
        case Stopped():
            return error.request.state
        case FloatingPointError():
            return "diverged"
        case _ if is_out_of_memory(error):
            return "oom"
        case KeyboardInterrupt() | SystemExit():  # by a person, or by Ray when its driver ends
            return "preempted"
    return "failed"
