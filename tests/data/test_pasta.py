"""PASTA: amplitudes change as the equation says, phases do not, and the recipe without it is what it was."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from rein.config import Data
from rein.data.pasta import deviation, pasta, scale_amplitudes
from rein.data.transforms import training_crop


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int = 24, width: int = 33) -> Tensor:
    """A street's worth of contrast, far from black and white, so that nothing is clipped."""
    return torch.randint(100, 150, (3, height, width), generator=seeded(0), dtype=torch.uint8)


@pytest.mark.parametrize("shape", [(8, 8), (9, 12), (7, 5), (1, 6)])
def test_the_deviation_is_the_equations_frequency_by_frequency(shape: tuple[int, int]) -> None:
    height, width = shape
    sigma = deviation(height, width, alpha=3, k=2, beta=0.25)
    for row in range(height):
        for column in range(width):
            m = row if row < height / 2 else row - height
            n = column if column < width / 2 else column - width
            expected = (2 * 3 * math.sqrt((m**2 + n**2) / (height**2 + width**2))) ** 2 + 0.25
            assert sigma[row, column].item() == pytest.approx(expected, rel=1e-5)


def test_the_deviation_runs_from_beta_to_alpha_to_the_k_plus_beta() -> None:
    sigma = deviation(64, 32, alpha=3, k=2, beta=0.25)
    assert sigma[0, 0] == sigma.min() == 0.25
    assert sigma[32, 16].item() == pytest.approx(sigma.max().item()) == pytest.approx(3**2 + 0.25)


@pytest.mark.parametrize("shape", [(16, 16), (24, 33)])
def test_phases_stay_and_amplitudes_are_multiplied(shape: tuple[int, int]) -> None:
    pixels = picture(*shape).double()
    factors = torch.rand(3, *shape, generator=seeded(1), dtype=torch.float64) + 0.5
    # of a real image's spectrum: the same for a frequency and its negative
    opposite = factors.flip(1, 2).roll((1, 1), (1, 2))
    before, after = (torch.fft.fft2(p) for p in (pixels, scale_amplitudes(pixels, factors)))
    torch.testing.assert_close(after.abs(), before.abs() * (factors + opposite) / 2)
    torch.testing.assert_close(after / after.abs(), before / before.abs())


def test_without_any_deviation_an_image_stays_as_it_is() -> None:
    assert torch.equal(pasta(picture(), seeded(0), alpha=0, beta=0, probability=1), picture())


def test_beta_alone_is_a_factor_of_deviation_beta_at_every_frequency() -> None:
    pixels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    pixels[:, 0, 0] = 200
    mean = pixels.float().mean()
    brightness = torch.stack([
        scale_amplitudes(pixels.float(), 1 + deviation(8, 8, 0, 2, 0.25) * torch.randn(3, 8, 8, generator=seeded(s)))
        .mean((1, 2)) / mean
        for s in range(400)
    ])  # fmt: skip
    assert brightness.mean().item() == pytest.approx(1, abs=0.03)
    assert brightness.std().item() == pytest.approx(0.25, rel=0.1)
    assert torch.corrcoef(brightness.T).fill_diagonal_(0).abs().max() < 0.2, "channels are drawn apart"


def test_an_image_is_perturbed_with_the_given_probability() -> None:
    for probability in (0.0, 0.5, 1.0):
        changed = [not torch.equal(pasta(picture(), seeded(s), probability=probability), picture()) for s in range(200)]
        assert sum(changed) / 200 == pytest.approx(probability, abs=0.12)


def test_the_result_is_an_image() -> None:
    image = torch.randint(0, 256, (3, 24, 33), dtype=torch.uint8)
    result = pasta(image, seeded(0), probability=1)
    assert result.shape == image.shape and result.dtype == torch.uint8
    assert result.min() == 0 and result.max() == 255, "clipped, not wrapped"


def crop(generator: Generator, **changes: Any) -> tuple[Tensor, Tensor]:
    label = (torch.arange(96) // 8 % 19).to(torch.uint8).expand(48, 96)
    return training_crop(picture(48, 96), label, Data(sources=("toy-game",), crop_size=32, **changes), generator)


def test_a_training_crop_is_perturbed_half_of_the_time_and_its_label_never() -> None:
    pairs = [(crop(seeded(s)), crop(seeded(s), augmentation="pasta")) for s in range(60)]
    assert all(torch.equal(plain[1], other[1]) for plain, other in pairs)
    changed = sum(not torch.equal(plain[0], other[0]) for plain, other in pairs)
    assert 15 < changed < 45


def test_a_crop_is_a_function_of_its_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again = (crop(seeded(3), augmentation="pasta") for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(torch.get_rng_state(), before)
