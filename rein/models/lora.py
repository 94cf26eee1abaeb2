"""LoRA: a low-rank update of a frozen linear layer's weight (arXiv 2106.09685, equation 3)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rein.config import ConfigError
from rein.models.added import Added

#: A target's name -> the linear layers of a block that it means, in the names of timm's families.
TARGETS = {
    "qkv": ("qkv", "q_proj", "k_proj", "v_proj"),
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "fc1": ("fc1", "fc1_g", "fc1_x"),
}
#: Which third of a fused projection is the query, the key, the value.
_THIRDS = {"q": 0, "k": 1, "v": 2}


class LowRankUpdate(Added):
    """`W -> W + alpha / r * B A` with A (r, in) Kaiming-uniform and B (out, r) zero, so that training starts at W.

    `third` updates only the query's (0), key's (1) or value's (2) rows of a fused projection.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, third: int | None = None) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        if third is not None:
            outputs //= 3
        self.above, self.below = (0, 0) if third is None else (third * outputs, (2 - third) * outputs)
        self.a = nn.Parameter(torch.empty(rank, inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        self.factor = alpha / rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        update = self.b @ self.a
        if self.above or self.below:
            update = F.pad(update, (0, 0, self.above, self.below))
        return weight + self.factor * update


def add_lora(block: nn.Module, targets: tuple[str, ...], rank: int, alpha: float) -> None:
    """Put an update on the linear layers of a block that `targets` name (`linears`).

    Raises ConfigError where the block has none of a name, or one is named twice.
    """
    for linear, third in linears(block, targets):
        update = LowRankUpdate(linear.weight, rank, alpha, third)
        # unsafe: skips a trial call, which the meta device cannot make; the shape is right by construction.
        parametrize.register_parametrization(linear, "weight", update, unsafe=True)


def linears(block: nn.Module, targets: tuple[str, ...]) -> list[tuple[nn.Linear, int | None]]:
    """The linear layers of a block by target, with the third of it that is meant.

    `qkv` is the projection to queries, keys and values, fused or separate as the net has it; `q`, `k`, `v` are
    separate ones, or a third of a fused one; `fc1` with its gate where there is one; else a layer's own last name.
    """
    own = [(name.split(".")[-1], m) for name, m in block.named_modules() if isinstance(m, nn.Linear)]
    found: list[tuple[nn.Linear, int | None]] = []
    for target in targets:
        chosen: list[tuple[nn.Linear, int | None]]
        chosen = [(linear, None) for name, linear in own if name in TARGETS.get(target, (target,))]
        if not chosen and target in _THIRDS:
            chosen = [(linear, _THIRDS[target]) for name, linear in own if name == "qkv"]
        if not chosen:
            names = sorted(name for name, m in block.named_modules() if isinstance(m, nn.Linear))
            raise ConfigError(
                f"tuning.targets: no linear layer named {target!r} in a {type(block).__name__}; there are {names}"
            )
        found += chosen
    thirds = [(id(linear), third) for linear, third in found]
    whole = {linear for linear, third in thirds if third is None}
    if len(set(thirds)) < len(thirds) or any(third is not None and linear in whole for linear, third in thirds):
        raise ConfigError(f"tuning.targets: {list(targets)} name a layer twice")
    return found
