"""One optimisation step, its batch in parts: over processes, and one after another where memory is short.

A part's loss is its share of the whole batch's, and it draws as the whole batch would, so the gradients of the parts
add up to those of one device that holds the batch, but for rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.optim import Optimizer

from rein import seeds
from rein.config import Experiment
from rein.data.advstyle import with_adversarial_styles
from rein.device import autocast, free, is_out_of_memory
from rein.models.criterion import Criterion
from rein.models.dense import DenseCriterion
from rein.models.part import Part
from rein.models.segmenter import Segmenter
from rein.ranks import Ranks

log = logging.getLogger(__name__)


class Step:
    """Makes a network's steps; `micro_batch` images at most go through it at once, None: all that this process has."""

    def __init__(
        self,
        experiment: Experiment,
        model: Segmenter,
        criterion: Criterion | DenseCriterion,
        optimizer: Optimizer,
        device: torch.device,
        ranks: Ranks,
        micro_batch: int | None = None,
        halves: bool = True,
    ) -> None:
        """`halves`: whether a step may be repeated, which it cannot where a process that fails leaves the others in
        the middle of a pass.
        """
        self.experiment, self.model, self.criterion, self.optimizer = experiment, model, criterion, optimizer
        self.device, self.ranks, self.micro_batch, self.halves = device, ranks, micro_batch, halves

    def __call__(self, step: int, images: Tensor, labels: Tensor) -> Tensor:
        """Train on this process's images (b, 3, H, W), labels (b, H, W); returns its share of the batch's loss.

        Where memory is short the micro-batch is halved, for all processes and the steps to come, and the step
        repeated. Raises MemoryError where one image is too much for one of them, FloatingPointError for a loss that is
        known not to be finite.
        """
        on_host = labels  # what is counted there waits for no device
        images, labels = (tensor.to(self.device, non_blocking=True) for tensor in (images, labels))
        while True:
            counts = self._counts(on_host)
            loss, short = self._gradients(step, images, labels, counts)
            if not any(said[0] for said in self.ranks.exchange([bool(short)])):
                break
            self._halve(step, len(images), short)
        self.ranks.add([p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _counts(self, labels: Tensor) -> Tensor | None:
        """What each image of the batch counts in the loss, in the batch's order; None where it stays in one piece."""
        if self.ranks.world == 1 and (self.micro_batch or len(labels)) >= len(labels):
            return None
        said = self.ranks.exchange(self.criterion.counts(labels).tolist())
        return torch.tensor(said).long().T.flatten()  # image i of rank r is number i * world + r of the batch

    def _gradients(self, step: int, images: Tensor, labels: Tensor, counts: Tensor | None) -> tuple[Tensor, str]:
        """Leave the gradients of the loss in the parameters; returns the loss, or why there was no memory for it."""
        try:
            losses = [self._backward(step, images, labels, rows, counts) for rows in self._rows(len(images))]
            return (losses[0] if len(losses) == 1 else torch.stack(losses).sum()), ""
        except FloatingPointError as error:
            raise FloatingPointError(f"step {step + 1}: {error}; a lower optim.lr may help") from error
        except Exception as error:
            if not self.halves or not is_out_of_memory(error):
                raise
            return torch.zeros(()), str(error).strip() or type(error).__name__

    def _rows(self, own: int) -> Iterator[slice]:
        size = min(self.micro_batch or own, own)
        return (slice(start, min(start + size, own)) for start in range(0, own, size))

    def _backward(self, step: int, images: Tensor, labels: Tensor, rows: slice, counts: Tensor | None) -> Tensor:
        torch.manual_seed(seeds.derive(self.experiment.seed, seeds.STEP, step))
        images, labels = images[rows], labels[rows]
        part = self._part(rows, counts)
        if self.experiment.data.augmentation == "advstyle":
            images, labels = with_adversarial_styles(images, labels, self._loss_of(part))
            part = part and part.doubled()
        loss = self._loss_of(part)(images, labels)
        loss.backward()
        return loss.detach()

    def _part(self, rows: slice, counts: Tensor | None) -> Part | None:
        """The part of the batch that these of the own images are; None where they are all of it."""
        if counts is None:
            return None
        world = self.ranks.world
        first, last = (self.ranks.rank + world * row for row in (rows.start, rows.stop - 1))
        return Part((slice(first, last + 1, world),), counts)

    def _loss_of(self, part: Part | None) -> Callable[[Tensor, Tensor], Tensor]:
        def loss(images: Tensor, labels: Tensor) -> Tensor:
            drawing = nullcontext() if part is None else part.drawing_in(self.model)
            with autocast(self.experiment, self.device), drawing:
                output = self.model(images)
            return self.criterion(output, labels, part=part)["loss"]

        return loss

    def _halve(self, step: int, own: int, why: str) -> None:
        """Forget the step, and put half as many images through the network at once from now on."""
        self.optimizer.zero_grad(set_to_none=True)
        free(self.device)
        size = min(self.micro_batch or own, own)
        why = why or "in another process"
        if size == 1:
            raise MemoryError(f"step {step + 1}: one image at a time is too much for the memory ({why})")
        self.micro_batch = size // 2
        log.warning(
            "step %d: out of memory (%s); from here on %d of %d images go through the network at once, to the same "
            "numbers but for rounding", step + 1, why, self.micro_batch, own,
        )  # fmt: skip
