"""Backbone and head as one segmentation network."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from rein import seeds
from rein.config import ConfigError, Experiment, Rein
from rein.data.classes import CLASSES
from rein.data.transforms import MEAN, STD
from rein.models.backbone import Backbone
from rein.models.mask2former import Mask2FormerHead, Prediction, semantic_inference

#: From a plain ViT's stride (16) to the head's (4, 8, 16, 32).
LEVEL_SCALES = (4.0, 2.0, 1.0, 0.5)


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

    def forward(self, image: Shaped[Tensor, "b 3 h w"]) -> list[Prediction]:
        """Predictions after no, one, ... all decoder layers; masks at a quarter of the patch size's stride."""
        features, linked = self.backbone(self._prepare(image))
        return self.head(features, linked)

    def logits(self, image: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Class scores per pixel: what is averaged over windows and argmaxed."""
        height, width = image.shape[-2:]
        padded = self._padded_size(image)
        prediction = self.head.last(*self.backbone(self._prepare(image)))
        return semantic_inference(prediction, padded)[..., :height, :width]

    def _padded_size(self, image: Tensor) -> tuple[int, int]:
        patch = self.backbone.patch_size
        # Four patches at least: the coarsest level has half of them a side, and a norm needs more than one pixel.
        height, width = (max(-(-side // patch), 4) * patch for side in image.shape[-2:])
        return height, width

    def _prepare(self, image: Tensor) -> Tensor:
        height, width = self._padded_size(image)
        image = (image.float() - self.mean) / self.std
        # Zero is the mean colour; a size that the patch divides is passed through.
        return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))


def build_model(experiment: Experiment, weights: Path = Path("weights")) -> Segmenter:
    """The network of an experiment with its pretrained backbone; `weights` is the folder for named weight files.

    A function of the experiment alone, whatever torch's random state; of one seed all tunings get the same head, but
    for its queries.
    Raises ConfigError naming the dotted key.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seeds.derive(experiment.seed, seeds.BACKBONE))
        backbone = _build_backbone(experiment, weights)
        torch.manual_seed(seeds.derive(experiment.seed, seeds.HEAD))
        return Segmenter(backbone, _build_head(experiment, backbone.width))


def _build_backbone(experiment: Experiment, weights: Path) -> Backbone:
    crop, width = experiment.data.crop_size, experiment.head.width
    backbone = Backbone(experiment.backbone, experiment.tuning, crop, width, weights)
    patch = backbone.patch_size
    if crop % patch:  # masks would cover the padded crop, labels the crop itself
        raise ConfigError(
            f"data.crop_size: {crop} is no multiple of the backbone's patch of {patch}; give one that is, or set "
            f"backbone.patch_size"
        )
    return backbone


def _build_head(experiment: Experiment, backbone_width: int) -> Mask2FormerHead:
    head, tuning = experiment.head, experiment.tuning
    queries, source = head.queries, "own"
    if isinstance(tuning, Rein) and tuning.link != "none":
        queries, source = tuning.token_length, tuning.link
    return Mask2FormerHead(
        in_channels=[backbone_width] * 4,
        num_classes=len(CLASSES),
        width=head.width,
        encoder_layers=head.encoder_layers,
        decoder_layers=head.decoder_layers,
        heads=head.heads,
        queries=queries,
        ffn=head.decoder_ffn,
        encoder_ffn=head.encoder_ffn,
        query_source=source,
        scales=LEVEL_SCALES,
    )
