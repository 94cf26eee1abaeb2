"""Mask2Former of the transformers package, filled with our weights and fed with our random points: the oracle."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former import modeling_mask2former as theirs

from rein.models.criterion import Criterion, Draws
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


class Oracle(nn.Module):
    """Pixel decoder, transformer module and class layer of transformers, without a backbone."""

    def __init__(self, head: Mask2FormerHead, in_channels: list[int], ffn: int, encoder_ffn: int, heads: int) -> None:
        super().__init__()
        config = Mask2FormerConfig(
            feature_size=head.width,
            mask_feature_size=head.width,
            hidden_dim=head.width,
            encoder_feedforward_dim=encoder_ffn,
            dim_feedforward=ffn,
            encoder_layers=len(head.pixel_decoder.layers),
            decoder_layers=len(head.layers) + 1,  # they count the initial prediction
            num_attention_heads=heads,
            num_queries=head.queries,
            num_labels=head.class_embed.out_features - 1,
            dropout=0.0,
        )
        self.pixel = theirs.Mask2FormerPixelDecoder(config, in_channels)
        self.transformer = theirs.Mask2FormerTransformerModule(head.width, config)
        self.class_predictor = nn.Linear(head.width, head.class_embed.out_features)
        self.to(head.class_embed.weight.dtype)
        self.load_state_dict(translate(head.state_dict()))

    def forward(self, features: list[Tensor]) -> list[Prediction]:
        pixel = self.pixel(features, return_dict=True)
        decoded = self.transformer(list(pixel.multi_scale_features), pixel.mask_features)
        classes = [self.class_predictor(state.transpose(0, 1)) for state in decoded.intermediate_hidden_states]
        return [Prediction(c, m) for c, m in zip(classes, decoded.masks_queries_logits, strict=True)]


class FixedDraws:
    """Points drawn once a (kind, layer), so that two losses can be given the same ones."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        self.seed, self.dtype = seed, dtype

    def _draw(self, kind: int, layer: int, rows: int, points: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1000 + kind * 100 + layer)
        return torch.rand(rows, points, 2, generator=generator, dtype=self.dtype)

    def matching(self, layer: int, images: int, points: int, _: torch.device) -> Tensor:
        return self._draw(0, layer, images, points)

    def loss(self, layer: int, masks: int, points: int, _: torch.device) -> Tensor:
        return self._draw(1, layer, masks, points)


class ByTarget(theirs.Mask2FormerHungarianMatcher):
    """Their matches sorted by target, as ours are: the order in which masks are given their points."""

    def forward(self, *args: object, **kwargs: object) -> list[tuple[Tensor, Tensor]]:
        matches = super().forward(*args, **kwargs)
        return [(query[target.argsort()], target.sort().values) for query, target in matches]


@contextmanager
def random_numbers(tensors: list[Tensor], dtype: torch.dtype) -> Iterator[None]:
    """torch.rand hands out these tensors, each of which must have the shape that is asked for."""
    numbers = iter(tensors)

    def rand(*shape: int, **_: object) -> Tensor:
        tensor = next(numbers)
        assert tensor.shape == shape
        return tensor.to(dtype).contiguous()

    with patch.object(torch, "rand", rand):
        yield
    assert next(numbers, None) is None, "transformers drew fewer points than expected"


def oracle_loss(criterion: Criterion, predictions: list[Prediction], label: Tensor, draws: Draws) -> dict[str, Tensor]:
    """Their weighted terms, each (L,): `layers_class`, `layers_mask`, `layers_dice`."""
    classes = [[k for k in range(criterion.num_classes) if (image == k).any()] for image in label]
    dtype = predictions[0].mask_logits.dtype
    ids = [torch.tensor(ks, dtype=torch.long) for ks in classes]
    masks = [(image == k[:, None, None]).to(dtype) for image, k in zip(label, ids, strict=True)]
    weights = {
        "loss_cross_entropy": criterion.class_weight,
        "loss_mask": criterion.mask_weight,
        "loss_dice": criterion.dice_weight,
    }
    config = Mask2FormerConfig(
        num_labels=criterion.num_classes,
        no_object_weight=criterion.no_object_weight,
        train_num_points=criterion.points,
        oversample_ratio=criterion.candidates / criterion.points,
        importance_sample_ratio=criterion.uncertain / criterion.points,
        class_weight=criterion.class_weight,
        mask_weight=criterion.mask_weight,
        dice_weight=criterion.dice_weight,
    )
    loss = theirs.Mask2FormerLoss(config, weights).to(dtype)
    loss.empty_weight[-1] = criterion.no_object_weight  # in full precision
    loss.matcher.__class__ = ByTarget
    count, last = sum(min(len(ks), predictions[0].class_logits.shape[1]) for ks in classes), len(predictions) - 1

    def points() -> Iterator[Tensor]:
        uniform = criterion.points - criterion.uncertain
        for layer in (last, *range(last)):  # the final prediction first
            yield from draws.matching(layer, len(label), criterion.points, label.device).split(1)
            drawn = draws.loss(layer, count, criterion.candidates + uniform, label.device)
            yield from drawn.split([criterion.candidates, uniform], dim=1)

    auxiliary = [{"masks_queries_logits": p.mask_logits, "class_queries_logits": p.class_logits} for p in predictions]
    with random_numbers(list(points()), dtype):
        terms = loss(
            predictions[-1].mask_logits,
            predictions[-1].class_logits,
            masks,
            ids,
            auxiliary[:-1],
        )
    suffixes = [*(f"_{layer}" for layer in range(last)), ""]
    return {
        ours: torch.stack([weights[name] * terms[name + suffix] for suffix in suffixes])
        for ours, name in zip(("layers_class", "layers_mask", "layers_dice"), weights, strict=True)
    }
