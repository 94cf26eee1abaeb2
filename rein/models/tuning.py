"""What of the backbone trains: each tuning freezes, unfreezes or wraps the blocks of a ViT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from rein import config
from rein.models.lora import add_lora
from rein.models.rein import Refined, Rein


def tune(vit: Any, tuning: config.Tuning, query_width: int) -> Rein | None:
    """Set up a ViT (with `blocks`, `embed_dim`, `num_prefix_tokens`) for a tuning; returns the Rein it was given."""
    vit.requires_grad_(tuning.method == "full")
    match tuning:
        case config.Rein():
            return _add_rein(vit, tuning, query_width)
        case config.LoRA():
            for block in vit.blocks:
                unknown = set(tuning.targets) - add_lora(block, tuning.targets, tuning.rank, tuning.alpha)
                if unknown:
                    linears = sorted(n for n, m in block.named_modules() if isinstance(m, nn.Linear))
                    raise config.ConfigError(
                        f"tuning.targets: no linear layer named {sorted(unknown)}; there are {linears}"
                    )
    return None


def trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that train, each once, by name."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def count(model: nn.Module, trainable_only: bool = False) -> int:
    """How many parameters a model has, or trains."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def _add_rein(vit: Any, tuning: config.Rein, query_width: int) -> Rein:
    rein = Rein(
        layers=len(vit.blocks),
        width=vit.embed_dim,
        token_length=tuning.token_length,
        rank=tuning.rank,
        shared=tuning.shared,
        link=tuning.link,
        softmax=tuning.softmax,
        scale=tuning.scale,
        query_width=query_width,
    )
    for layer, block in enumerate(vit.blocks):
        vit.blocks[layer] = Refined(block, rein, layer, vit.num_prefix_tokens)
    return rein
