"""The peer of `rein.bench`, fed with our random points: the oracle of the head and the criterion."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor
from transformers.models.mask2former import modeling_mask2former as theirs

from rein.bench.peer import PeerCriterion, split_label
from rein.models.criterion import Criterion, Draws
from rein.models.mask2former import Prediction


class FixedDraws:
    """Points drawn once a (kind, layer), so that two losses can be given the same ones."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        self.seed, self.dtype = seed, dtype

    def _draw(self, kind: int, layer: int, rows: int, points: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1000 + kind * 100 + layer)
        return torch.rand(rows, points, 2, generator=generator, dtype=self.dtype)

    def matching(self, layer: int, images: int, points: int, _: torch.device) -> Tensor:
        return self._draw(0, layer, images, points)

    def loss(self, layer: int, masks: int, points: int, _: torch.device) -> Tensor:
        return self._draw(1, layer, masks, points)


class ByTarget(theirs.Mask2FormerHungarianMatcher):
    """Their matches sorted by target, as ours are: the order in which masks are given their points."""

    def forward(self, *args: object, **kwargs: object) -> list[tuple[Tensor, Tensor]]:
        matches = super().forward(*args, **kwargs)
        return [(query[target.argsort()], target.sort().values) for query, target in matches]


@contextmanager
def random_numbers(tensors: list[Tensor], dtype: torch.dtype) -> Iterator[None]:
    """torch.rand hands out these tensors, each of which must have the shape that is asked for."""
    numbers = iter(tensors)

    def rand(*shape: int, **_: object) -> Tensor:
        tensor = next(numbers)
        assert tensor.shape == shape
        return tensor.to(dtype).contiguous()

    with patch.object(torch, "rand", rand):
        yield
    assert next(numbers, None) is None, "transformers drew fewer points than expected"


def oracle_loss(criterion: Criterion, predictions: list[Prediction], label: Tensor, draws: Draws) -> dict[str, Tensor]:
    """Their weighted terms, each (L,): `layers_class`, `layers_mask`, `layers_dice`."""
    dtype = predictions[0].mask_logits.dtype
    masks, ids = split_label(label, criterion.num_classes, dtype)
    peer = PeerCriterion(criterion).to(dtype)
    peer.loss.empty_weight[-1] = criterion.no_object_weight  # once more: in double precision
    peer.loss.matcher.__class__ = ByTarget
    queries = predictions[0].class_logits.shape[1]
    count, last = sum(min(len(ks), queries) for ks in ids), len(predictions) - 1

    def points() -> Iterator[Tensor]:
        uniform = criterion.points - criterion.uncertain
        for layer in (last, *range(last)):  # the final prediction first
            yield from draws.matching(layer, len(label), criterion.points, label.device).split(1)
            drawn = draws.loss(layer, count, criterion.candidates + uniform, label.device)
            yield from drawn.split([criterion.candidates, uniform], dim=1)

    with random_numbers(list(points()), dtype):
        terms = peer.terms(predictions, masks, ids)
    suffixes = [*(f"_{layer}" for layer in range(last)), ""]
    return {
        ours: torch.stack([weight * terms[name + suffix] for suffix in suffixes])
        for ours, (name, weight) in zip(
            ("layers_class", "layers_mask", "layers_dice"), peer.weights.items(), strict=True
        )
    }
