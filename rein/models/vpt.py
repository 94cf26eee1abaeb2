"""Visual prompt tuning: learned tokens between a plain ViT's class token and its patches (arXiv 2203.12119, 3.2)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from rein.models.added import Added
from rein.models.rein import PATCH


class Prompts(Added):
    """`count` learned tokens (count, c), uniform in +-sqrt(6 / (3 p^2 + c)) as the paper's code has it."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        bound = math.sqrt(6 / (3 * PATCH**2 + width))
        self.tokens = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))


class Prompted(nn.Module):
    """A block in front of which prompts are put in: new ones, or in the place of those of the block before."""

    def __init__(self, block: nn.Module, prompts: Prompts, prefix_tokens: int, replaced: int) -> None:
        super().__init__()
        self.block, self.prompts, self.prefix_tokens, self.replaced = block, prompts, prefix_tokens, replaced

    def forward(self, tokens: Tensor, *args: object, **kwargs: object) -> Tensor:
        prefix, rest = tokens[:, : self.prefix_tokens], tokens[:, self.prefix_tokens + self.replaced :]
        prompts = self.prompts.tokens.to(tokens.dtype).expand(len(tokens), -1, -1)  # (B, count, c)
        return self.block(torch.cat([prefix, prompts, rest], dim=1), *args, **kwargs)


def add_prompts(blocks: Any, width: int, prefix_tokens: int, count: int, deep: bool) -> None:
    """Shallow: prompts enter in front of the first block and go through all. Deep: every block has its own."""
    for layer, block in enumerate(blocks):
        rotary = getattr(getattr(block, "attn", None), "num_prefix_tokens", None)
        if rotary is not None:  # prompts have no place in the image, so no rotation of their queries and keys
            block.attn.num_prefix_tokens = rotary + count
        if deep or layer == 0:
            blocks[layer] = Prompted(block, Prompts(count, width), prefix_tokens, count if layer else 0)
