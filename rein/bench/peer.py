"""The peer: Mask2Former of the transformers package on the weights of one of our heads. Needs transformers (`dev`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former import modeling_mask2former as theirs

from rein.models.criterion import Criterion
from rein.models.mask2former import Mask2FormerHead, Prediction

NAMES = {  # prefix of ours -> prefix of theirs, the longest that fits wins
    "pixel_decoder.project": "pixel.input_projections",
    "pixel_decoder.level_encoding": "pixel.level_embed",
    "pixel_decoder.layers": "pixel.encoder.layers",
    "pixel_decoder.lateral": "pixel.adapter_1",
    "pixel_decoder.smooth": "pixel.layer_1",
    "pixel_decoder.mask_features": "pixel.mask_projection",
    "layers": "transformer.decoder.layers",
    "norm": "transformer.decoder.layernorm",
    "level_embed": "transformer.level_embed.weight",
    "query_embed": "transformer.queries_embedder.weight",
    "query_feat": "transformer.queries_features.weight",
    "class_embed": "class_predictor",
    "mask_embed.0": "transformer.decoder.mask_predictor.mask_embedder.0.0",
    "mask_embed.2": "transformer.decoder.mask_predictor.mask_embedder.1.0",
    "mask_embed.4": "transformer.decoder.mask_predictor.mask_embedder.2.0",
}
PARTS = {  # inside a layer
    "attention.offsets": "self_attn.sampling_offsets",
    "attention.weights": "self_attn.attention_weights",
    "attention.value": "self_attn.value_proj",
    "attention.output": "self_attn.output_proj",
    "feed_forward.expand": "fc1",
    "feed_forward.reduce": "fc2",
    "feed_forward.norm": "final_layer_norm",
    "cross_attention.project.": "cross_attn.in_proj_",
    "cross_attention.output": "cross_attn.out_proj",
    "cross_norm": "cross_attn_layer_norm",
    "self_attention.output": "self_attn.out_proj",
    "self_norm": "self_attn_layer_norm",
    "norm": "self_attn_layer_norm",  # the encoder's only other norm
}


def translate(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under our names (weights or gradients of a head with its own queries) under theirs."""
    result = {}
    for name, tensor in ours.items():
        prefix = max((p for p in NAMES if name == p or name.startswith(p + ".")), key=len)
        rest = name.removeprefix(prefix)
        if prefix.endswith("layers"):
            _, index, inner = rest.split(".", 2)
            if inner.startswith("self_attention.project."):
                for part, third in zip("qkv", tensor.chunk(3), strict=True):
                    kind = inner.rsplit(".", 1)[1]
                    result[f"{NAMES[prefix]}.{index}.self_attn.{part}_proj.{kind}"] = third
                continue
            part = next(p for p in PARTS if inner.startswith(p))
            rest = f".{index}.{PARTS[part]}{inner.removeprefix(part)}"
        result[NAMES[prefix] + rest] = tensor
    return result


