"""AdaptFormer: a bottleneck beside each block's MLP (arXiv 2205.13535, equations 3 and 4)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from rein.config import ConfigError
from rein.models.added import Added


class Adapter(Added):
    """`s (relu(x W_down + b) W_up + b')`; W_down Kaiming-uniform, the rest zero, so that training starts at the MLP."""

    def __init__(self, width: int, bottleneck: int, scale: float) -> None:
        super().__init__()
        self.down, self.up, self.scale = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width), scale
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.up(F.relu(self.down(x)))


class Parallel(nn.Module):
    """The MLP branch of a block and an adapter that reads the same normalised features, summed."""

    def __init__(self, branch: nn.Module, adapter: Adapter, channels_first: bool) -> None:
        super().__init__()
        self.branch, self.adapter, self.channels_first = branch, adapter, channels_first

    def forward(self, x: Tensor) -> Tensor:
        if self.channels_first:  # (B, c, h, w), where the MLP is made of convolutions
            return self.branch(x) + self.adapter(x.movedim(1, -1)).movedim(-1, 1)
        return self.branch(x) + self.adapter(x)


def add_adapter(block: nn.Module, width: int, bottleneck: int, scale: float) -> None:
    """Put an adapter beside a block's `mlp`: outside its layer scale where that is a module of its own (`ls2`), as in
    the paper, whose blocks have none; inside where the block applies it itself (EVA's and BEiT's `gamma_2`).

    Raises ConfigError where the block has no MLP.
    """
    mlp = getattr(block, "mlp", None)
    if mlp is None:
        raise ConfigError(f"tuning.method: adaptformer needs blocks with an MLP; a {type(block).__name__} has none")
    channels_first = any(isinstance(module, nn.Conv2d) for module in mlp.modules())
    layer_scale = getattr(block, "ls2", None)
    if isinstance(layer_scale, nn.Module) and not isinstance(layer_scale, nn.Identity):
        mlp = nn.Sequential(mlp, layer_scale)
        block.ls2 = nn.Identity()
    block.mlp = Parallel(mlp, Adapter(width, bottleneck, scale), channels_first)
