"""LoRA: a low-rank update of a frozen linear layer's weight (arXiv 2106.09685, equation 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRankUpdate(nn.Module):
    """`W -> W + alpha / r * B A` with A (r, in) Kaiming-uniform and B (out, r) zero, so that training starts at W."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.a = nn.Parameter(torch.empty(rank, inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        self.factor = alpha / rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.factor * (self.b @ self.a)


def add_lora(block: nn.Module, targets: tuple[str, ...], rank: int, alpha: float) -> set[str]:
    """Put an update on every linear layer of a block whose last name is in `targets`; returns the targets found."""
    linears = [(name.split(".")[-1], m) for name, m in block.named_modules() if isinstance(m, nn.Linear)]
    found = [(name, linear) for name, linear in linears if name in targets]
    for _, linear in found:
        # unsafe: skips a trial call, which the meta device cannot make; the shape is right by construction.
        parametrize.register_parametrization(linear, "weight", LowRankUpdate(linear.weight, rank, alpha), unsafe=True)
    return {name for name, _ in found}
