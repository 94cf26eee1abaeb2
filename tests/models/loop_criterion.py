"""Mask2Former's loss: Hungarian matching of queries to an image's classes, then class, mask and dice terms.

Mask2Former (arXiv 2112.01527) section 3.3; point sampling as in PointRend (arXiv 1912.08193) section 3.1.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.distributed as distributed
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from rein.models.mask2former import Prediction

NO_TARGET = -1  # a class no pixel has: fills target lists up to the longest of the batch


@runtime_checkable
class Draws(Protocol):
    """Where the random points come from: uniform (x, y) in [0, 1), new for every prediction (`layer`)."""

    def matching(self, layer: int, images: int, points: int, device: torch.device, /) -> Tensor:
        """Points (images, points, 2) on which queries and targets are compared."""
        ...

    def loss(self, layer: int, masks: int, points: int, device: torch.device, /) -> Tensor:
        """Points (masks, points, 2): first the candidates for the uncertain ones, then the uniform ones."""
        ...


class UniformDraws:
    """Draws from torch's global random state, or from `generator` (on the device of the predictions)."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def matching(self, layer: int, images: int, points: int, device: torch.device) -> Tensor:
        return torch.rand(images, points, 2, device=device, generator=self.generator)

    loss = matching


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


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Read maps (N, C, h, w) bilinearly at points (N, P, 2) = (x, y) in [0, 1], zero outside -> (N, C, P)."""
    grid = points.to(maps.dtype).mul(2).sub_(1).unsqueeze(1)  # (N, 1, P, 2)
    return F.grid_sample(maps, grid, align_corners=False).squeeze(2)


class Criterion(nn.Module):
    """Class cross-entropy, mask cross-entropy and dice of all predictions against a label map.

    Each class present in an image is one target. Matching costs and losses share the three weights. Mask
    terms are divided by the sum over images of max(targets, 1), averaged over ranks; the class term is the
    mean over all queries of the batch, weighted by `no_object_weight` where a query has no target.
    """

    def __init__(
        self,
        num_classes: int = 19,
        ignore_index: int = 255,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        no_object_weight: float = 0.1,
        points: int = 12544,
        oversample: float = 3.0,
        importance: float = 0.75,
    ) -> None:
        super().__init__()
        if oversample < 1 or not 0 <= importance <= 1:
            raise ValueError(f"need oversample >= 1 and importance in [0, 1], got {oversample}, {importance}")
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.class_weight, self.mask_weight, self.dice_weight = class_weight, mask_weight, dice_weight
        self.no_object_weight = no_object_weight
        self.points = points
        self.candidates = int(points * oversample)
        self.uncertain = int(points * importance)

    def forward(
        self, predictions: Sequence[Prediction], label: Tensor, draws: Draws | None = None
    ) -> dict[str, Tensor]:
        """L predictions and label (B, H, W) long -> the weighted terms and their sum.

        `loss` = `loss_class` + `loss_mask` + `loss_dice`, each summed over the predictions; `layers_class`,
        `layers_mask`, `layers_dice` (L,) are the same terms one by one, detached. Values of `label` outside
        0..K-1 and `ignore_index` belong to no target: outside every mask. All of it runs in fp32 at least.
        Raises FloatingPointError naming the first prediction whose matching cost is not finite.
        """
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
                "class": self.class_weight * self._class_term(classes, matching.labels),
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

    def _class_term(self, classes: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean cross-entropy over all queries of the batch: (L, B, Q, K + 1), (L, B, Q) -> (L,)."""
        weight = classes.new_ones(self.num_classes + 1)
        weight[-1] = self.no_object_weight
        entropy = F.cross_entropy(classes.flatten(0, 2), labels.flatten(), weight, reduction="none")
        return entropy.view_as(labels).sum((1, 2)) / weight[labels].sum((1, 2))

    def _mask_terms(
        self, masks: list[Tensor], targets: Targets, matching: Matching, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and dice of the matched masks on uncertain and uniform points -> two of (L,)."""
        counts, device = targets.counts, targets.masks.device
        normaliser = self._normaliser(counts, device)  # before any return: every rank must take part
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

    @torch.no_grad()
    def _points(self, layer: int, masks: Tensor, draws: Draws) -> Tensor:
        """The candidates with the smallest |logit| and some uniform points: (T, 1, h, w) -> (T, P, 2)."""
        drawn = draws.loss(layer, len(masks), self.candidates + self.points - self.uncertain, masks.device)
        candidates, uniform = drawn[:, : self.candidates], drawn[:, self.candidates :]
        certainty = sample(masks, candidates).squeeze(1).abs_()  # (T, candidates)
        keep = certainty.topk(self.uncertain, largest=False, sorted=False).indices
        return torch.cat((candidates.gather(1, keep[..., None].expand(-1, -1, 2)), uniform), dim=1)

    def _normaliser(self, counts: list[int], device: torch.device) -> Tensor:
        """Sum over images of max(targets, 1), averaged over ranks."""
        total = torch.tensor(float(sum(max(count, 1) for count in counts)), device=device)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(total)
            total = total / distributed.get_world_size()
        return total.clamp(min=1)
