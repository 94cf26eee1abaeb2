"""SoMA: train the minor singular components of a frozen linear layer's weight (arXiv 2412.04077, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rein.config import ConfigError
from rein.models.added import Added
from rein.models.lora import linears


class MinorComponents(Added):
    """`W -> (W - B A) + B' A'`: B (out, r) and A (r, in) start as W's r smallest singular components, so that training
    starts at W and leaves the major ones, which hold what is general, alone.

    `residual()` is `W - B A`, the frozen part. On the meta device only the shapes are right.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        rank = min(rank, outputs, inputs)
        a, b = torch.empty(rank, inputs), torch.empty(outputs, rank)
        if not weight.is_meta:
            b, a = minor_components(weight, rank)
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)

    def residual(self, weight: Tensor) -> Tensor:
        """The major components: what is left of W."""
        return weight - self.b.detach() @ self.a.detach()

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.b @ self.a


@torch.no_grad()
def minor_components(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`B (out, r), A (r, in)`, the square roots of the r smallest singular values in each: B A is their part of W.

    By the eigenvectors of the smaller Gram matrix in fp64, which is many times quicker than a whole SVD. B A is W
    projected on them, so that residual and components add up to W whatever their accuracy.
    """
    exact = weight.double()
    tall = exact.shape[0] > exact.shape[1]
    exact = exact.T if tall else exact  # (s, l), s <= l
    vectors = torch.linalg.eigh(exact @ exact.T).eigenvectors[:, :rank]  # (s, r), of the smallest values
    part = vectors.T @ exact  # (r, l), row i has the norm of singular value i
    root = part.norm(dim=1, keepdim=True).clamp(min=1e-12).sqrt()  # (r, 1)
    left, right = (vectors * root.T), part / root
    if tall:
        left, right = right.T, left.T
    return left.contiguous().to(weight.dtype), right.contiguous().to(weight.dtype)


@torch.no_grad()
def add_soma(block: nn.Module, targets: tuple[str, ...], rank: int) -> None:
    """Put the minor components of a block's linear layers to training; `targets` as LoRA's, whole layers only."""
    for linear, third in linears(block, targets):
        if third is not None:
            raise ConfigError("tuning.targets: the singular components of a fused projection are those of `qkv`")
        minor = MinorComponents(linear.weight, rank)
        linear.weight.copy_(minor.residual(linear.weight))
        parametrize.register_parametrization(linear, "weight", minor, unsafe=True)
