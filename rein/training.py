"""One run: train what the tuning lets train, score it, and leave everything in the ledger."""

from __future__ import annotations

import io
import logging
import math
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

from rein import checkpoint, seeds
from rein.config import Experiment, Machine, run_id
from rein.config_io import check_data
from rein.data.advstyle import with_adversarial_styles
from rein.data.loaders import Batch, training_batches
from rein.data.selection import unlabelled
from rein.device import autocast, select_device
from rein.environment import describe
from rein.evaluation import Score, evaluate
from rein.interrupts import Interrupted, Interrupts
from rein.ledger import LostError, Run, Stopped, write_atomic
from rein.models.compiling import compile_blocks
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import count
from rein.optim import build_optimizer, set_rates
from rein.panels import save_examples
from rein.remarks import Remarks

log = logging.getLogger(__name__)

#: Images of a domain, or of a family of domains, whose prediction is kept in the run to be looked at.
EXAMPLES = 2

Observer = Callable[[Mapping[str, Any]], None]


def train(experiment: Experiment, machine: Machine | None = None, observe: Observer = lambda record: None) -> Run:
    """Train and score an experiment, going on where an earlier attempt was cut; a run that is done is left alone.

    `observe` gets every record that metrics.jsonl gets. Whatever ends the run early is recorded in its status
    (`failed`, `oom`, `diverged`, `preempted`) and raised again. Raises BusyError where another process works
    on the run, LostError where one has taken it over from this one, and Stopped where the run was asked to stop.
    """
    machine = machine or Machine()
    check_data(experiment, kept=Run(machine.runs / run_id(experiment)).domains)
    record = Run.create(machine.runs, experiment)
    if record.state == "done":
        record.check_domains(experiment)
        return record
    with record.claimed():
        if record.state != "done":  # or another process did it while this one waited
            _attempt(experiment, machine, record, observe)
    return record


def _attempt(experiment: Experiment, machine: Machine, record: Run, observe: Observer) -> None:
    started = time.monotonic() - (record.status().get("seconds") or 0.0)  # as if all attempts were one

    def seconds() -> float:
        return round(time.monotonic() - started, 2)

    notes = _Notes(record)
    logging.getLogger("rein").addHandler(notes)
    try:
        record.start(step=0, steps=experiment.steps)
        with Remarks(record, machine.data) as remarks, Interrupts() as interrupts:
            _train(experiment, machine, record, remarks, observe, seconds, interrupts)
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


class _Notes(logging.Handler):
    """Keeps what is warned of while a run is worked on with the run."""

    def __init__(self, record: Run) -> None:
        super().__init__(logging.WARNING)
        self.record = record

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, LostError):  # what is to be said may be that the disk is full
            self.record.note(record.getMessage())


