"""The pixel decoder: parity with transformers is in test_mask2former; here the parts against their definitions."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rein.models.pixel_decoder import DeformableAttention, PixelDecoder, deformable_attention_core, sine_positions

torch.set_num_threads(1)
SIZES = [(22, 30), (11, 15), (6, 8), (3, 4)]


def decoder(width: int = 32) -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder([5, 6, 7, 8], width=width, layers=2, heads=4, points=2, ffn=16)


def maps(batch: int = 2, sizes: list[tuple[int, int]] = SIZES) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, 5 + i, *size, generator=generator) for i, size in enumerate(sizes)]


def bilinear(plane: Tensor, x: float, y: float) -> Tensor:
    """Value (d,) of a plane (d, h, w) at (x, y) in [0, 1], pixel by pixel."""
    total = torch.zeros(len(plane), dtype=plane.dtype)
    column, row = x * plane.shape[2] - 0.5, y * plane.shape[1] - 0.5
    for i in range(plane.shape[1]):
        for j in range(plane.shape[2]):
            total += max(0.0, 1 - abs(row - i)) * max(0.0, 1 - abs(column - j)) * plane[:, i, j]
    return total


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_a_weighted_sum_of_bilinear_reads(seed: int, height: int, width: int) -> None:
    torch.manual_seed(seed)
    shapes = ((height, width), (2, 3))
    value = torch.randn(2, height * width + 6, 2, 3, dtype=torch.float64)
    locations = torch.rand(2, 3, 2, 2, 2, 2, dtype=torch.float64) * 1.6 - 0.3  # some outside
    weights = torch.rand(2, 3, 2, 2, 2, dtype=torch.float64)
    expected = torch.zeros(2, 3, 2, 3, dtype=torch.float64)
    for b, n, head, level, point in torch.cartesian_prod(*map(torch.arange, locations.shape[:5])).tolist():
        start = 0 if level == 0 else height * width
        rows = value[b, start : start + math.prod(shapes[level]), head]
        x, y = locations[b, n, head, level, point].tolist()
        read = bilinear(rows.T.reshape(3, *shapes[level]), x, y)
        expected[b, n, head] += weights[b, n, head, level, point] * read
    torch.testing.assert_close(deformable_attention_core(value, shapes, locations, weights), expected.flatten(2))


def test_sine_positions_follow_the_formula() -> None:
    positions = sine_positions(torch.zeros(1, 16, 3, 5, dtype=torch.float64)).view(3, 5, 16)
    for row, column, feature in [(0, 0, 0), (2, 4, 15), (1, 3, 5), (2, 1, 10), (1, 2, 8)]:
        place, length = (row, 3) if feature < 8 else (column, 5)
        angle = (place + 1) / (length + 1e-6) * 2 * math.pi / 10000 ** (feature % 8 // 2 * 2 / 8)
        expected = math.sin(angle) if feature % 2 == 0 else math.cos(angle)
        assert positions[row, column, feature].item() == pytest.approx(expected, abs=1e-12)


def test_offsets_start_on_a_ring_and_weights_alike() -> None:
    attention = DeformableAttention(32, heads=8, points=4)
    offsets = attention.offsets.bias.view(8, 3, 4, 2)
    assert not attention.offsets.weight.any() and not attention.weights.weight.any()
    torch.testing.assert_close(offsets.abs().amax(-1), torch.arange(1.0, 5).expand(8, 3, 4))
    torch.testing.assert_close(offsets[0, 1, 2], torch.tensor([3.0, 0.0]))
    torch.testing.assert_close(offsets[3, 0, 0], torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize("width", [32, 48, 64])
def test_shapes_for_odd_sizes_and_small_widths(width: int) -> None:
    fine, memory = decoder(width)(maps(1))
    assert fine.shape == (1, width, 22, 30)
    assert [tuple(m.shape) for m in memory] == [(1, width, *size) for size in reversed(SIZES[1:])]


def test_images_of_a_batch_do_not_mix() -> None:
    model, features = decoder(), maps(3)
    fine, memory = model(features)
    alone, alone_memory = model([f[1:2] for f in features])
    torch.testing.assert_close(fine[1:2], alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(memory[2][1:2], alone_memory[2], atol=1e-5, rtol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    model = decoder()
    with torch.no_grad():  # offsets and weights start at zero, which stops gradients to what they read
        for name, parameter in model.named_parameters():
            if name.endswith(("offsets.weight", "weights.weight")):
                torch.nn.init.normal_(parameter, std=0.1)
    fine, memory = model(maps())
    (fine.square().sum() + sum(m.square().sum() for m in memory)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


def test_constants_made_in_inference_mode_serve_training() -> None:
    model, features = decoder(), maps(1, [(26, 18), (13, 9), (7, 5), (4, 3)])
    with torch.inference_mode():
        expected, _ = model(features)
    fine, _ = copy.deepcopy(model)(features)
    fine.sum().backward()
    torch.testing.assert_close(fine, expected)


def test_bfloat16_autocast_is_close() -> None:
    model, features = decoder(), maps()
    with torch.autocast("cpu", torch.bfloat16):
        fine, _ = model(features)
    assert fine.isfinite().all()
    reference, _ = model(features)
    assert (fine - reference).norm() < 0.05 * reference.norm()


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="4 feature maps"):
        PixelDecoder([5, 6, 7])
    with pytest.raises(ValueError, match="multiple of 4"):
        PixelDecoder([5] * 4, width=36, heads=8)
    with pytest.raises(ValueError, match="4 feature maps, got 3"):
        decoder()(maps()[:3])
