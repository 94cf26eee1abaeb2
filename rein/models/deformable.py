"""Deformable attention's core, twice: by grid_sample (the reference, and what GPUs run), by embedding_bag on the CPU.

Deformable DETR (arXiv 2010.04159) equations 2-3. The second reads each value where it lies, so neither the values read
nor their products are ever written: it is more than twice as fast on two cores. It has never run on CUDA.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Shapes = tuple[tuple[int, int], ...]
_bags: Any = torch.ops.aten


def deformable_attention_core(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """Sum of `value` read bilinearly at `locations`, weighted; outside the map a value is zero.

    value (B, S, heads, d), S the pixels of all levels of `shapes`; locations (B, N, heads, levels, points, 2)
    as (x, y) in [0, 1]; weights (B, N, heads, levels, points). Returns (B, N, heads * d), dtype of `value`.
    """
    bagged = value.device.type == "cpu" and min(map(min, shapes)) > 1 and not torch.compiler.is_compiling()
    return (by_bags if bagged else by_grids)(value, shapes, locations, weights)


def by_grids(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """The core by grid_sample, level by level."""
    batch, _, heads, depth = value.shape
    queries = locations.shape[1]
    # The queries innermost: products and sums run over long rows then, not over a few points each.
    grid = (2 * locations - 1).permute(0, 2, 3, 4, 1, 5).flatten(0, 1)  # (B * heads, levels, points, N, 2)
    weights = weights.permute(0, 2, 3, 4, 1).flatten(0, 1).to(grid.dtype)  # (B * heads, levels, points, N)
    maps = value.to(grid.dtype).permute(0, 2, 3, 1).flatten(0, 1)  # (B * heads, d, S)
    total: Tensor | None = None
    for level, plane in enumerate(maps.split([height * width for height, width in shapes], dim=-1)):
        plane = plane.unflatten(-1, shapes[level])
        read = F.grid_sample(plane, grid[:, level], align_corners=False)  # (B * heads, d, points, N)
        part = (read * weights[:, level, None]).sum(2)  # (B * heads, d, N)
        total = part if total is None else total + part
    assert total is not None
    return total.view(batch, heads * depth, queries).transpose(1, 2).to(value.dtype)


def by_bags(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """The core as one weighted embedding_bag: a bag is a query's head, its samples the four corners of all points."""
    dtype = locations.dtype
    return _Bags.apply(value.to(dtype), shapes, locations, weights.to(dtype)).to(value.dtype)  # pyright: ignore


