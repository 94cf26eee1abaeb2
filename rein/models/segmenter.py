"""Backbone and head as one segmentation network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from rein import seeds
from rein.config import ConfigError, Experiment, Mask2Former, Rein, Tuning
from rein.data.transforms import MEAN, STD
from rein.models.backbone import Backbone
from rein.models.heads import Head, build_head
from rein.models.mask2former import Prediction


class Segmenter(nn.Module):
    """Images in, the head's predictions out.

    Images are (B, 3, H, W), uint8 or float in 0..255, of any size; they are normalised here, on the device.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, image: Shaped[Tensor, "b 3 h w"]) -> list[Prediction] | Float[Tensor, "b k gh gw"]:
        """What the head's criterion takes: predictions after no, one, ... all decoder layers (masks at a quarter of the
        patch size's stride), or one map of logits."""
        features, linked = self.backbone(self._prepare(image))
        return self.head(features, linked)

    def logits(self, image: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Class scores per pixel: what is averaged over windows and argmaxed."""
        height, width = image.shape[-2:]
        padded = self.backbone.padded(height, width)
        features, linked = self.backbone(self._prepare(image))
        return self.head.scores(features, linked, padded)[..., :height, :width]

    def _prepare(self, image: Tensor) -> Tensor:
        height, width = self.backbone.padded(*image.shape[-2:])
        image = (image.float() - self.mean) / self.std
        # Zero is the mean colour; a size that fits is passed through.
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
        head = build_head(experiment.head, experiment.tuning, backbone.widths, len(experiment.classes), backbone.scales)
        return Segmenter(backbone, head)


def _build_backbone(experiment: Experiment, weights: Path) -> Backbone:
    crop, tuning, width = experiment.data.crop_size, *_link(experiment)
    backbone = Backbone(experiment.backbone, tuning, crop, width, weights)
    if backbone.padded(crop, crop) != (crop, crop):  # masks would cover the padded crop, labels the crop itself
        height, _ = backbone.padded(crop, crop)
        raise ConfigError(
            f"data.crop_size: {crop} is no size that backbone and head take, the next is {height}; give that, or set "
            f"backbone.patch_size"
        )
    backbone.padded(experiment.window, experiment.window)  # raises where no such window could be scored after training
    return backbone


def _link(experiment: Experiment) -> tuple[Tuning, int]:
    """The tuning and the width of the queries that it links to the head's; a head without queries links none."""
    tuning, head = experiment.tuning, experiment.head
    if isinstance(head, Mask2Former):
        return tuning, head.width
    return (replace(tuning, link="none") if isinstance(tuning, Rein) else tuning), 0
