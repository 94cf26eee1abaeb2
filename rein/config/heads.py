"""The heads that segment from a backbone's feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from rein.config.strict import STRICT


@dataclass(frozen=True, kw_only=True)
class Mask2Former:
    """The paper's head (arXiv 2112.01527); the defaults have 20.6 M parameters on ViT-L."""

    __pydantic_config__ = STRICT
    method: Literal["mask2former"] = "mask2former"
    width: PositiveInt = 256
    encoder_layers: PositiveInt = 6
    decoder_layers: PositiveInt = 9
    heads: PositiveInt = 8
    #: Learned queries; a linked Rein has as many queries as tokens instead.
    queries: PositiveInt = 100
    encoder_ffn: PositiveInt = 1024
    decoder_ffn: PositiveInt = 2048
    #: Points at which a mask is compared with its target in the losses and in the matching.
    points: PositiveInt = 12544
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SemFPN:
    """Semantic FPN (arXiv 1901.02446), convolutions alone; 1.63 M parameters behind the projections to `width`.

    It has no queries: a Rein is built without its link, whatever `tuning.link` says.
    """

    __pydantic_config__ = STRICT
    method: Literal["semfpn"] = "semfpn"
    #: Channels of the four maps, and of the branches that bring them to stride 4.
    width: PositiveInt = 256
    channels: PositiveInt = 128
    #: Share of the channels that training drops in front of the classifier.
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear probe: one 1x1 convolution over the four maps.

    It has no queries: a Rein is built without its link, whatever `tuning.link` says.
    """

    __pydantic_config__ = STRICT
    method: Literal["linear"] = "linear"


Head = Annotated[Mask2Former | SemFPN | Linear, Field(discriminator="method")]