class _Bags(torch.autograd.Function):
    """Corner weights are tent functions max(0, 1 - |distance|) of the two pixels next to a location, per axis."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
        batch, queries = locations.shape[:2]
        table = value.contiguous().flatten(0, 2)  # (B * S * heads, d)
        first, distance = _first_corners(shapes, locations, len(table) // batch)
        near, far = _tents(distance)
        corners = _corner_weights(near, far, weights)  # (B, N, heads, levels, points, 4)
        bag = corners[0, 0, 0].numel()
        indices = (first[..., None] + _rows(shapes, first.shape[2:])[2]).view(-1, bag)
        read = F.embedding_bag(indices, table, mode="sum", per_sample_weights=corners.view(-1, bag))
        ctx.save_for_backward(table, first, distance, weights)
        ctx.shapes, ctx.shape = shapes, value.shape
        return read.view(batch, queries, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None]:
        table, first, distance, weights = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, table.shape[1])  # (B * N * heads, d)
        near, far = _tents(distance)
        of_value = of_locations = of_weights = None
        if ctx.needs_input_grad[0]:
            corners = _corner_weights(near, far, weights)
            of_value = _scattered(gradient, first, corners, ctx.shapes, len(table)).view(ctx.shape)
        if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
            indices = (first[..., None] + _rows(ctx.shapes, first.shape[2:])[2]).view(len(gradient), -1)
            products = _products(gradient, table, indices).view(*first.shape, 2, 2)  # corners as (y, x)
            along_x = (products * torch.stack((near[..., 0], far[..., 0]), -1)[..., None, :]).sum(-1)  # (..., y)
            along_y = (products * torch.stack((near[..., 1], far[..., 1]), -1)[..., None]).sum(-2)  # (..., x)
            of_weights = along_x[..., 0] * near[..., 1] + along_x[..., 1] * far[..., 1]
            # Right derivatives of the tents, which is what grid_sample takes on the centre of a pixel.
            cell = distance.floor()
            inside = (cell == 0).to(distance.dtype)
            slope_near, slope_far = (cell == -1).to(distance.dtype) - inside, inside - (cell == 1).to(distance.dtype)
            along = torch.stack((along_y, along_x), -2)  # (..., axis, corner)
            slope = along[..., 0] * slope_near + along[..., 1] * slope_far  # (..., axis)
            of_locations = slope * weights[..., None] * _sizes(ctx.shapes, first.shape[2:], distance.dtype)
        return of_value, None, of_locations, of_weights


@lru_cache(maxsize=16)
def _sizes(shapes: Shapes, sample: torch.Size, dtype: torch.dtype) -> Tensor:
    """Sizes (heads, levels, points, 2) as (width, height), written out: a broadcast over two numbers is slow."""
    with torch.inference_mode(False):
        sizes = torch.tensor([[(width, height)] for height, width in shapes], dtype=dtype)  # (levels, 1, 2)
        return sizes.expand(*sample, 2).contiguous()


@lru_cache(maxsize=16)
def _rows(shapes: Shapes, sample: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """In table rows: a level's width and each head's and level's first, both (heads, levels, points), and the steps
    (heads, levels, points, 4) from the first corner to the four (y, x)."""
    heads = sample[0]
    starts = np.cumsum([0, *(height * width for height, width in shapes[:-1])])
    with torch.inference_mode(False):
        widths = torch.tensor([[width] for _, width in shapes], dtype=torch.int32) * heads  # (levels, 1)
        first = torch.from_numpy(starts)[:, None].int() * heads + torch.arange(heads, dtype=torch.int32)[:, None, None]
        steps = torch.stack((widths * 0, widths * 0 + heads, widths, widths + heads), -1)  # (levels, 1, 4)
        return (
            widths.expand(sample).contiguous(),
            first.expand(sample).contiguous(),
            steps.expand(*sample, 4).contiguous(),
        )


def _first_corners(shapes: Shapes, locations: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """The table row of each location's upper left corner, and the location's distance (x, y) from it in pixels.

    The corner is moved inside the map with its three neighbours: a location beyond it is then a pixel or more away
    from those that it may not read, where tents are zero.
    """
    batch, _, heads = locations.shape[:3]
    sample = locations.shape[2:5]
    size = _sizes(shapes, sample, locations.dtype)
    # grid_sample's own arithmetic, so that both round to the same side of a pixel's centre.
    place = (2 * locations - 1).add_(1).mul_(size / 2).sub_(0.5)
    corner = torch.minimum(place.floor().clamp_(min=0), size - 2)
    width, first, _ = _rows(shapes, sample)
    x, y = corner.int().unbind(-1)
    row = (y * width).add_(x, alpha=heads).add_(first)
    if batch > 1:
        row += torch.arange(0, rows * batch, rows, dtype=torch.int32).view(-1, 1, 1, 1, 1)
    return row, place.sub_(corner)


def _tents(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of the nearer and the farther corner along each axis."""
    return 1 - distance.abs().clamp_(max=1), 1 - (distance - 1).abs_().clamp_(max=1)


def _corner_weights(near: Tensor, far: Tensor, weights: Tensor) -> Tensor:
    """(..., 4): bilinear weight times attention weight of the corners (y, x)."""
    upper, lower = near[..., 1] * weights, far[..., 1] * weights
    left, right = near[..., 0], far[..., 0]
    return torch.stack((upper * left, upper * right, lower * left, lower * right), dim=-1)


def _scattered(gradient: Tensor, first: Tensor, corners: Tensor, shapes: Shapes, rows: int) -> Tensor:
    """Gradient (rows, d) of the table: the transposed sum, again as bags, one for each row and corner.

    Sorted once by the first corner: the other three are constant numbers of rows behind it.
    """
    levels, points = first.shape[-2:]
    heads = first.shape[2]
    keys, order = first.flatten().sort()
    bags = order.div(levels * points, rounding_mode="floor")  # the query's head that each sample belongs to
    starts = torch.searchsorted(keys, torch.arange(rows, dtype=keys.dtype, device=keys.device))
    weights = corners.view(-1, 4).index_select(0, order).T.contiguous()  # (4, samples)
    sums = [
        F.embedding_bag(bags, gradient, starts, mode="sum", per_sample_weights=part).view(
            len(corners), -1, heads, gradient.shape[1]
        )
        for part in weights
    ]  # four of (B, S, heads, d)
    total = sums[0]
    start = 0
    for height, width in shapes:
        end = start + height * width
        for part, step in zip(sums[1:], (1, width, width + 1), strict=True):
            total[:, start + step : end] += part[:, start : end - step]
        start = end
    return total.flatten(0, 2)


def _products(gradient: Tensor, table: Tensor, indices: Tensor) -> Tensor:
    """Scalar products of each bag's gradient with the table rows that it read: (bags, samples)."""
    bags, samples = indices.shape
    starts = torch.arange(0, bags * samples, samples, dtype=indices.dtype, device=indices.device)
    owner = torch.arange(bags, dtype=indices.dtype, device=indices.device).repeat_interleave(
        samples, output_size=bags * samples
    )
    return _bags._embedding_bag_per_sample_weights_backward(gradient, table, indices.flatten(), starts, owner, 0)
