"""The tunings: what of a backbone trains, and what is added to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from rein.config.strict import STRICT

#: Which of the backbone's own parameters train beside what a tuning adds: `[norm]`, `[bias]`, or both.
Also = tuple[Literal["norm", "bias"], ...]


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Nothing of the backbone trains; the head alone does."""

    __pydantic_config__ = STRICT
    method: Literal["frozen"] = "frozen"


@dataclass(frozen=True, kw_only=True)
class Full:
    """Every parameter of the backbone trains, at `optim.backbone_lr`."""

    __pydantic_config__ = STRICT
    method: Literal["full"] = "full"


@dataclass(frozen=True, kw_only=True)
class Partial:
    """A share of the backbone's own parameters trains: one axis from frozen (0) to full (1)."""

    __pydantic_config__ = STRICT
    method: Literal["partial"] = "partial"
    #: Share of the backbone's parameters, 0..1: norms and biases first, then weights from the last block to the first.
    trainable: Annotated[float, Field(ge=0, le=1)] = 0.1


@dataclass(frozen=True, kw_only=True)
class LastBlocks:
    """The last blocks train, those before them stay frozen."""

    __pydantic_config__ = STRICT
    method: Literal["last_blocks"] = "last_blocks"
    #: How many, counted from the last one that feeds the head.
    blocks: PositiveInt = 4
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class Norm:
    """The norms' weights and biases train."""

    __pydantic_config__ = STRICT
    method: Literal["norm"] = "norm"


@dataclass(frozen=True, kw_only=True)
class BitFit:
    """The biases train (arXiv 2106.10199)."""

    __pydantic_config__ = STRICT
    method: Literal["bitfit"] = "bitfit"


@dataclass(frozen=True, kw_only=True)
class Rein:
    """Learnable tokens refine the features after every frozen block (arXiv 2312.04265, section 3)."""

    __pydantic_config__ = STRICT
    method: Literal["rein"] = "rein"
    #: Tokens a layer (the paper's m).
    token_length: PositiveInt = 100
    #: Rank of the token factorisation `T = A B`; None makes every layer's tokens a free parameter.
    rank: PositiveInt | None = 16
    #: One set of MLPs for all layers; False gives each layer its own.
    shared: bool = True
    #: What the tokens do to the head's queries: `replace` them (the paper), `add` to learned ones, or `none`; which a
    #: head without queries (`semfpn`, `linear`) makes of every link.
    link: Literal["replace", "add", "none"] = "replace"
    #: Similarities of patches and tokens are normalised over the tokens.
    softmax: bool = True
    #: `learnable`: updates are scaled by a scalar that starts at 0.001; `zero_init`: W_f and b_f start at zero.
    scale: Literal["learnable", "zero_init"] = "learnable"
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """Low-rank updates of the attention's linear layers (arXiv 2106.09685)."""

    __pydantic_config__ = STRICT
    method: Literal["lora"] = "lora"
    #: Rank of an update.
    rank: PositiveInt = 8
    #: The update is scaled by alpha / rank.
    alpha: PositiveFloat = 8.0
    #: Linear layers of a block: `qkv` is the projection as the net has it, fused (DINOv2) or separate (EVA02); `q`, `k`
    #: and `v` are separate updates of a fused one too; `proj`, `fc1`, `fc2`, or a layer's own name.
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("qkv",)
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class SoMA:
    """The minor singular components of the linear layers train (after arXiv 2412.04077)."""

    __pydantic_config__ = STRICT
    method: Literal["soma"] = "soma"
    #: Singular components of a layer that train, the smallest ones.
    rank: PositiveInt = 16
    #: As of `lora`, but for `q`, `k` and `v`.
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("qkv", "proj", "fc1", "fc2")
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class AdaptFormer:
    """A bottleneck beside each block's MLP (arXiv 2205.13535)."""

    __pydantic_config__ = STRICT
    method: Literal["adaptformer"] = "adaptformer"
    #: Hidden width.
    bottleneck: PositiveInt = 64
    #: Factor of what the bottleneck adds.
    scale: float = 0.1
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class VPT:
    """Learned prompts among a plain ViT's tokens (arXiv 2203.12119)."""

    __pydantic_config__ = STRICT
    method: Literal["vpt"] = "vpt"
    #: Prompts in a block.
    prompts: PositiveInt = 150
    #: Every block has its own prompts; False: they enter in front of the first one.
    deep: bool = True
    also: Also = ()


Tuning = Annotated[
    Frozen | Full | Partial | LastBlocks | Norm | BitFit | Rein | LoRA | SoMA | AdaptFormer | VPT,
    Field(discriminator="method"),
]
