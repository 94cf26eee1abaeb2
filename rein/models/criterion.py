"""Mask2Former's loss: Hungarian matching of queries to an image's classes, then class, mask and dice terms.

Mask2Former (arXiv 2112.01527) section 3.3; point sampling as in PointRend (arXiv 1912.08193) section 3.1.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from rein.device import full_precision
from rein.models.mask2former import Prediction
from rein.models.part import Part


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


class PartDraws:
    """What a part of a batch gets of the points that are drawn for the whole batch."""

    def __init__(self, draws: Draws, part: Part) -> None:
        self.draws, self.part = draws, part

    def matching(self, layer: int, images: int, points: int, device: torch.device) -> Tensor:
        return self.part.images(self.draws.matching(layer, self.part.batch, points, device))

    def loss(self, layer: int, masks: int, points: int, device: torch.device) -> Tensor:
        return self.part.targets(self.draws.loss(layer, int(self.part.counts.sum()), points, device))


class Matching(NamedTuple):
    """Which query took which target, per prediction. A target is a class that an image has: T in all."""

    counts: list[int]  # (B,) targets of each image
    image: Tensor  # (T,) long
    classes: Tensor  # (T,) long, ascending in an image
    query: Tensor  # (L, T) long; where unmatched (more targets than queries) 0
    matched: Tensor  # (L, T) long, 0 or 1
    labels: Tensor  # (L, B, Q) long: the class of each query's target, K where it has none


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Read maps (N, C, h, w) bilinearly at points (N, P, 2) = (x, y) in [0, 1], zero outside -> (N, C, P)."""
    grid = points.to(maps.dtype).mul(2).sub_(1).unsqueeze(1)  # (N, 1, P, 2)
    return F.grid_sample(maps, grid, align_corners=False).squeeze(2)


