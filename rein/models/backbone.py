"""A vision foundation model, tuned, as four feature maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rein import config
from rein.models import vfm
from rein.models.tuning import count, tune
from rein.models.vpt import Prompts
from rein.models.weights import load_weights


class Backbone(nn.Module):
    """A plain ViT or a hierarchical net, tuned in one of the ways of `rein.models.tuning`.

    `forward` takes a normalised image (B, 3, H, W), H and W multiples of `multiple`, and returns four maps
    (B, widths[i], H / strides[i], W / strides[i]), finest first, and the queries that a linked Rein has for the head.
    A plain ViT's maps are the raw outputs (no final norm) of four blocks, all at the patch size's stride; those of a
    hierarchical net are the raw outputs of its stages (the reference puts a norm on a ConvNeXt's, which has none in
    timm, and none on a ResNet's).
    Positions are fitted to `image_size` once, as `resize` says; an image of another size has them resized anew by
    timm, but for nets that take one size only (`fixed_size`).
    """

    def __init__(
        self, backbone: config.Backbone, tuning: config.Tuning, image_size: int, query_width: int, weights: Path
    ) -> None:
        super().__init__()
        net = vfm.create(backbone, image_size)
        self.anatomy = vfm.anatomy(net, backbone, image_size)
        vfm.drop_tail(net, self.anatomy.taps[-1] if self.anatomy.plain else None)
        load_weights(net, backbone, weights)
        #: Parameters of the pretrained net, whatever a tuning adds to it.
        self.size = count(net)
        self.full = tuning.method == "full"
        # Registered before the blocks that share it, so that its parameters are named once and here: `backbone.rein.*`.
        self.rein = tune(net, self.anatomy, tuning, query_width)
        self.inserted = max((len(m.tokens) for m in net.modules() if isinstance(m, Prompts)), default=0)
        self.vit: Any = net

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the four maps."""
        return self.anatomy.widths

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels a cell of the four maps."""
        return self.anatomy.strides

    @property
    def scales(self) -> tuple[float, ...]:
        """Factors by which the head resizes the maps: a plain ViT's, all at stride 16, to strides 4, 8, 16, 32."""
        return (4.0, 2.0, 1.0, 0.5) if self.anatomy.plain else (1.0, 1.0, 1.0, 1.0)

    @property
    def multiple(self) -> int:
        """What an image's sides must be multiples of: the patch, or the coarsest stride."""
        return self.anatomy.strides[-1]

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The smallest size that holds an image and that net and head can take.

        Raises ConfigError for an image larger than the one size of a net that takes no other.
        """
        fixed = self.anatomy.fixed_size
        if fixed is not None:
            if max(height, width) > fixed:
                raise config.ConfigError(
                    f"evaluation.window: {height} x {width} pixels for a {type(self.vit).__name__} whose positions are "
                    f"fitted to data.crop_size ({fixed}); give a window no larger"
                )
            return fixed, fixed
        # Two cells a side at the head's coarsest level: a norm needs more than one pixel.
        least = round(2 * self.strides[-1] / self.scales[-1])
        height, width = (max(-(-side // self.multiple) * self.multiple, least) for side in (height, width))
        return height, width

    def forward(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[list[Float[Tensor, "b _c _h _w"]], Float[Tensor, "m q"] | None]:
        features = vfm.maps(self.vit, self.anatomy, image, self.inserted)
        return features, None if self.rein is None else self.rein.queries()

    def train(self, mode: bool = True) -> Backbone:
        """Switch the mode of what trains; a trunk that is not all trained stays in eval mode (no drop path).

        Batch norms always keep their pretrained statistics: a batch of four crops is too few for new ones.
        """
        super().train(mode)
        if not self.full:
            self.vit.eval()
        for module in self.vit.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self
