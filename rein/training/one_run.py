"""One run: train what the tuning lets train, score it, and leave everything in the ledger."""

from __future__ import annotations

import io
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from rein.config import Experiment, Machine, run_id
from rein.config_io import check_data
from rein.data.loaders import Batch, training_batches
from rein.data.remarks import Remark, from_text, to_text
from rein.data.selection import unlabelled
from rein.device import describe_device, is_out_of_memory, select_device
from rein.evaluation import Score, evaluate
from rein.ledger import LostError, Run, Stopped, write_atomic
from rein.models.compiling import compile_blocks
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model
from rein.models.sharding import shard_trunk
from rein.models.tuning import count
from rein.panels import save_examples
from rein.ranks import Ranks
from rein.run_log import logged
from rein.training import checkpoint
from rein.training.environment import describe
from rein.training.follower import Follower, Unsaved
from rein.training.interrupts import Interrupted, Interrupts
from rein.training.optim import build_optimizer, set_rates
from rein.training.remarks import Remarks
from rein.training.step import Step

log = logging.getLogger(__name__)

#: Images of a domain, or of a family of domains, whose prediction is kept in the run to be looked at.
EXAMPLES = 2

Observer = Callable[[Mapping[str, Any]], None]


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
                _attempt(experiment, machine, record, observe, ranks)
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
                _attempt(experiment, machine, record, observe, ranks)
    return record


def _attempt(experiment: Experiment, machine: Machine, record: Run, observe: Observer, ranks: Ranks) -> None:
    started = time.monotonic() - (record.status().get("seconds") or 0.0)  # as if all attempts were one

    def seconds() -> float:
        return round(time.monotonic() - started, 2)

    notes = _Notes(record)
    logging.getLogger("rein").addHandler(notes)
    try:
        record.start(step=0, steps=experiment.steps)
        with logged(record) as run_log, Remarks(record, machine.data) as remarks, Interrupts() as interrupts:
            _train(experiment, machine, record, remarks, run_log.before(observe), seconds, interrupts, ranks)
    except LostError:  # the record is another process's now
        raise
    except BaseException as error:
        try:
            record.finish(_state_of(error), error, seconds=seconds())
        except OSError as full:  # without a holder it counts as cut
            log.error("%s: how the run ended cannot be written: %s", record.id, full)
        raise
    finally:
        logging.getLogger("rein").removeHandler(notes)
    record.finish("done", seconds=seconds())


class _Waits:
    """How much of an attempt's time is spent waiting for data: what more loader processes would save."""

    def __init__(self) -> None:
        self.began, self.waited = time.monotonic(), 0.0

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches; the time until each is there counts."""
        iterator = iter(batches)
        while True:
            asked = time.monotonic()
            batch = next(iterator, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def share(self) -> float:
        """In 0..1."""
        return round(self.waited / max(time.monotonic() - self.began, 1e-9), 4)

    def rate(self, steps: int) -> float:
        """Steps a second, of so many since the attempt's first batch was asked for."""
        return round(steps / max(time.monotonic() - self.began, 1e-9), 4)


class _Notes(logging.Handler):
    """Keeps what is warned of while a run is worked on with the run, by the thread that works on it.

    The logger is the whole process's: another thread speaks of something else, such as a driver or a copy to MLflow.
    """

    def __init__(self, record: Run) -> None:
        super().__init__(logging.WARNING)
        self.record, self._thread = record, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        with suppress(OSError, LostError):  # what is to be said may be that the disk is full
            self.record.note(record.getMessage())


def _state_of(error: BaseException) -> Any:
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


