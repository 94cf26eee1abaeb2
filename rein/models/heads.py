"""The heads by their configs: each maps features to an output that its criterion takes and its `scores` reads."""

from __future__ import annotations

from collections.abc import Sequence

from rein import config
from rein.models.criterion import Criterion
from rein.models.dense import DenseCriterion
from rein.models.linear import LinearHead
from rein.models.mask2former import Mask2FormerHead
from rein.models.semantic_fpn import SemanticFPN

#: `head(features, linked)` takes four maps, finest first, and the queries of a linked Rein, and returns what
#: `build_criterion(...)(output, label)` takes; `head.scores(features, linked, size)` are class scores (B, K, *size).
Head = Mask2FormerHead | SemanticFPN | LinearHead


def build_head(
    head: config.Head,
    tuning: config.Tuning,
    in_channels: Sequence[int],
    num_classes: int,
    scales: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> Head:
    """The head for maps of these channels, finest first, which `scales` resize to strides 4, 8, 16, 32."""
    match head:
        case config.Mask2Former():
            return _mask2former(head, tuning, in_channels, num_classes, scales)
        case config.SemFPN():
            return SemanticFPN(in_channels, num_classes, head.width, head.channels, head.dropout, scales)
        case config.Linear():
            return LinearHead(in_channels, num_classes)


def build_criterion(head: config.Head, num_classes: int) -> Criterion | DenseCriterion:
    """The loss that a head is trained by: `criterion(output, label)["loss"]`."""
    if not isinstance(head, config.Mask2Former):
        return DenseCriterion(num_classes)
    return Criterion(
        num_classes=num_classes,
        points=head.points,
        class_weight=head.class_weight,
        mask_weight=head.mask_weight,
        dice_weight=head.dice_weight,
        no_object_weight=head.no_object_weight,
    )


def _mask2former(
    head: config.Mask2Former,
    tuning: config.Tuning,
    in_channels: Sequence[int],
    num_classes: int,
    scales: Sequence[float],
) -> Mask2FormerHead:
    queries, source = head.queries, "own"
    if isinstance(tuning, config.Rein) and tuning.link != "none":
        queries, source = tuning.token_length, tuning.link
    return Mask2FormerHead(
        in_channels=in_channels,
        num_classes=num_classes,
        width=head.width,
        encoder_layers=head.encoder_layers,
        decoder_layers=head.decoder_layers,
        heads=head.heads,
        queries=queries,
        ffn=head.decoder_ffn,
        encoder_ffn=head.encoder_ffn,
        query_source=source,
        scales=scales,
    )
