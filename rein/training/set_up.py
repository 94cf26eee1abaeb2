"""What an attempt begins with: the network and all that trains it, as the newest checkpoint left them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rein.device import describe_device
from rein.models.compiling import compile_blocks
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model
from rein.models.sharding import shard_trunk
from rein.models.tuning import count
from rein.ranks import Ranks
from rein.training import checkpoint
from rein.training.attempt import Attempt
from rein.training.environment import describe
from rein.training.follower import Unsaved
from rein.training.optim import build_optimizer
from rein.training.step import Step


@dataclass(frozen=True)
class Learner:
    """A network on its device, what makes its steps, and where it goes on."""

    model: Segmenter
    make_step: Step
    checkpoints: checkpoint.Checkpoints
    start: int
    #: Of the steps before `start` that no record of the loss has taken in.
    losses: Sequence[float]


def set_up(attempt: Attempt) -> Learner:
    """Build what trains, and put down with the run what it is made with.

    Raises ConfigError where a checkpoint or a domain is another one than the run's, RuntimeError where its processes
    would go on from different steps.
    """
    experiment, machine, ranks, record = attempt.experiment, attempt.machine, attempt.ranks, attempt.record
    record.keep_domains(experiment)
    if machine.threads:
        torch.set_num_threads(machine.threads)
    device = attempt.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    model = _network(attempt)
    optimizer = build_optimizer(model, experiment.optim)
    criterion = build_criterion(experiment.head, len(experiment.classes))
    folder = record.path / "checkpoint"
    start, losses = checkpoint.resume(folder, model, optimizer)
    checkpoints = (checkpoint.Checkpoints if ranks.first else Unsaved)(
        folder, model, optimizer, machine.checkpoint_seconds, start, record.check_held
    )
    micro_batch = _together(ranks, start, machine.micro_batch or record.status().get("micro_batch"))
    make_step = Step(experiment, model, criterion, optimizer, device, ranks, micro_batch, halves=not attempt.is_sharded)
    record.update(step=start, device=describe_device(device), **_parameters(model))
    record.environment({**describe(experiment, machine, device), "processes": ranks.world}, resumed=start > 0)
    return Learner(model, make_step, checkpoints, start, losses)


def _network(attempt: Attempt) -> Segmenter:
    model = build_model(attempt.experiment, attempt.machine.weights)
    if attempt.is_sharded:
        shard_trunk(model, attempt.device, attempt.ranks.world)
    model.to(attempt.device).train()
    if attempt.machine.compile:
        compile_blocks(model)
    return model


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
