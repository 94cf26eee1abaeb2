"""Mask2Former's pixel decoder: deformable attention over strides 32, 16, 8 and a stride-4 mask feature map.

Mask2Former (arXiv 2112.01527) section 3.2.1; Deformable DETR (arXiv 2010.04159) equations 2-3.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.models.deformable import Shapes, deformable_attention_core

LEVELS = 3  # strides 32, 16, 8: coarse to fine, in the order the decoder reads them
Shape = tuple[int, int]


def _remembered(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cache a constant tensor by its (hashable) arguments; in a traced graph it is computed instead."""

    @lru_cache(maxsize=16)
    def cached(*key: object) -> Tensor:
        # an inference tensor, cached by a first call in evaluation, could not be used in training
        with torch.inference_mode(False), torch.no_grad():
            return compute(*key)

    @wraps(compute)
    def wrapper(*key: object) -> Tensor:
        return compute(*key) if torch.compiler.is_compiling() else cached(*key)

    return wrapper


def _constant_dtype(like: Tensor) -> torch.dtype:
    return torch.promote_types(like.dtype, torch.float32)


@_remembered
def _sine_positions(shape: Shape, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    half = channels // 2
    frequency = 10000 ** -(torch.arange(0, half, 2, device=device, dtype=dtype) / half)
    rows = _waves(shape[0], frequency)[:, None].expand(*shape, half)
    columns = _waves(shape[1], frequency)[None].expand(*shape, half)
    return torch.cat((rows, columns), dim=-1).flatten(0, 1)  # (h * w, channels)


def _waves(length: int, frequency: Tensor) -> Tensor:
    """Sine and cosine in turn of every place along one axis, (length, 2 * frequencies)."""
    places = torch.arange(1, length + 1, device=frequency.device, dtype=frequency.dtype)
    angle = (places / (length + 1e-6) * (2 * math.pi))[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def sine_positions(feature: Tensor) -> Tensor:
    """Sine position encoding (h * w, C) of a feature map (B, C, h, w): C/2 features for y, then C/2 for x.

    Positions run over (0, 2 pi], frequencies from 1 down to 1/10000 (DETR, arXiv 2005.12872, appendix A.4).
    """
    channels, height, width = feature.shape[1:]
    positions = _sine_positions((height, width), channels, feature.device, _constant_dtype(feature))
    return positions.to(feature.dtype)


@_remembered
def _pixel_centres(shapes: Shapes, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Centres (S, 2) of all pixels of all levels as (x, y) in (0, 1)."""
    levels = []
    for height, width in shapes:
        y = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
        grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1)
        levels.append(grid.flatten(0, 1))  # (h * w, 2)
    return torch.cat(levels)


@_remembered
def _pixel_steps(shapes: Shapes, device: torch.device, dtype: torch.dtype) -> Tensor:
    """One pixel of each level (levels, 1, 2) as (x, y) in units of the whole map."""
    return torch.tensor([[(1 / width, 1 / height)] for height, width in shapes], device=device, dtype=dtype)


class DeformableAttention(nn.Module):
    """Every pixel of every level reads `points` values a head from each level, around its own place."""

    def __init__(self, width: int, heads: int, points: int) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(width, heads * LEVELS * points * 2)
        self.weights = nn.Linear(width, heads * LEVELS * points)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Head k looks along direction k of a square ring, point i at i + 1 pixels, all weighted alike."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ring = torch.stack((angle.cos(), angle.sin()), dim=-1)
        ring = ring / ring.abs().amax(-1, keepdim=True)  # (heads, 2)
        distance = torch.arange(1, self.points + 1)[:, None]
        offsets = (ring[:, None, None] * distance).expand(self.heads, LEVELS, self.points, 2)
        with torch.no_grad():
            self.offsets.bias.copy_(offsets.flatten())
        for linear in (self.value, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        for zero in (self.offsets.weight, self.weights.weight, self.weights.bias):
            nn.init.zeros_(zero)

    def forward(self, pixels: Tensor, positions: Tensor, shapes: Shapes) -> Tensor:
        """pixels (B, S, width), positions (S, width) -> (B, S, width)."""
        query = pixels + positions
        heads = (self.heads, LEVELS, self.points)
        offsets = self.offsets(query).unflatten(-1, (*heads, 2))  # (B, S, heads, levels, points, 2)
        weights = self.weights(query).unflatten(-1, (self.heads, -1)).softmax(-1).unflatten(-1, heads[1:])
        constant = (shapes, pixels.device, _constant_dtype(pixels))
        centres = _pixel_centres(*constant)[:, None, None, None]  # (S, 1, 1, 1, 2)
        locations = centres + offsets * _pixel_steps(*constant)  # offsets count pixels of the level read
        value = self.value(pixels).unflatten(-1, (self.heads, -1))  # (B, S, heads, d)
        return self.output(deformable_attention_core(value, shapes, locations, weights))


class FeedForward(nn.Module):
    """Post-norm residual block: norm(x + W_2 relu(W_1 x))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.reduce = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        nn.init.xavier_uniform_(self.expand.weight)
        nn.init.xavier_uniform_(self.reduce.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.reduce(F.relu(self.expand(x))))


class EncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward block, both post-norm."""

    def __init__(self, width: int, heads: int, points: int, ffn: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, points)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, ffn)

    def forward(self, pixels: Tensor, positions: Tensor, shapes: Shapes) -> Tensor:
        """pixels (B, S, width), positions (S, width) -> (B, S, width)."""
        return self.feed_forward(self.norm(pixels + self.attention(pixels, positions, shapes)))


def _convolution(inputs: int, width: int, kernel: int, *, bias: bool) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, width, kernel, padding=kernel // 2, bias=bias)
    if bias:  # input projections: xavier; the others: kaiming with a = 1, as the original (Caffe2's "xavier")
        nn.init.xavier_uniform_(convolution.weight)
        nn.init.zeros_(convolution.bias)  # pyright: ignore[reportArgumentType]
    else:
        nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.GroupNorm(math.gcd(32, width), width))


def _rescaled(projection: nn.Module, feature: Tensor, scale: float) -> Tensor:
    """Norm(resize(Conv1x1(feature))). A 1x1 convolution and a bilinear resize commute, so it is done where the map is
    small: at scale 4 on a ViT-L that is a sixteenth of the work and a quarter of the channels to resize."""
    convolution, norm = projection.children()
    if scale < 1:
        return norm(convolution(_resized(feature, scale)))
    return norm(_resized(convolution(feature), scale))


def _resized(feature: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return feature
    return F.interpolate(feature, scale_factor=scale, mode="bilinear", align_corners=False)


class PixelDecoder(nn.Module):
    """Four feature maps -> a mask feature map at the finest stride and three memory levels, coarse to fine.

    `in_channels` are those of the four maps, finest first (strides 4, 8, 16, 32). `scales` are factors by which the
    maps have yet to be resized to reach those strides: a plain ViT's four maps all come at stride 16.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        width: int = 256,
        layers: int = 6,
        heads: int = 8,
        points: int = 4,
        ffn: int = 1024,
        scales: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        if len(in_channels) != LEVELS + 1:
            raise ValueError(f"the pixel decoder reads {LEVELS + 1} feature maps, got channels {in_channels}")
        if width % heads or width % 4:
            raise ValueError(f"width {width} must be a multiple of 4 (sine positions) and of {heads} heads")
        finest, *rest = in_channels
        self.project = nn.ModuleList(_convolution(inputs, width, 1, bias=True) for inputs in reversed(rest))
        self.level_encoding = nn.Parameter(torch.randn(LEVELS, width))
        self.layers = nn.ModuleList(EncoderLayer(width, heads, points, ffn) for _ in range(layers))
        self.lateral = _convolution(finest, width, 1, bias=False)
        self.smooth = _convolution(width, width, 3, bias=False)
        self.mask_features = nn.Conv2d(width, width, 1)
        nn.init.kaiming_uniform_(self.mask_features.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, features: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Maps (B, C, h, w), finest first -> mask features (B, width, h_0, w_0) and memory, coarse first."""
        if len(features) != LEVELS + 1:
            raise ValueError(f"the pixel decoder reads {LEVELS + 1} feature maps, got {len(features)}")
        projections = (self.lateral, *reversed(self.project))
        finest, *rest = map(_rescaled, projections, features, self.scales)
        maps = rest[::-1]  # coarse to fine
        shapes = tuple((feature.shape[-2], feature.shape[-1]) for feature in maps)
        encoded = [sine_positions(m) + level for m, level in zip(maps, self.level_encoding, strict=True)]
        positions = torch.cat(encoded)  # (S, width)
        pixels = torch.cat([feature.flatten(2) for feature in maps], dim=-1).transpose(1, 2)  # (B, S, width)
        for layer in self.layers:
            pixels = layer(pixels, positions, shapes)
        planes = pixels.transpose(1, 2).split([height * width for height, width in shapes], dim=-1)
        memory = [plane.unflatten(-1, shape) for plane, shape in zip(planes, shapes, strict=True)]
        top_down = F.interpolate(memory[-1], size=finest.shape[-2:], mode="bilinear", align_corners=False)
        fine = F.relu(self.smooth(finest + top_down))
        return self.mask_features(fine), memory
