"""The Semantic FPN head (Panoptic Feature Pyramid Networks, arXiv 1901.02446, section 3), as mmsegmentation has it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rein.models.dense import DenseHead


class SemanticFPN(DenseHead):
    """Four maps at strides 4, 8, 16, 32, each convolved and upsampled to stride 4, summed, classified.

    With `width` 256, `channels` 128 and 19 classes the branches and the classifier have 1,626,259 parameters, the
    paper's 1.63 M. `project`, one 1x1 convolution a level from the backbone's channels to `width`, is counted apart:
    it stands for the pyramid that the head is otherwise put behind.

    Args:
        in_channels, scales: channels of the backbone's maps, finest first, and how each is resized to its stride.
        width, channels: of the four maps, and of the branches.
        dropout: share of the channels that training drops in front of the classifier.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int = 19,
        width: int = 256,
        channels: int = 128,
        dropout: float = 0.1,
        scales: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.project = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in in_channels)
        # Level k lies at stride 4 * 2^k: k convolutions and upsamplings lead to stride 4, where level 0 needs one too.
        self.branches = nn.ModuleList(_branch(width, channels, level) for level in range(len(in_channels)))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, features: list[Tensor], linked: None = None) -> Tensor:
        """Maps (B, C, h, w), finest first -> logits (B, K, h_0, w_0)."""
        maps = map(_projected, self.project, features, self.scales)
        finest, *rest = (branch(feature) for branch, feature in zip(self.branches, maps, strict=True))
        size = finest.shape[-2:]
        for coarse in rest:  # of another size only where a side is no multiple of the coarsest stride
            finest = finest + F.interpolate(coarse, size, mode="bilinear", align_corners=False)
        return self.classifier(self.dropout(finest))


def _branch(width: int, channels: int, level: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for step in range(max(1, level)):
        convolution = nn.Conv2d(channels if step else width, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        # GroupNorm: no statistics of a batch, so that a batch may be small and a checkpoint holds parameters alone.
        layers += [convolution, nn.GroupNorm(math.gcd(32, channels), channels), nn.ReLU(inplace=True)]
        if level:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


def _projected(convolution: nn.Module, feature: Tensor, scale: float) -> Tensor:
    """Resize(Conv1x1(feature)), which commute, with the convolution where the map is smaller."""
    return _resized(convolution(feature), scale) if scale > 1 else convolution(_resized(feature, scale))


def _resized(feature: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return feature
    return F.interpolate(feature, scale_factor=scale, mode="bilinear", align_corners=False)
