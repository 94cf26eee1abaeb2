"""The core by embedding_bag against the core by grid_sample, values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rein.models.deformable import _sizes, by_bags, by_grids, deformable_attention_core

torch.set_num_threads(1)
Case = tuple[Tensor, tuple[tuple[int, int], ...], Tensor, Tensor]


def case(
    shapes: tuple[tuple[int, int], ...], *, batch: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    sampled = (batch, 5, 3, len(shapes), 4)
    locations = (random(*sampled, 2) * 1.6 - 0.3).detach().requires_grad_()  # some outside
    return random(batch, sum(h * w for h, w in shapes), 3, 2), shapes, locations, random(*sampled)


def gradients(core: object, given: Case) -> tuple[Tensor, ...]:
    value, shapes, locations, weights = given
    read = core(value, shapes, locations, weights)  # pyright: ignore[reportCallIssue]
    return (read, *torch.autograd.grad(read.sin().sum(), (value, locations, weights)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@settings(max_examples=15)
@given(
    st.integers(0, 1000),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(2, 7), st.integers(2, 7)), min_size=1, max_size=3),
)
def test_bags_are_grids(
    dtype: torch.dtype, tolerance: float, seed: int, batch: int, shapes: list[tuple[int, int]]
) -> None:
    made = case(tuple(shapes), batch=batch, seed=seed, dtype=dtype)
    for found, expected in zip(gradients(by_bags, made), gradients(by_grids, made), strict=True):
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=10 * tolerance)


def test_on_pixel_centres_and_borders_both_take_the_same_side() -> None:
    """Where a fresh head reads, and where a derivative has two sides."""
    value, shapes, locations, weights = case(((4, 8), (2, 2)), dtype=torch.float32)
    sizes = torch.tensor([[[8.0, 4.0]], [[2.0, 2.0]]])
    with torch.no_grad():
        locations.copy_(((locations * sizes).round() + 0.5) / sizes)
    made = (value, shapes, locations, weights)
    for found, expected in zip(gradients(by_bags, made), gradients(by_grids, made), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("wanted", [0, 2, 3])
def test_gradients_of_one_input_alone(wanted: int) -> None:
    made = case(((3, 5), (2, 4)))
    alone = list(made)
    for index in {0, 2, 3} - {wanted}:
        alone[index] = made[index].detach()  # pyright: ignore[reportAttributeAccessIssue]
    (found,) = torch.autograd.grad(by_bags(*alone).sum(), alone[wanted])  # pyright: ignore
    (expected,) = torch.autograd.grad(by_grids(*made).sum(), made[wanted])  # pyright: ignore
    torch.testing.assert_close(found, expected)


def test_a_map_of_one_row_is_read_by_grids() -> None:
    made = case(((1, 3), (2, 1)))
    torch.testing.assert_close(deformable_attention_core(*made), by_grids(*made))


def test_constants_made_in_inference_mode_serve_training() -> None:
    made = case(((6, 3), (5, 2)))
    with torch.inference_mode():
        expected = by_bags(*made)
    torch.testing.assert_close(gradients(by_bags, made)[0], expected)
    _, shapes, locations, _ = made
    assert not _sizes(shapes, locations.shape[2:5], locations.dtype).is_inference()


def test_values_in_bfloat16_are_summed_in_the_precision_of_the_locations() -> None:
    value, shapes, locations, weights = case(((4, 4),), dtype=torch.float32)
    found = by_bags(value.bfloat16(), shapes, locations, weights.bfloat16())
    assert found.dtype == torch.bfloat16
    expected = by_grids(value.bfloat16(), shapes, locations, weights.bfloat16())
    torch.testing.assert_close(found, expected)
