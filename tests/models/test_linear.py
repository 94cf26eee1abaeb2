"""The linear probe: one convolution over all maps, each pixel normalised over its channels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rein.models.linear import LinearHead
from rein.models.tuning import count


def recomputed(head: LinearHead, features: list[Tensor]) -> Tensor:
    """Normalise, resize, concatenate, convolve: in this order."""
    normal = []
    for feature in features:
        x = feature.double()
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
        normal.append(F.interpolate(x, features[0].shape[-2:], mode="bilinear", align_corners=False))
    bias = head.classifier.bias
    return F.conv2d(torch.cat(normal, 1), head.classifier.weight.double(), None if bias is None else bias.double())


@pytest.mark.parametrize(
    "maps",
    [
        [torch.randn(2, 6, 5, 7) * 10 + 3 for _ in range(4)],
        [torch.randn(2, c, s, s + 1) for c, s in ((3, 17), (5, 9), (7, 5), (9, 3))],
    ],
    ids=["vit", "pyramid"],
)
def test_it_is_one_convolution_of_the_normalised_resized_concatenated_maps(maps: list[Tensor]) -> None:
    head = LinearHead([m.shape[1] for m in maps], num_classes=5)
    torch.nn.init.normal_(head.classifier.weight)
    torch.nn.init.normal_(head.classifier.bias)
    logits = head(maps)
    assert logits.shape == (2, 5, *maps[0].shape[-2:])
    torch.testing.assert_close(logits.double(), recomputed(head, maps), rtol=1e-4, atol=1e-4)


def test_it_has_one_weight_per_channel_and_class() -> None:
    assert count(LinearHead([1024] * 4)) == 4 * 1024 * 19 + 19
    assert count(LinearHead([3, 5, 7, 9], num_classes=2)) == 24 * 2 + 2


def test_the_size_of_a_pixels_features_does_not_matter() -> None:
    head = LinearHead([8] * 4)
    maps = [torch.randn(1, 8, 3, 3) for _ in range(4)]
    torch.testing.assert_close(head(maps), head([1000 * m + 50 for m in maps]), rtol=1e-3, atol=1e-4)


def test_all_parameters_have_a_gradient() -> None:
    head = LinearHead([4] * 4)
    head([torch.randn(1, 4, 3, 3) for _ in range(4)]).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().min() > 0 for p in head.parameters())