def _state_of(error: BaseException) -> Any:
    match error:
        case Stopped():
            return error.request.state
        case FloatingPointError():
            return "diverged"
        case torch.cuda.OutOfMemoryError() | MemoryError():
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
) -> None:
    record.keep_domains(experiment)
    if machine.threads:
        torch.set_num_threads(machine.threads)
    device = select_device(machine.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    peak = 0
    model = build_model(experiment, machine.weights).to(device).train()
    if machine.compile:
        compile_blocks(model)
    optimizer = build_optimizer(model, experiment.optim)
    criterion = build_criterion(experiment.head, len(experiment.classes))
    steps = experiment.steps
    start, losses = checkpoint.resume(record.path / "checkpoint", model, optimizer)
    checkpoints = checkpoint.Checkpoints(
        record.path / "checkpoint", model, optimizer, machine.checkpoint_seconds, start, record.check_held
    )
    record.update(step=start, **_parameters(model))
    record.environment(describe(experiment, machine, device), resumed=start > 0)

    for source in experiment.data.sources:
        remarks.add("train", unlabelled(experiment.data, source, "train", machine.data))

    batches = training_batches(
        experiment.data,
        machine.data,
        experiment.seed,
        range(start, steps),
        device,
        machine.workers,
        cache=machine.cache,
    )

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        with autocast(experiment, device):
            output = model(images)
        return criterion(output, labels)["loss"]

    every = experiment.evaluation.every

    def score_on_the_way(step: int) -> None:
        with interrupts.anywhere():
            entry = _score(model, experiment, machine, device, record, remarks, step)[1]
        observe(entry)

    if every and 0 < start < steps and start % every == 0 and not _is_scored(record, start):  # it was cut before that
        with _ends_well(record, checkpoints, start, []):
            score_on_the_way(start)

    log_every = max(1, min(50, steps // 50))
    # Losses since the last record, left on the device: reading one would wait for it.
    window = [torch.tensor(loss, device=device) for loss in losses]
    interrupts.stepping = True
    waits = _Waits()
    for step, (images, labels, said) in enumerate(waits.over(batches), start):
        if said:
            remarks.add("train", said)
        factor = set_rates(optimizer, experiment.optim, step, steps)
        torch.manual_seed(seeds.derive(experiment.seed, seeds.STEP, step))
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        done = step + 1
        try:
            if experiment.data.augmentation == "advstyle":
                images, labels = with_adversarial_styles(images, labels, loss_of)
            loss = loss_of(images, labels)
        except FloatingPointError as error:
            raise FloatingPointError(f"step {done}: {error}; a lower optim.lr may help") from error
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        window.append(loss.detach())

        with _ends_well(record, checkpoints, done, window):
            if done % log_every == 0 or done == steps:
                loss_now, rate = _mean(window, done), factor * experiment.optim.lr
                entry = {"step": done, "loss": loss_now, "lr": rate, "time": time.time()}
                window.clear()
                record.append(entry)
                peak = max(peak, _memory(device))
                record.update(
                    step=done, loss=loss_now, peak_memory_mib=peak, seconds=seconds(), data_wait=waits.share()
                )
                remarks.save()
                observe(entry)
                if asked := record.asked_to_stop():
                    raise Stopped(asked)
            if every and done % every == 0 and done < steps:
                score_on_the_way(done)
            if not window and done < steps and checkpoints.is_due:
                checkpoints.save(done)
            interrupts.check()
    interrupts.stepping = False
    checkpoints.save(steps, must=True)
    interrupts.check()
    scores, entry = _score(model, experiment, machine, device, record, remarks, steps, examples=EXAMPLES)
    matrices: dict[str, Any] = {score.domain: score.matrix.numpy() for score in scores}
    packed = io.BytesIO()
    np.savez_compressed(packed, **matrices)
    write_atomic(record.path / "confusion.npz", packed.getvalue())
    observe(entry)


@contextmanager
def _ends_well(record: Run, checkpoints: checkpoint.Checkpoints, step: int, window: list[Tensor]) -> Iterator[None]:
    """What lies between two steps: whoever ends the run here, as a scheduler does in `observe`, leaves a checkpoint.

    It ends as what it was asked to, whether it found the request by itself or was told by an exception.
    """
    try:
        yield
    except (SystemExit, Interrupted, Stopped) as error:
        checkpoints.save(step, [loss.item() for loss in window])
        asked = record.asked_to_stop()
        if asked and not isinstance(error, Stopped):
            raise Stopped(asked) from error
        raise


def _is_scored(record: Run, step: int) -> bool:
    return any(entry["step"] == step and "loss" not in entry for entry in record.metrics()[0])


def _score(
    model: Segmenter,
    experiment: Experiment,
    machine: Machine,
    device: torch.device,
    record: Run,
    remarks: Remarks,
    step: int,
    examples: int = 0,
) -> tuple[list[Score], dict[str, Any]]:
    scores = []
    for score in evaluate(model, experiment, machine.data, device, machine.workers, examples, machine.cache):
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
    record.append(entry)
    return scores, entry


def _parameters(model: Segmenter) -> dict[str, int]:
    return {
        # The pretrained net alone: what a tuning adds to it is counted as trained, not as part of the whole.
        "parameters.backbone": model.backbone.size,
        "parameters.backbone_trainable": count(model.backbone, trainable_only=True),
        "parameters.head": count(model.head),
    }


def _mean(window: list[Tensor], step: int) -> float:
    mean = torch.stack(window).mean().item()
    if not math.isfinite(mean):
        raise FloatingPointError(f"the training loss is {mean} before step {step}; a lower optim.lr may help")
    return mean


def _memory(device: torch.device) -> int:
    """The run's peak memory on CUDA, the process's resident memory now on the CPU, in MiB."""
    size = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss
    return size >> 20
