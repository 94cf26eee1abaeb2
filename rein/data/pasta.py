"""PASTA: proportional amplitude spectrum training augmentation (arXiv 2212.00979, section 3.2)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def pasta(
    image: Tensor,
    generator: Generator,
    alpha: float = 3.0,
    k: float = 2.0,
    beta: float = 0.25,
    probability: float = 0.5,
) -> Tensor:
    """A uint8 image (3, h, w) with the amplitudes of its Fourier spectrum multiplied by N(1, sigma^2), phases kept.

    The defaults are the paper's for segmentation. With them sigma runs from 0.25 for the mean colour to 9.25 for the
    finest detail, each channel drawn by itself.
    """
    if float(torch.rand((), generator=generator)) >= probability:
        return image
    noise = torch.randn(image.shape, generator=generator)
    height, width = image.shape[-2:]
    pixels = scale_amplitudes(image.float(), 1 + deviation(height, width, alpha, k, beta) * noise)
    return pixels.clamp_(0, 255).round_().to(torch.uint8)


def deviation(height: int, width: int, alpha: float, k: float, beta: float) -> Tensor:
    """`sigma(m, n) = (2 alpha sqrt((m^2 + n^2) / (H^2 + W^2)))^k + beta`, in the order of `torch.fft.fft2`.

    m and n are the signed frequencies in periods per image: alpha^k + beta at the highest of both.
    """
    rows, columns = (torch.fft.fftfreq(length, d=1 / length) for length in (height, width))
    share = (rows[:, None] ** 2 + columns**2) / (height**2 + width**2)
    return (2 * alpha * share.sqrt()) ** k + beta


def scale_amplitudes(pixels: Tensor, factors: Tensor) -> Tensor:
    """Multiply each frequency of (..., h, w) by a real factor: its amplitude alone.

    The factors of a frequency and of its negative differ, the spectrum is no real image's any more, and as in the
    reference code the real part is taken: it is the image of the mean of the two factors.
    """
    return torch.fft.ifft2(torch.fft.fft2(pixels) * factors).real