class PeerHead(nn.Module):
    """Pixel decoder, transformer module and class layer of transformers, with the weights and options of `head`.

    `scales` are the factors that bring the maps to strides 4, 8, 16, 32: it resizes in front of the pixel decoder.
    """

    def __init__(self, head: Mask2FormerHead) -> None:
        super().__init__()
        pixel, layer = head.pixel_decoder, head.layers[0]
        in_channels = [pixel.lateral[0].in_channels, *(p[0].in_channels for p in reversed(pixel.project))]  # pyright: ignore
        self.scales = pixel.scales
        config = Mask2FormerConfig(
            feature_size=head.width,
            mask_feature_size=head.width,
            hidden_dim=head.width,
            encoder_feedforward_dim=pixel.layers[0].feed_forward.expand.out_features,  # pyright: ignore
            dim_feedforward=layer.feed_forward.expand.out_features,  # pyright: ignore
            encoder_layers=len(pixel.layers),
            decoder_layers=len(head.layers) + 1,  # they count the initial prediction
            num_attention_heads=layer.cross_attention.heads,  # pyright: ignore
            num_queries=head.queries,
            num_labels=head.class_embed.out_features - 1,  # pyright: ignore[reportCallIssue]
            dropout=0.0,
        )
        self.pixel = theirs.Mask2FormerPixelDecoder(config, in_channels)
        self.transformer = theirs.Mask2FormerTransformerModule(head.width, config)
        self.class_predictor = nn.Linear(head.width, head.class_embed.out_features)
        self.to(head.class_embed.weight.dtype)
        self.load_state_dict(translate(head.state_dict()))

    def forward(self, features: Sequence[Tensor]) -> list[Prediction]:
        resized = [
            x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x, scale in zip(features, self.scales, strict=True)
        ]
        pixel = self.pixel(resized, return_dict=True)
        decoded = self.transformer(list(pixel.multi_scale_features), pixel.mask_features)
        classes = [self.class_predictor(state.transpose(0, 1)) for state in decoded.intermediate_hidden_states]
        return [Prediction(c, m) for c, m in zip(classes, decoded.masks_queries_logits, strict=True)]


class PeerCriterion(nn.Module):
    """Mask2FormerLoss with the options of one of our criteria."""

    def __init__(self, criterion: Criterion) -> None:
        super().__init__()
        self.weights = {
            "loss_cross_entropy": criterion.class_weight,
            "loss_mask": criterion.mask_weight,
            "loss_dice": criterion.dice_weight,
        }
        config = Mask2FormerConfig(
            num_labels=criterion.num_classes,  # pyright: ignore[reportCallIssue]
            no_object_weight=criterion.no_object_weight,
            train_num_points=criterion.points,
            oversample_ratio=criterion.candidates / criterion.points,
            importance_sample_ratio=criterion.uncertain / criterion.points,
            class_weight=criterion.class_weight,
            mask_weight=criterion.mask_weight,
            dice_weight=criterion.dice_weight,
        )
        self.loss = theirs.Mask2FormerLoss(config, self.weights)
        self.loss.empty_weight[-1] = criterion.no_object_weight  # in full precision

    def terms(self, predictions: Sequence[Prediction], masks: list[Tensor], classes: list[Tensor]) -> dict[str, Tensor]:
        """Unweighted terms by their names: the last prediction's plain, the others' with a suffix `_0`, `_1`, ..."""
        *others, last = [
            {"masks_queries_logits": p.mask_logits, "class_queries_logits": p.class_logits} for p in predictions
        ]
        arguments: Any = (*last.values(), masks, classes, others)
        return self.loss(*arguments)

    def forward(self, predictions: Sequence[Prediction], masks: list[Tensor], classes: list[Tensor]) -> Tensor:
        """The weighted sum over all predictions; masks and classes as `split_label` makes them."""
        terms = self.terms(predictions, masks, classes)
        weighted = [self.weights[name.rstrip("_0123456789")] * term for name, term in terms.items()]
        return torch.stack(weighted).sum()


def split_label(
    label: Tensor, num_classes: int, dtype: torch.dtype = torch.float32
) -> tuple[list[Tensor], list[Tensor]]:
    """A label map (B, H, W) as lists of masks (n, H, W) and classes (n,): what their image processor feeds the loss."""
    present = [[k for k in range(num_classes) if (image == k).any()] for image in label]
    classes = [torch.tensor(ks, dtype=torch.long, device=label.device) for ks in present]
    masks = [(image == k[:, None, None]).to(dtype) for image, k in zip(label, classes, strict=True)]
    return masks, classes


def semantic_inference(prediction: Prediction, size: tuple[int, int]) -> Tensor:
    """Their image processor's arithmetic (post_process_semantic_segmentation), masks upsampled to `size` at once."""
    masks = F.interpolate(prediction.mask_logits, size=size, mode="bilinear", align_corners=False)
    classes = prediction.class_logits.softmax(dim=-1)[..., :-1]
    return torch.einsum("bqc, bqhw -> bchw", classes, masks.sigmoid())
