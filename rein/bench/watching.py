"""A clock on what trains a run, hung on from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from rein import evaluation
from rein.bench.stopwatch import Stopwatch
from rein.training import loop, one_run, progress, scoring
from rein.training.set_up import Learner


@contextmanager
def watched(watch: Stopwatch) -> Iterator[None]:
    """Time the runs that this process trains; the code that trains them knows nothing of it."""
    with ExitStack() as stack:

        def put(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
            stack.enter_context(patch.object(owner, name, wrap(getattr(owner, name))))

        def span(owner: Any, name: str, part: str) -> None:
            put(owner, name, lambda work: watch.around(part, work))

        def span_items(owner: Any, name: str, part: str) -> None:
            put(owner, name, lambda work: lambda *args, **kwargs: watch.over(part, work(*args, **kwargs)))

        def span_learner(set_up: Callable[..., Learner]) -> Callable[..., Learner]:
            def timed(*args: Any) -> Learner:
                learner = watch.around("start", set_up)(*args)
                span(learner.model.backbone, "forward", "trunk")
                span(learner.model.head, "forward", "head")
                span(learner.model.head, "scores", "head")
                span(learner.make_step.criterion, "forward", "loss")
                span(learner.make_step.optimizer, "step", "optimiser")
                span(learner.make_step.optimizer, "zero_grad", "optimiser")
                span(learner.checkpoints, "save", "checkpoint")
                return learner

            return timed

        put(one_run, "set_up", span_learner)
        span(one_run, "make_steps", "steps")
        span(loop, "_batches", "start")
        span_items(loop, "_batches", "data")
        span(torch.Tensor, "backward", "backward")
        span(torch.autograd, "grad", "backward")
        span(progress.Progress, "record", "record")
        span(one_run, "score_at_the_end", "scores")
        span_items(scoring, "evaluate", "evaluation")
        span_items(evaluation, "whole_images", "images")
        span(scoring, "save_examples", "pictures")
        yield


def settle(device: torch.device) -> Callable[[], None]:
    """Kernels of CUDA run when they like: a span is over when its own are. Written for it, and never run on one."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else lambda: None
