"""Backbone and head as one segmentation network."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.config import Experiment
from rein.data.classes import CLASSES
from rein.models.backbone import Backbone
from rein.models.mask2former import Mask2FormerHead, Prediction, semantic_inference

#: Pixel statistics of ImageNet, which the recipe uses for every foundation model (METHOD 3).
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Segmenter(nn.Module):
    """Images in, mask predictions out.

    Images are (B, 3, H, W), uint8 or float in 0..255, of any size; they are normalised here, on the device.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, head: Mask2FormerHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Prediction]:
        """Predictions after no, one, ... all decoder layers; masks at a quarter of the patch size's stride."""
        features, linked = self.backbone(self._prepare(image))
        return self.head(pyramid(features), linked)

    def logits(self, image: Tensor) -> Tensor:
        """Class scores per pixel (B, K, H, W): what is averaged over windows and argmaxed."""
        height, width = image.shape[-2:]
        padded = self._padded_size(image)
        return semantic_inference(self(image)[-1], padded)[..., :height, :width]

    def _padded_size(self, image: Tensor) -> tuple[int, int]:
        patch = self.backbone.patch_size
        height, width = (-(-side // patch) * patch for side in image.shape[-2:])
        return height, width

    def _prepare(self, image: Tensor) -> Tensor:
        height, width = self._padded_size(image)
        image = (image.float() - self.mean) / self.std
        # Zero is the mean colour; a size that the patch divides is passed through.
        return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))


def pyramid(features: list[Tensor]) -> list[Tensor]:
    """Four maps of one size as four levels, finest first: x4, x2, as is, x1/2 (METHOD 2)."""
    return [
        feature if factor == 1 else F.interpolate(feature, scale_factor=factor, mode="bilinear", align_corners=False)
        for feature, factor in zip(features, (4.0, 2.0, 1, 0.5), strict=True)
    ]


def build_model(experiment: Experiment, weights: Path = Path("weights")) -> Segmenter:
    """The network of an experiment with its pretrained backbone; `weights` is the folder for named weight files.

    The head is initialised from torch's global random state: seed it first. Raises ConfigError naming the dotted key.
    """
    head = experiment.head
    tuning = experiment.tuning
    backbone = Backbone(experiment.backbone, tuning, experiment.data.crop_size, head.width, weights)
    linked = tuning.method == "rein" and tuning.link != "none"
    return Segmenter(
        backbone,
        Mask2FormerHead(
            in_channels=[backbone.width] * 4,
            num_classes=len(CLASSES),
            width=head.width,
            encoder_layers=head.encoder_layers,
            decoder_layers=head.decoder_layers,
            heads=head.heads,
            queries=tuning.token_length if linked else head.queries,
            ffn=head.decoder_ffn,
            encoder_ffn=head.encoder_ffn,
            query_source=tuning.link if linked else "own",
        ),
    )
