"""The criterion as a loop over predictions, with every target's mask written out: the reference for the one pass."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from rein.models.criterion import Criterion, Draws, UniformDraws, sample
from rein.models.mask2former import Prediction

NO_TARGET = -1  # a class no pixel has: fills target lists up to the longest of the batch


class Targets(NamedTuple):
    """The binary masks of a batch, one per image and class present: T in all, at most n >= 1 in an image."""

    counts: list[int]  # (B,)
    classes: Tensor  # (B, n) long, ascending; rows filled up with NO_TARGET; on the host
    masks: Tensor  # (B, n, H, W) of 0 and 1


class Matching(NamedTuple):
    """Which query took which target, per prediction."""

    query: Tensor  # (L, T) long; where unmatched (more targets than queries) 0
    matched: Tensor  # (L, T) bool
    labels: Tensor  # (L, B, Q) long: the class of each query's target, K where it has none


class LoopCriterion(Criterion):
    """Values and gradients of `Criterion`, one prediction after the other."""

    def forward(self, predictions: list[Prediction], label: Tensor, draws: Draws | None = None) -> dict[str, Tensor]:
        if label.ndim != 3 or label.shape[0] != predictions[0].mask_logits.shape[0]:
            batch = predictions[0].mask_logits.shape[0]
            raise ValueError(f"label must be (B, H, W) with B = {batch}, got {tuple(label.shape)}")
        source: Draws = UniformDraws() if draws is None else draws
        with torch.autocast(label.device.type, enabled=False):
            full = torch.promote_types(predictions[0].mask_logits.dtype, torch.float32)
            classes = torch.stack([p.class_logits for p in predictions]).to(full)  # (L, B, Q, K + 1)
            masks = [p.mask_logits.to(full) for p in predictions]  # L x (B, Q, h, w)
            targets = self._targets(label, full)
            matching = self._match(classes, masks, targets, source)
            mask_term, dice_term = self._mask_terms(masks, targets, matching, source)
            terms = {
                "class": self.class_weight * self._class_term(classes, matching.labels, None),
                "mask": self.mask_weight * mask_term,
                "dice": self.dice_weight * dice_term,
            }
        total = {f"loss_{name}": term.sum() for name, term in terms.items()}
        layers = {f"layers_{name}": term.detach() for name, term in terms.items()}
        return {"loss": torch.stack(list(total.values())).sum(), **total, **layers}

    def _targets(self, label: Tensor, dtype: torch.dtype) -> Targets:
        valid = (label >= 0) & (label < self.num_classes) & (label != self.ignore_index)
        label = torch.where(valid, label, self.num_classes)  # void and unknown ids belong to no mask
        present = label.new_zeros(len(label), self.num_classes + 1).scatter_(1, label.flatten(1), 1)
        # beside the costs all that the host waits for
        lists = [row.nonzero()[:, 0] for row in present[:, :-1].cpu()]
        counts = [len(row) for row in lists]
        classes = torch.full((len(label), max(*counts, 1)), NO_TARGET)
        for row, found in zip(classes, lists, strict=True):
            row[: len(found)] = found
        masks = (label[:, None] == classes.to(label.device)[..., None, None]).to(dtype)
        return Targets(counts, classes, masks)

    @torch.no_grad()
    def _match(self, classes: Tensor, masks: list[Tensor], targets: Targets, draws: Draws) -> Matching:
        layers, batch, queries, _ = classes.shape
        index = targets.classes.to(classes.device).clamp(min=0)[:, None].expand(layers, batch, queries, -1)
        cost = -self.class_weight * classes.softmax(-1).gather(-1, index)  # (L, B, Q, n)
        for layer, mask in enumerate(masks):  # not all at once: L x B x Q x P floats, several times over
            points = draws.matching(layer, batch, self.points, mask.device)  # (B, P, 2)
            cost[layer] += self._mask_cost(sample(mask, points), sample(targets.masks, points))
        host = cost.cpu().numpy()
        for layer in range(layers):
            if not np.isfinite(host[layer]).all():
                raise FloatingPointError(f"prediction {layer} of {layers}: the matching cost is not finite")
        return Matching(*(torch.from_numpy(array).to(classes.device) for array in self._assign(host, targets)))

    def _mask_cost(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted mask cost of every query (B, Q, P) for every target (B, n, P) -> (B, Q, n)."""
        target = target.transpose(1, 2)  # (B, P, n)
        # t softplus(-x) + (1 - t) softplus(x) = softplus(x) - t x
        entropy = (F.softplus(logits).sum(-1, keepdim=True) - logits @ target) / logits.shape[-1]
        probability = logits.sigmoid()
        total = probability.sum(-1, keepdim=True) + target.sum(1, keepdim=True)
        dice = 1 - (2 * probability @ target + 1) / (total + 1)
        return self.mask_weight * entropy + self.dice_weight * dice

    def _assign(self, cost: np.ndarray, targets: Targets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The cheapest assignment for each prediction and image, cost (L, B, Q, n) -> arrays of Matching."""
        layers, batch, queries, _ = cost.shape
        classes = targets.classes.numpy()
        query = np.zeros((layers, sum(targets.counts)), dtype=np.int64)
        matched = np.zeros(query.shape, dtype=bool)
        labels = np.full((layers, batch, queries), self.num_classes, dtype=np.int64)
        first = np.cumsum([0, *targets.counts])
        for layer in range(layers):
            for image, count in enumerate(targets.counts):
                chosen, target = linear_sum_assignment(cost[layer, image, :, :count])
                query[layer, first[image] + target] = chosen
                matched[layer, first[image] + target] = True
                labels[layer, image, chosen] = classes[image, target]
        return query, matched, labels

    def _mask_terms(
        self, masks: list[Tensor], targets: Targets, matching: Matching, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and dice of the matched masks on uncertain and uniform points -> two of (L,)."""
        counts, device = targets.counts, targets.masks.device
        normaliser = torch.tensor(sum(max(count, 1) for count in counts), device=device)
        if not sum(counts):
            zero = torch.stack([mask.sum() * 0 for mask in masks])  # keeps the masks in the graph
            return zero, zero
        image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(device)  # (T,)
        target_masks = torch.cat([rows[:count] for rows, count in zip(targets.masks, counts, strict=True)])
        target_masks = target_masks.unsqueeze(1)  # (T, 1, H, W)
        terms = []
        for layer, (mask, query) in enumerate(zip(masks, matching.query, strict=True)):
            chosen = mask[image, query].unsqueeze(1)  # (T, 1, h, w)
            points = self._points(layer, chosen.detach(), draws)  # (T, P, 2)
            logits = sample(chosen, points).squeeze(1)  # (T, P)
            target = sample(target_masks, points).squeeze(1)  # (T, P)
            entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(-1)  # (T,)
            probability = logits.sigmoid()
            dice = 1 - (2 * (probability * target).sum(-1) + 1) / (probability.sum(-1) + target.sum(-1) + 1)
            terms.append(torch.stack((entropy, dice)) @ matching.matched[layer].to(entropy.dtype))  # (2,)
        mask_term, dice_term = torch.stack(terms, dim=1) / normaliser
        return mask_term, dice_term
