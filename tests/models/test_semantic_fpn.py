"""Semantic FPN: its published size, and the same map from a plain re-computation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rein.models.semantic_fpn import SemanticFPN
from rein.models.tuning import count

VIT_SCALES = (4.0, 2.0, 1.0, 0.5)


def small(scales: tuple[float, ...] = VIT_SCALES, channels: tuple[int, ...] = (6, 6, 6, 6)) -> SemanticFPN:
    return SemanticFPN(channels, num_classes=5, width=8, channels=4, dropout=0.1, scales=scales)


def pyramid(height: int, width: int, channels: tuple[int, ...] = (3, 5, 7, 9)) -> list[Tensor]:
    """Maps of a hierarchical net at strides 4, 8, 16, 32 of an image, rounded up as such nets do."""
    return [torch.randn(2, c, -(-height // s), -(-width // s)) for c, s in zip(channels, (4, 8, 16, 32), strict=True)]


def test_it_has_the_papers_1_63_million_parameters_behind_its_projections() -> None:
    head = SemanticFPN([1024] * 4)
    assert count(head.project) == 4 * (1024 * 256 + 256)
    assert count(head) - count(head.project) == 1_626_259


def test_a_level_has_a_convolution_per_halving_of_its_stride_and_one_at_least() -> None:
    kinds = [[type(layer).__name__ for layer in branch] for branch in SemanticFPN([4] * 4).branches]
    block = ["Conv2d", "GroupNorm", "ReLU"]
    assert kinds == [block, [*block, "Upsample"], 2 * [*block, "Upsample"], 3 * [*block, "Upsample"]]


@pytest.mark.parametrize("grid", [(4, 4), (5, 7), (6, 4), (13, 4)])
def test_a_vits_maps_give_logits_at_four_times_their_size(grid: tuple[int, int]) -> None:
    logits = small()([torch.randn(2, 6, *grid) for _ in range(4)])
    assert logits.shape == (2, 5, 4 * grid[0], 4 * grid[1])


@pytest.mark.parametrize("size", [(64, 96), (33, 47), (128, 65)])
def test_a_hierarchical_nets_maps_give_logits_at_the_finest_ones_size(size: tuple[int, int]) -> None:
    maps = pyramid(*size)
    assert small((1.0, 1.0, 1.0, 1.0), (3, 5, 7, 9))(maps).shape == (2, 5, *maps[0].shape[-2:])


def recomputed(head: SemanticFPN, features: list[Tensor], scales: tuple[float, ...]) -> Tensor:
    """The head by its description: resize, project, convolve and upsample each level; sum; classify."""
    state = {name: tensor.double() for name, tensor in head.state_dict().items()}
    total = torch.zeros(())
    for level, feature in enumerate(features):
        x = feature.double()
        if scales[level] != 1:
            x = F.interpolate(x, scale_factor=scales[level], mode="bilinear", align_corners=False)
        weight = state[f"project.{level}.weight"][:, :, 0, 0]
        x = torch.einsum("oi,bihw->bohw", weight, x) + state[f"project.{level}.bias"][:, None, None]
        for step in range(max(1, level)):
            place = 4 * step
            x = F.conv2d(x, state[f"branches.{level}.{place}.weight"], padding=1)
            groups = x.unflatten(1, (head.branches[level][place + 1].num_groups, -1))
            var, mean = torch.var_mean(groups, dim=(2, 3, 4), keepdim=True, correction=0)
            x = ((groups - mean) / (var + 1e-5).sqrt()).flatten(1, 2)
            affine = (state[f"branches.{level}.{place + 1}.{kind}"][:, None, None] for kind in ("weight", "bias"))
            x = x * next(affine) + next(affine)
            x = x.clamp(min=0)
            if level:
                x = F.interpolate(x, [2 * x.shape[-2], 2 * x.shape[-1]], mode="bilinear", align_corners=False)
        total = total + (x if level == 0 else F.interpolate(x, total.shape[-2:], mode="bilinear", align_corners=False))
    weight = state["classifier.weight"][:, :, 0, 0]
    return torch.einsum("oi,bihw->bohw", weight, total) + state["classifier.bias"][:, None, None]


@pytest.mark.parametrize("case", ["vit", "odd vit", "pyramid", "odd pyramid"])
def test_it_is_what_a_plain_recomputation_gives(case: str) -> None:
    torch.manual_seed(0)
    if "vit" in case:
        scales, channels = VIT_SCALES, (6, 6, 6, 6)
        maps = [torch.randn(2, 6, *((5, 7) if "odd" in case else (4, 8))) for _ in range(4)]
    else:
        scales, channels = (1.0, 1.0, 1.0, 1.0), (3, 5, 7, 9)
        maps = pyramid(*((50, 70) if "odd" in case else (64, 96)))
    head = small(scales, channels).eval()
    for parameter in head.parameters():  # norms and biases start as ones and zeros, which hide them
        torch.nn.init.normal_(parameter)
    torch.testing.assert_close(head(maps).double(), recomputed(head, maps, scales), rtol=1e-4, atol=1e-4)


def test_all_parameters_have_a_gradient() -> None:
    head = small()
    head([torch.randn(2, 6, 4, 6) for _ in range(4)]).square().sum().backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_training_drops_whole_channels_and_evaluation_none() -> None:
    head = SemanticFPN([6] * 4, width=8, channels=64, dropout=0.5, scales=VIT_SCALES)
    seen: list[Tensor] = []
    head.dropout.register_forward_hook(lambda _, inputs, output: seen.append(output / inputs[0].clamp(min=1e-9)))
    maps = [torch.randn(2, 6, 4, 4) for _ in range(4)]
    head(maps)
    kept = seen[0].amax((2, 3))
    assert 0.3 < (kept == 0).float().mean() < 0.7 and kept.max().item() == pytest.approx(2, rel=1e-3)
    head.eval()
    assert torch.equal(head(maps), head(maps))


def test_images_of_a_batch_do_not_meet() -> None:
    head = small().eval()
    maps = [torch.randn(3, 6, 4, 4) for _ in range(4)]
    torch.testing.assert_close(head(maps)[1:2], head([m[1:2] for m in maps]), rtol=1e-4, atol=1e-6)