def label_corners(framed: Tensor, points: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """What a bilinear read of any class's mask at points (R, P, 2) of images (R,) would weigh, without the masks.

    framed (B, H + 2, W + 2) -> classes of the four pixels around each point and their weights, both (R, P, 4). The
    weights of one class, summed, are `sample` of its mask.
    """
    height, width = framed.shape[1] - 2, framed.shape[2] - 2
    # in pixels, the frame's included; sizes stay numbers of the host, since uploading them would wait for the device
    place = torch.stack((points[..., 0] * width, points[..., 1] * height), dim=-1) + 0.5
    corner = place.floor()
    far = place - corner
    x, y = torch.stack((1 - far, far), dim=-1).unbind(-2)  # (R, P, 2) each
    weights = (y.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)  # (R, P, 4)
    column, row = corner.long().unbind(-1)
    first = (row + image[:, None] * (height + 2)) * (width + 2) + column  # (R, P)
    below = first + (width + 2)
    return framed.take(torch.stack((first, first + 1, below, below + 1), dim=-1)).long(), weights


class Criterion(nn.Module):
    """Class cross-entropy, mask cross-entropy and dice of all predictions against a label map.

    Each class present in an image is one target. Matching costs and losses share the three weights. Mask
    terms are divided by the sum over images of max(targets, 1); the class term is the mean over all queries of the
    batch, weighted by `no_object_weight` where a query has no target. Both are those of the whole batch where a part
    of it is given.
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
        self, predictions: Sequence[Prediction], label: Tensor, draws: Draws | None = None, part: Part | None = None
    ) -> dict[str, Tensor]:
        """L predictions and label (B, H, W) long -> the weighted terms and their sum.

        Of a `part` of a batch it is the part's share: those of all parts add up to the batch's.

        `loss` = `loss_class` + `loss_mask` + `loss_dice`, each summed over the predictions; `layers_class`,
        `layers_mask`, `layers_dice` (L,) are the same terms one by one, detached. Values of `label` outside
        0..K-1 and `ignore_index` belong to no target: outside every mask. All of it runs in fp32 at least.
        Raises FloatingPointError naming the first prediction whose matching cost is not finite.
        """
        if label.ndim != 3 or label.shape[0] != predictions[0].mask_logits.shape[0]:
            batch = predictions[0].mask_logits.shape[0]
            raise ValueError(f"label must be (B, H, W) with B = {batch}, got {tuple(label.shape)}")
        source: Draws = UniformDraws() if draws is None else draws
        if part is not None:
            source = PartDraws(source, part)
        with full_precision(label.device):
            full = torch.promote_types(predictions[0].mask_logits.dtype, torch.float32)
            classes = torch.stack([p.class_logits for p in predictions]).to(full)  # (L, B, Q, K + 1)
            masks = [p.mask_logits.to(full) for p in predictions]  # L x (B, Q, h, w)
            framed = self._framed(label)
            matching = self._match(classes, masks, framed, source)
            mask_term, dice_term = self._mask_terms(masks, framed, matching, source, part)
            terms = {
                "class": self.class_weight * self._class_term(classes, matching.labels, part),
                "mask": self.mask_weight * mask_term,
                "dice": self.dice_weight * dice_term,
            }
        total = {f"loss_{name}": term.sum() for name, term in terms.items()}
        layers = {f"layers_{name}": term.detach() for name, term in terms.items()}
        return {"loss": torch.stack(list(total.values())).sum(), **total, **layers}

    def counts(self, label: Tensor) -> Tensor:
        """How many targets each image has: (B, H, W) long -> (B,) long. What a part must know of the whole batch."""
        present = torch.zeros(len(label), self.num_classes + 1, dtype=torch.long, device=label.device)
        return present.scatter_(1, self._framed(label).flatten(1).long(), 1)[:, :-1].sum(1)

    def _framed(self, label: Tensor) -> Tensor:
        """Classes (B, H + 2, W + 2), K for void, unknown ids and a frame around the map, which belong to no target."""
        valid = (label >= 0) & (label < self.num_classes) & (label != self.ignore_index)
        label = torch.where(valid, label, self.num_classes).short()  # a quarter of the memory of what is read of it
        return F.pad(label, (1, 1, 1, 1), value=self.num_classes)

    @torch.no_grad()
    def _match(self, classes: Tensor, masks: list[Tensor], framed: Tensor, draws: Draws) -> Matching:
        """One sampling of the label for all predictions, one copy to the host, one back.

        Costs are those of all classes, so that which of them an image has need not be known before; it travels along.
        """
        layers, batch = classes.shape[:2]
        points = [draws.matching(layer, batch, self.points, mask.device) for layer, mask in enumerate(masks)]
        image = torch.arange(batch, device=framed.device)
        corners, weights = label_corners(framed, torch.cat(points, dim=1).to(classes.dtype), image)  # (B, L * P, 4)
        target = weights.new_zeros(*weights.shape[:2], self.num_classes + 1).scatter_add_(-1, corners, weights)
        target = target[..., :-1].unflatten(1, (layers, -1)).unbind(1)  # L x (B, P, K)
        # not all at once: L x B x Q x P floats, several times over
        parts = [self._mask_cost(sample(*some), t) for *some, t in zip(masks, points, target, strict=True)]
        cost = torch.stack(parts) - self.class_weight * classes.softmax(-1)[..., :-1]  # (L, B, Q, K)
        present = weights.new_zeros(batch, self.num_classes + 1).scatter_(1, framed.flatten(1).long(), 1)[:, :-1]
        host = torch.cat((cost.flatten(), present.flatten())).cpu().numpy()  # all the host waits for
        cost, present = host[: cost.numel()].reshape(cost.shape), host[cost.numel() :].reshape(present.shape)
        for layer in range(layers):
            if not np.isfinite(cost[layer]).all():
                raise FloatingPointError(f"prediction {layer} of {layers}: the matching cost is not finite")
        return self._assign(cost, present > 0, classes.device)

    def _mask_cost(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weighted mask cost of every query (B, Q, P) for every class (B, P, K) -> (B, Q, K)."""
        # t softplus(-x) + (1 - t) softplus(x) = softplus(x) - t x
        entropy = (F.softplus(logits).sum(-1, keepdim=True) - logits @ target) / logits.shape[-1]
        probability = logits.sigmoid()
        total = probability.sum(-1, keepdim=True) + target.sum(1, keepdim=True)
        dice = 1 - (2 * probability @ target + 1) / (total + 1)
        return self.mask_weight * entropy + self.dice_weight * dice

    def _assign(self, cost: np.ndarray, present: np.ndarray, device: torch.device) -> Matching:
        """The cheapest assignment for each prediction and image: cost (L, B, Q, K), present (B, K)."""
        layers, batch, queries, _ = cost.shape
        image, classes = present.nonzero()
        counts = present.sum(1)
        first = np.cumsum(counts) - counts
        query = np.zeros((layers, len(image)), dtype=np.int64)
        matched = np.zeros_like(query)
        labels = np.full((layers, batch, queries), self.num_classes, dtype=np.int64)
        for layer in range(layers):
            for b in range(batch):
                own = present[b].nonzero()[0]
                chosen, target = linear_sum_assignment(cost[layer, b][:, own])
                query[layer, first[b] + target] = chosen
                matched[layer, first[b] + target] = 1
                labels[layer, b, chosen] = own[target]
        arrays = (image, classes, query, matched, labels)
        packed = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
        packed = (packed.pin_memory() if device.type == "cuda" else packed).to(device, non_blocking=True)
        tensors = packed.split([array.size for array in arrays])
        return Matching(counts.tolist(), *(t.view(a.shape) for t, a in zip(tensors, arrays, strict=True)))

    def _class_term(self, classes: Tensor, labels: Tensor, part: Part | None) -> Tensor:
        """Weighted mean cross-entropy over all queries of the batch: (L, B, Q, K + 1), (L, B, Q) -> (L,)."""
        weight = classes.new_ones(self.num_classes + 1)
        weight[-1] = self.no_object_weight
        entropy = F.cross_entropy(classes.flatten(0, 2), labels.flatten(), weight, reduction="none")
        total = weight[labels].sum((1, 2)) if part is None else self._class_weight(part, classes.shape[2])
        return entropy.view_as(labels).sum((1, 2)) / total

    def _class_weight(self, part: Part, queries: int) -> float:
        """The weights of all queries of a batch: as many have a target as its images have, or as there are."""
        matched = int(part.counts.clamp(max=queries).sum())
        return matched + self.no_object_weight * (part.batch * queries - matched)

    def _mask_terms(
        self, masks: list[Tensor], framed: Tensor, matching: Matching, draws: Draws, part: Part | None
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and dice of the matched masks on uncertain and uniform points -> two of (L,)."""
        if not sum(matching.counts):
            for layer, mask in enumerate(masks):  # other parts of the batch may have targets, and the next draw is then
                self._drawn(layer, 0, mask.device, draws)  # behind theirs
            zero = torch.stack([mask.sum() * 0 for mask in masks])  # keeps the masks in the graph
            return zero, zero
        layers = len(masks)
        rows = [mask[matching.image, query] for mask, query in zip(masks, matching.query, strict=True)]
        chosen = torch.cat(rows).unsqueeze(1)  # (L * T, 1, h, w)
        split = chosen.detach().chunk(layers)
        points = torch.stack([self._points(layer, some, draws) for layer, some in enumerate(split)])  # (L, T, P, 2)
        logits = sample(chosen, points.flatten(0, 1)).squeeze(1)  # (L * T, P)
        own = framed[matching.image, 1:-1, 1:-1] == matching.classes[:, None, None]  # (T, H, W)
        target = sample(own.unsqueeze(1).to(logits.dtype), points.transpose(0, 1).flatten(1, 2))  # (T, 1, L * P)
        target = target.view(-1, layers, self.points).transpose(0, 1).reshape(logits.shape)
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(-1)  # (L * T,)
        probability = logits.sigmoid()
        dice = 1 - (2 * (probability * target).sum(-1) + 1) / (probability.sum(-1) + target.sum(-1) + 1)
        terms = torch.stack((entropy, dice)).view(2, *matching.matched.shape) * matching.matched
        counts = matching.counts if part is None else part.counts.tolist()
        # a tensor: CUDA would multiply by a number's reciprocal
        total = torch.full((), float(sum(max(count, 1) for count in counts)), device=framed.device)
        mask_term, dice_term = terms.sum(-1) / total  # each (L,)
        return mask_term, dice_term

    @torch.no_grad()
    def _points(self, layer: int, masks: Tensor, draws: Draws) -> Tensor:
        """The candidates with the smallest |logit| and some uniform points: (T, 1, h, w) -> (T, P, 2)."""
        drawn = self._drawn(layer, len(masks), masks.device, draws)
        candidates, uniform = drawn[:, : self.candidates], drawn[:, self.candidates :]
        certainty = sample(masks, candidates).squeeze(1).abs_()  # (T, candidates)
        keep = certainty.topk(self.uncertain, largest=False, sorted=False).indices
        return torch.cat((candidates.gather(1, keep[..., None].expand(-1, -1, 2)), uniform), dim=1)

    def _drawn(self, layer: int, masks: int, device: torch.device, draws: Draws) -> Tensor:
        return draws.loss(layer, masks, self.candidates + self.points - self.uncertain, device)
