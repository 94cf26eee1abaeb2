"""Per-pixel prediction: what the heads without queries have in common, their scores and their loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.device import full_precision
from rein.models.part import Part


class DenseHead(nn.Module):
    """A head that says (B, K, h, w): one logit per class and pixel of its finest map.

    It has no queries, so there is nothing that a Rein could be linked to.
    """

    def scores(self, features: list[Tensor], linked: Tensor | None, size: tuple[int, int]) -> Tensor:
        """The logits at `size`, (B, K, *size); windows are averaged as logits, as in mmsegmentation."""
        return _resized(self(features, linked).float(), size)


class DenseCriterion(nn.Module):
    """Cross-entropy of the logits, upsampled to the label, as the mean over the labelled pixels of the batch.

    Values of the label outside 0..K-1 and `ignore_index` are void. A batch that is all void has a loss of zero.
    """

    def __init__(self, num_classes: int = 19, ignore_index: int = 255) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index

    def counts(self, label: Tensor) -> Tensor:
        """How many labelled pixels each image has: (B, H, W) long -> (B,) long."""
        return self._labelled(label).flatten(1).sum(1)

    def forward(self, output: Tensor, label: Tensor, *, part: Part | None = None) -> dict[str, Tensor]:
        """Logits (B, K, h, w) and label (B, H, W) long -> `loss` and its only term, `loss_class`; fp32 at least.

        Of a `part` of a batch it is the part's share: those of all parts add up to the batch's.
        """
        if label.ndim != 3 or label.shape[0] != output.shape[0]:
            raise ValueError(f"label must be (B, H, W) with B = {output.shape[0]}, got {tuple(label.shape)}")
        labelled = self._labelled(label)
        target = torch.where(labelled, label, -1)
        with full_precision(label.device):
            full = torch.promote_types(output.dtype, torch.float32)
            logits = _resized(output.to(full), (label.shape[1], label.shape[2]))
            total = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
            loss = total / (labelled if part is None else part.counts).sum().clamp(min=1)
        return {"loss": loss, "loss_class": loss}

    def _labelled(self, label: Tensor) -> Tensor:
        return (label >= 0) & (label < self.num_classes) & (label != self.ignore_index)


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)
