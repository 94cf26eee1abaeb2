"""What of the backbone trains: each tuning freezes, unfreezes or wraps the blocks of a net."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from rein import config
from rein.models.adaptformer import add_adapter
from rein.models.lora import add_lora
from rein.models.rein import Refined, Rein, StageReins
from rein.models.selective import biases, norms, train_share
from rein.models.soma import add_soma
from rein.models.vfm import Anatomy
from rein.models.vpt import add_prompts


def tune(net: Any, built: Anatomy, tuning: config.Tuning, query_width: int) -> Rein | StageReins | None:
    """Set up a net for a tuning; returns the Rein it was given, whose queries the head reads."""
    net.requires_grad_(tuning.method == "full")
    _unfreeze(net, getattr(tuning, "also", ()))  # before anything is added: of the net's own
    rein = None
    match tuning:
        case config.Norm():
            _unfreeze(net, ("norm",))
        case config.BitFit():
            _unfreeze(net, ("bias",))
        case config.LastBlocks():
            for block in _last(_blocks(built), tuning.blocks):
                block.requires_grad_(True)
        case config.Partial():
            train_share(net, tuning.trainable)
        case config.Rein():
            rein = _add_rein(built, tuning, query_width)
        case config.LoRA():
            for block in _blocks(built):
                add_lora(block, tuning.targets, tuning.rank, tuning.alpha)
        case config.SoMA():
            for block in _blocks(built):
                add_soma(block, tuning.targets, tuning.rank)
        case config.AdaptFormer():
            for stage in built.stages:
                for index in stage.indices:
                    add_adapter(stage.blocks[index], stage.width, tuning.bottleneck, tuning.scale)
        case config.VPT():
            _add_prompts(built, tuning)
    return rein


def trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that train, each once, by name."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


def count(model: nn.Module, trainable_only: bool = False) -> int:
    """How many parameters a model has, or trains."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def _blocks(built: Anatomy) -> list[nn.Module]:
    return [stage.blocks[index] for stage in built.stages for index in stage.indices]


def _last(blocks: list[nn.Module], number: int) -> list[nn.Module]:
    if number > len(blocks):
        raise config.ConfigError(f"tuning.blocks: {number} of the {len(blocks)} blocks that feed the head")
    return blocks[-number:]


def _unfreeze(net: nn.Module, kinds: Iterable[str]) -> None:
    for kind in kinds:
        for parameter in {"norm": norms, "bias": biases}[kind](net):
            parameter.requires_grad_(True)


def _add_rein(built: Anatomy, tuning: config.Rein, query_width: int) -> Rein | StageReins:
    """One Rein for a plain ViT, one a stage for a hierarchical net."""
    reins = [
        Rein(
            layers=len(stage.indices),
            width=stage.width,
            token_length=tuning.token_length,
            rank=tuning.rank,
            shared=tuning.shared,
            link=tuning.link,
            softmax=tuning.softmax,
            scale=tuning.scale,
            query_width=query_width,
        )
        for stage in built.stages
    ]
    for stage, rein in zip(built.stages, reins, strict=True):
        for layer, index in enumerate(stage.indices):
            stage.blocks[index] = Refined(stage.blocks[index], rein, layer, built.prefix_tokens, built.layout)
    return reins[0] if built.plain else StageReins(reins)


def _add_prompts(built: Anatomy, tuning: config.VPT) -> None:
    stage = built.stages[0]
    if not built.plain or built.layout != "nlc":
        raise config.ConfigError("tuning.method: vpt needs a plain ViT whose blocks pass on a sequence of tokens")
    if built.fixed_size is not None:
        raise config.ConfigError("tuning.method: vpt has no place in BEiT's table of relative positions")
    add_prompts(stage.blocks, stage.width, built.prefix_tokens, tuning.prompts, tuning.deep)