def _train(
    experiment: Experiment,
    machine: Machine,
    record: Run,
    remarks: Remarks,
    observe: Observer,
    seconds: Callable[[], float],
    interrupts: Interrupts,
    ranks: Ranks,
) -> None:
    record.keep_domains(experiment)
    if machine.threads:
        torch.set_num_threads(machine.threads)
    device = select_device(machine.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    peak = 0
    model = build_model(experiment, machine.weights)
    if shared := machine.shard and ranks.world > 1:
        shard_trunk(model, device, ranks.world)
    model.to(device).train()
    if machine.compile:
        compile_blocks(model)
    optimizer = build_optimizer(model, experiment.optim)
    criterion = build_criterion(experiment.head, len(experiment.classes))
    steps = experiment.steps
    start, losses = checkpoint.resume(record.path / "checkpoint", model, optimizer)
    checkpoints = (checkpoint.Checkpoints if ranks.first else Unsaved)(
        record.path / "checkpoint", model, optimizer, machine.checkpoint_seconds, start, record.check_held
    )
    micro_batch = _together(ranks, start, machine.micro_batch or record.status().get("micro_batch"))
    make_step = Step(experiment, model, criterion, optimizer, device, ranks, micro_batch, halves=not shared)
    record.update(step=start, device=describe_device(device), **_parameters(model))
    record.environment({**describe(experiment, machine, device), "processes": ranks.world}, resumed=start > 0)

    for source in experiment.data.sources:
        remarks.add("train", unlabelled(experiment.data, source, "train", machine.data))

    batches = training_batches(
        experiment.data,
        machine.data,
        experiment.seed,
        range(start, steps),
        device,
        machine.workers,
        (ranks.rank, ranks.world),
        machine.cache,
    )

    every = experiment.evaluation.every

    def score_on_the_way(step: int) -> None:
        with interrupts.anywhere():
            entry = _score(model, experiment, machine, device, record, remarks, ranks, step)[1]
        observe(entry)

    if every and 0 < start < steps and start % every == 0 and not _is_scored(record, start):  # it was cut before that
        with _ends_well(record, checkpoints, start, [], ranks):
            score_on_the_way(start)

    log_every = max(1, min(50, steps // 50))
    # Losses since the last record, left on the device: reading one would wait for it. Of each a process has its share.
    window = [torch.tensor(loss if ranks.first else 0.0, device=device) for loss in losses]
    remarked: list[Remark] = []  # of this process, which the first has not heard of
    interrupts.stepping = True
    waits = _Waits()
    for step, (images, labels, said) in enumerate(waits.over(batches), start):
        if said:
            remarks.add("train", said)
            remarked += said
        factor = set_rates(optimizer, experiment.optim, step, steps)
        window.append(make_step(step, images, labels))
        done = step + 1

        with _ends_well(record, checkpoints, done, window, ranks):
            if done % log_every == 0 or done == steps:
                loss, rate = _mean(window, done, ranks), factor * experiment.optim.lr
                entry = {"step": done, "loss": loss, "lr": rate, "time": time.time()}
                window.clear()
                _report(ranks, remarks, remarked)
                record.append(entry)
                peak = max(peak, _memory(device))
                waited, pace = waits.share(), waits.rate(done - start)
                record.update(
                    step=done, loss=loss, peak_memory_mib=peak, seconds=seconds(), data_wait=waited, rate=pace,
                    micro_batch=make_step.micro_batch,
                )  # fmt: skip
                remarks.save()
                observe(entry)
                if asked := record.asked_to_stop():
                    raise Stopped(asked)
            if every and done % every == 0 and done < steps:
                score_on_the_way(done)
            if not window and done < steps and checkpoints.is_due:
                checkpoints.save(done)
            _obey(interrupts, ranks)
    interrupts.stepping = False
    checkpoints.save(steps, must=True)
    _obey(interrupts, ranks)
    scores, entry = _score(model, experiment, machine, device, record, remarks, ranks, steps, examples=EXAMPLES)
    if ranks.first:
        matrices: dict[str, Any] = {score.domain: score.matrix.numpy() for score in scores}
        packed = io.BytesIO()
        np.savez_compressed(packed, **matrices)
        write_atomic(record.path / "confusion.npz", packed.getvalue())
    observe(entry)


@contextmanager
def _ends_well(
    record: Run, checkpoints: checkpoint.Checkpoints, step: int, window: list[Tensor], ranks: Ranks
) -> Iterator[None]:
    """What lies between two steps: whoever ends the run here, as a scheduler does in `observe`, leaves a checkpoint.

    It ends as what it was asked to, whether it found the request by itself or was told by an exception.
    """
    try:
        yield
    except (SystemExit, Interrupted, Stopped) as error:
        losses = [loss.item() for loss in window]
        if losses and ranks.world > 1:
            if not isinstance(error, Interrupted):  # the others do not know, and have their shares of these losses
                raise
            losses = [sum(shares) for shares in zip(*ranks.exchange(losses), strict=True)]
        checkpoints.save(step, losses)
        asked = record.asked_to_stop()
        if asked and not isinstance(error, Stopped):
            raise Stopped(asked) from error
        raise


def _obey(interrupts: Interrupts, ranks: Ranks) -> None:
    """Raise Interrupted in every process where a signal came to one."""
    if any(said[0] for said in ranks.exchange([bool(interrupts.signal)])):
        interrupts.check()
        raise Interrupted("another process of the run was ended")


def _is_scored(record: Run, step: int) -> bool:
    return any(entry["step"] == step and "loss" not in entry for entry in record.metrics()[0])


def _score(
    model: Segmenter,
    experiment: Experiment,
    machine: Machine,
    device: torch.device,
    record: Run,
    remarks: Remarks,
    ranks: Ranks,
    step: int,
    examples: int = 0,
) -> tuple[list[Score], dict[str, Any]]:
    scores = []
    # A trunk in shares is run by all processes at once: on the same images, and none may halve its batches alone.
    shared = machine.shard and ranks.world > 1
    apart = None if shared else ranks
    for score in evaluate(
        model, experiment, machine.data, device, machine.workers, examples, machine.cache, apart, halves=not shared
    ):
        if ranks.first:
            save_examples(record.path / "predictions", score)
        remarks.scored(score.domain, score.remarks)
        scores.append(replace(score, examples=[]))  # whole images: kept of all domains they would fill the memory
    remarks.save()
    record.update(scored={score.domain: score.scored for score in scores})
    record.scores(row for score in scores for row in score.rows(step))
    known = [score for score in scores if not math.isnan(score.miou)]  # without labelled pixels there is no score
    entry = {"step": step, "time": time.time(), **{f"{score.domain}/miou": score.miou for score in known}}
    targets = [score.miou for score in known if score.role == "target"]
    if targets:  # one number to sort runs by while they run; tables average by themselves
        entry["targets/miou"] = fmean(targets)
    sources = [score.miou for score in known if score.role == "source"]
    if sources:  # the only one that a search may choose by
        entry["source_val"] = fmean(sources)
    record.append(entry)
    return scores, entry


def _parameters(model: Segmenter) -> dict[str, int]:
    return {
        # The pretrained net alone: what a tuning adds to it is counted as trained, not as part of the whole.
        "parameters.backbone": model.backbone.size,
        "parameters.backbone_trainable": count(model.backbone, trainable_only=True),
        "parameters.head": count(model.head),
    }


def _together(ranks: Ranks, start: int, micro_batch: int | None) -> int | None:
    """The first process's micro-batch. Raises RuntimeError where not all go on from the same step."""
    said = ranks.exchange([start, micro_batch or 0])
    if len(starts := {int(step) for step, _ in said}) > 1:
        raise RuntimeError(f"the processes would go on from steps {sorted(starts)}: do all nodes see the same runs?")
    return int(said[0][1]) or None


def _report(ranks: Ranks, remarks: Remarks, remarked: list[Remark]) -> None:
    """Tell the first process what the others have to say of the files that they read."""
    if ranks.world > 1:
        for text in ranks.texts(to_text(remarked)):
            remarks.add("train", from_text(text))
    remarked.clear()


def _mean(window: list[Tensor], step: int, ranks: Ranks) -> float:
    """The mean loss of some steps, of which every process has its share."""
    mean = sum(said[0] for said in ranks.exchange([torch.stack(window).mean().item()]))
    if not math.isfinite(mean):
        raise FloatingPointError(f"the training loss is {mean} before step {step}; a lower optim.lr may help")
    return mean


def _memory(device: torch.device) -> int:
    """The run's peak memory on CUDA, the process's resident memory now on the CPU, in MiB."""
    size = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
    return size >> 20
