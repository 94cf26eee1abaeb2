"""A linear probe: how far the backbone's features alone get."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from rein.models.dense import DenseHead


class LinearHead(DenseHead):
    """One 1x1 convolution over the maps, normalised, brought to the finest one's size and concatenated.

    `in_channels` are those of the backbone's maps, finest first; there are sum(in_channels) * K + K parameters. The
    maps of a plain ViT share one stride and are not resized. Each pixel is normalised over its channels, without
    parameters: raw block outputs have passed no norm, and channels of some hundred times the others' size.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int = 19) -> None:
        super().__init__()
        self.in_channels = list(in_channels)
        self.classifier = nn.Conv2d(sum(in_channels), num_classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, features: list[Tensor], linked: None = None) -> Tensor:
        """Maps (B, C, h, w) -> logits (B, K, h_0, w_0)."""
        size = features[0].shape[-2:]
        logits = self.classifier.bias[:, None, None]  # pyright: ignore[reportOptionalSubscript]
        # The convolution of a concatenation is the sum of the maps' own, and a resize may come behind it: of K
        # channels in place of thousands.
        for feature, weight in zip(features, self.classifier.weight.split(self.in_channels, dim=1), strict=True):
            part = F.conv2d(_normalised(feature), weight)  # (B, K, h, w)
            if part.shape[-2:] != size:
                part = F.interpolate(part, size, mode="bilinear", align_corners=False)
            logits = logits + part
        return logits


def _normalised(feature: Tensor) -> Tensor:
    """Zero mean and unit variance over the channels of every pixel."""
    return F.layer_norm(feature.movedim(1, -1), feature.shape[1:2]).movedim(-1, 1)
