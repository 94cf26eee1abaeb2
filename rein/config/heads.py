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
    #: Channels of the pixel decoder and of the queries.
    width: PositiveInt = 256
    #: Layers of deformable attention in the pixel decoder.
    encoder_layers: PositiveInt = 6
    #: Layers of masked attention that the queries go through.
    decoder_layers: PositiveInt = 9
    #: Heads of every attention.
    heads: PositiveInt = 8
    #: Learned queries; a linked Rein has as many queries as tokens instead.
    queries: PositiveInt = 100
    #: Hidden width of the pixel decoder's feed-forward parts.
    encoder_ffn: PositiveInt = 1024
    #: Hidden width of the queries' feed-forward parts.
    decoder_ffn: PositiveInt = 2048
    #: Points at which a mask is compared with its target in the losses and in the matching.
    points: PositiveInt = 12544
    #: Factor of the classes' cross-entropy; it and the next two also weight the matching.
    class_weight: float = 2.0
    #: Factor of the masks' binary cross-entropy.
    mask_weight: float = 5.0
    #: Factor of the masks' dice loss.
    dice_weight: float = 5.0
    #: Of the class `no object` within the loss of classes: most queries have no object.
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
    #: Channels of the summed map that is classified.
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
