"""Images and labels at half their size, as the reference code prepares Mapillary Vistas.

Source: `tools/convert_datasets/mapillary_resize.py` of github.com/w1oves/Rein, which resizes to (width // 2,
height // 2) by Pillow: the image bicubically, the label by nearest neighbour. It keeps the images as JPEG, which costs
them some more; here nothing is lost.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def half(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the half."""
    height, width = size
    return height // 2, width // 2


def halved_image(image: Tensor) -> Tensor:
    """uint8 (3, H, W) at half its size."""
    return torch.from_numpy(_resized(image.permute(1, 2, 0), Image.Resampling.BICUBIC)).permute(2, 0, 1)


def halved_label(label: Tensor) -> Tensor:
    """uint8 train ids (H, W) at half their size."""
    return torch.from_numpy(_resized(label, Image.Resampling.NEAREST))


def _resized(pixels: Tensor, resample: Image.Resampling) -> np.ndarray:
    height, width = half((pixels.shape[0], pixels.shape[1]))
    picture = Image.fromarray(np.ascontiguousarray(pixels.numpy()))
    return np.array(picture.resize((width, height), resample))
