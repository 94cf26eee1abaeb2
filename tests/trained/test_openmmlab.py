"""Names of published checkpoints: what they are, that they are all there, and that they mean the same tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rein.bench.peer import translate
from rein.config import Backbone, ConfigError, Experiment, Frozen, Full, LoRA, Mask2Former, Rein
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import trainable
from rein.trained import openmmlab

Tiny = Callable[..., Experiment]
UNTRAINED = Backbone(weights="none")


def shapes(experiment: Experiment) -> dict[str, tuple[int, ...]]:
    """Our names and shapes of what trains, without a byte of memory."""
    with torch.device("meta"):
        return {name: tuple(p.shape) for name, p in trainable(build_model(experiment))}


def published(encoder: int = 6, decoder: int = 9, rein: bool = True, width: int = 256) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published file for ViT-L, 100 tokens of rank 16, written down apart from the table."""
    w, c = width, 1024
    names: dict[str, tuple[int, ...]] = {}

    def linear(name: str, out: int, inputs: int) -> None:
        names.update({f"{name}.weight": (out, inputs), f"{name}.bias": (out,)})

    def norm(name: str, size: int) -> None:
        names.update({f"{name}.weight": (size,), f"{name}.bias": (size,)})

    if rein:
        names["backbone.reins.learnable_tokens_a"] = (24, 100, 16)
        names["backbone.reins.learnable_tokens_b"] = (24, 16, c)
        names["backbone.reins.scale"] = ()
        linear("backbone.reins.mlp_token2feat", c, c)
        linear("backbone.reins.mlp_delta_f", c, c)
        linear("backbone.reins.transform", w, c)
        linear("backbone.reins.merge", w, 3 * w)
        linear("decode_head.querys2feat", w, w)
    else:
        names["decode_head.query_embed.weight"] = names["decode_head.query_feat.weight"] = (100, w)
    pixel = "decode_head.pixel_decoder"
    for i in range(3):
        names[f"{pixel}.input_convs.{i}.conv.weight"] = (w, c, 1, 1)
        names[f"{pixel}.input_convs.{i}.conv.bias"] = (w,)
        norm(f"{pixel}.input_convs.{i}.gn", w)
    for i in range(encoder):
        layer = f"{pixel}.encoder.layers.{i}"
        linear(f"{layer}.self_attn.sampling_offsets", 8 * 3 * 4 * 2, w)
        linear(f"{layer}.self_attn.attention_weights", 8 * 3 * 4, w)
        linear(f"{layer}.self_attn.value_proj", w, w)
        linear(f"{layer}.self_attn.output_proj", w, w)
        linear(f"{layer}.ffn.layers.0.0", 1024, w)
        linear(f"{layer}.ffn.layers.1", w, 1024)
        norm(f"{layer}.norms.0", w)
        norm(f"{layer}.norms.1", w)
    names[f"{pixel}.level_encoding.weight"] = (3, w)
    names[f"{pixel}.lateral_convs.0.conv.weight"] = (w, c, 1, 1)
    norm(f"{pixel}.lateral_convs.0.gn", w)
    names[f"{pixel}.output_convs.0.conv.weight"] = (w, w, 3, 3)
    norm(f"{pixel}.output_convs.0.gn", w)
    names[f"{pixel}.mask_feature.weight"], names[f"{pixel}.mask_feature.bias"] = (w, w, 1, 1), (w,)
    for i in range(decoder):
        layer = f"decode_head.transformer_decoder.layers.{i}"
        for attention in ("cross_attn", "self_attn"):
            names[f"{layer}.{attention}.attn.in_proj_weight"] = (3 * w, w)
            names[f"{layer}.{attention}.attn.in_proj_bias"] = (3 * w,)
            linear(f"{layer}.{attention}.attn.out_proj", w, w)
        linear(f"{layer}.ffn.layers.0.0", 2048, w)
        linear(f"{layer}.ffn.layers.1", w, 2048)
        for step in range(3):
            norm(f"{layer}.norms.{step}", w)
    norm("decode_head.transformer_decoder.post_norm", w)
    names["decode_head.level_embed.weight"] = (3, w)
    linear("decode_head.cls_embed", 20, w)
    for i in (0, 2, 4):
        linear(f"decode_head.mask_embed.{i}", w, w)
    return names


def test_a_published_rein_has_303_tensors_and_all_are_ours() -> None:
    ours = shapes(Experiment(backbone=UNTRAINED))
    table = openmmlab.table(ours)
    assert {theirs: ours[name] for name, theirs in table.items()} == published()
    parts = Counter(".".join(theirs.split(".")[:2]) for theirs in table.values())
    assert parts == {
        "backbone.reins": 11,
        "decode_head.pixel_decoder": 117,
        "decode_head.transformer_decoder": 164,
        "decode_head.level_embed": 1,
        "decode_head.cls_embed": 2,
        "decode_head.mask_embed": 6,
        "decode_head.querys2feat": 2,
    }
    assert len(table) == 303 and sum(parts[p] for p in parts if p.startswith("decode_head")) == 292


def test_a_published_frozen_trunk_has_the_plain_head() -> None:
    ours = shapes(Experiment(backbone=UNTRAINED, tuning=Frozen()))
    assert {theirs: ours[name] for name, theirs in openmmlab.table(ours).items()} == published(rein=False)


def test_a_fully_trained_trunk_has_metas_names(tiny: Tiny) -> None:
    table = openmmlab.table(shapes(replace(tiny(), tuning=Full())))
    theirs = set(table.values())
    assert {"backbone.cls_token", "backbone.patch_embed.proj.weight", "backbone.blocks.0.attn.qkv.weight"} <= theirs
    assert all(name.startswith(("backbone.", "decode_head.")) for name in theirs)


@settings(max_examples=25)
@given(
    encoder=st.integers(1, 12),
    decoder=st.integers(1, 12),
    heads=st.sampled_from([1, 2, 4]),
    tuning=st.sampled_from([Rein(), Rein(rank=None), Rein(scale="zero_init"), Rein(link="none"), Frozen(), Full()]),
)
def test_names_go_there_and_back(encoder: int, decoder: int, heads: int, tuning: Rein | Frozen | Full) -> None:
    head = Mask2Former(width=32, encoder_layers=encoder, decoder_layers=decoder, heads=heads)
    backbone = Backbone(name="test_vit", weights="none", patch_size=16)
    ours = list(shapes(Experiment(backbone=backbone, head=head, tuning=tuning)))
    table = openmmlab.table(ours)
    assert list(table) == ours
    assert len(set(table.values())) == len(ours), "one to one, so that the way back is exact"


@pytest.mark.parametrize(
    ("tuning", "named"),
    [
        (Rein(shared=False), r"backbone\.rein\.token_to_feature\.1\.weight"),
        (Rein(link="add"), r"head\.query_embed"),
    ],
)
def test_what_the_reference_cannot_hold_is_refused(tiny: Tiny, tuning: Rein, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        openmmlab.table(shapes(replace(tiny(), tuning=tuning)))


def test_lora_has_no_names_there(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"theirs are frozen, full, and rein"):
        openmmlab.table(shapes(replace(tiny(), tuning=LoRA())))


def test_the_transformers_package_orders_the_same_parts_alike() -> None:
    """transformers' net computes what ours does (tests of mask2former) and keeps the original's part names; the names
    here must agree with it part by part, which catches a swapped norm, projection or level."""
    ours = shapes(Experiment(backbone=UNTRAINED, tuning=Frozen()))
    table = openmmlab.table(ours)
    words = {  # a part's name in mmdet -> in transformers
        "self_attn.sampling_offsets": "self_attn.sampling_offsets",
        "self_attn.attention_weights": "self_attn.attention_weights",
        "self_attn.value_proj": "self_attn.value_proj",
        "self_attn.output_proj": "self_attn.output_proj",
        "ffn.layers.0.0": "fc1",
        "ffn.layers.1": "fc2",
        "cross_attn.attn.in_proj_": "cross_attn.in_proj_",
        "cross_attn.attn.out_proj": "cross_attn.out_proj",
        "input_convs": "input_projections",
        "post_norm": "layernorm",
        "mask_feature": "mask_projection",
        "level_encoding": "level_embed",
        "lateral_convs.0.conv": "adapter_1.0",
        "lateral_convs.0.gn": "adapter_1.1",
        "output_convs.0.conv": "layer_1.0",
        "output_convs.0.gn": "layer_1.1",
        "query_embed": "queries_embedder",
        "query_feat": "queries_features",
        "cls_embed": "class_predictor",
    }
    norms = {
        ("encoder", "norms.0"): "self_attn_layer_norm",
        ("encoder", "norms.1"): "final_layer_norm",
        ("transformer_decoder", "norms.0"): "cross_attn_layer_norm",
        ("transformer_decoder", "norms.1"): "self_attn_layer_norm",
        ("transformer_decoder", "norms.2"): "final_layer_norm",
    }
    for name, theirs in table.items():
        if "self_attention.project" in name:
            assert "self_attn.attn.in_proj_" in theirs
            continue
        (other,) = translate({name.removeprefix("head."): torch.zeros(1)})
        for word, meaning in words.items():
            if f".{word}" in theirs:
                assert meaning in other, (name, theirs, other)
        for (stack, word), meaning in norms.items():
            if f".{stack}." in theirs and f".{word}." in theirs:
                assert meaning in other, (name, theirs, other)


# ---------------------------------------------------------------- what the tensors under these names do


@pytest.fixture
def network(tiny: Tiny) -> tuple[Segmenter, dict[str, Tensor]]:
    """A small network with random weights, and its tensors under the published names."""
    model = build_model(tiny({"head.heads": 2, "tuning.token_length": 5})).double().eval()
    generator = torch.Generator().manual_seed(0)
    own = dict(trainable(model))
    with torch.no_grad():
        for parameter in own.values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model, {theirs: own[ours].detach() for ours, theirs in openmmlab.table(own).items()}


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def test_reins_queries_from_the_published_tensors(network: tuple[Segmenter, dict[str, Tensor]]) -> None:
    """Pooled over layers as 1-d sequences, the kinds concatenated behind each channel, then flattened."""
    model, state = network
    reins = part(state, "backbone.reins.")
    tokens = reins["learnable_tokens_a"] @ reins["learnable_tokens_b"]  # (N, m, c)
    rows = F.linear(tokens, reins["transform.weight"], reins["transform.bias"]).permute(1, 2, 0)  # (m, q, N)
    layers = rows.shape[-1]
    kinds = torch.cat([F.max_pool1d(rows, layers), F.avg_pool1d(rows, layers), rows[..., -1:]], -1)
    queries = F.linear(kinds.flatten(1), reins["merge.weight"], reins["merge.bias"])
    assert model.backbone.rein is not None
    torch.testing.assert_close(model.backbone.rein.queries(), queries)


def test_a_decoder_layer_from_the_published_tensors(network: tuple[Segmenter, dict[str, Tensor]]) -> None:
    """torch's own attention reads them: cross-attention, norm 0, self-attention, norm 1, feed-forward, norm 2."""
    model, state = network
    layer = part(state, "decode_head.transformer_decoder.layers.0.")
    width = 32
    query, position, key, value = torch.randn(4, 2, 7, width, dtype=torch.float64)

    def attend(name: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attention = torch.nn.MultiheadAttention(width, 2, batch_first=True, dtype=torch.float64)
        attention.load_state_dict(part(layer, f"{name}.attn."))
        return attention(q, k, v)[0]

    def norm(index: int, x: Tensor) -> Tensor:
        return F.layer_norm(x, (width,), layer[f"norms.{index}.weight"], layer[f"norms.{index}.bias"])

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, layer[f"{name}.weight"], layer[f"{name}.bias"])

    x = norm(0, query + attend("cross_attn", query + position, key, value))
    x = norm(1, x + attend("self_attn", x + position, x + position, x))
    x = norm(2, x + linear("ffn.layers.1", linear("ffn.layers.0.0", x).relu()))
    open_mask = torch.ones(2, 1, 7, 7, dtype=torch.bool)
    torch.testing.assert_close(model.head.layers[0](query, position, key, value, open_mask), x)


def test_an_encoder_layer_from_the_published_tensors(network: tuple[Segmenter, dict[str, Tensor]]) -> None:
    """Pixel by pixel: offsets are (head, level, point, xy) in pixels of the level read; levels run coarse to fine."""
    model, state = network
    layer = part(state, "decode_head.pixel_decoder.encoder.layers.0.")
    width, heads, points = 32, 2, 4
    shapes = ((1, 2), (2, 3), (3, 4))
    sizes = [h * w for h, w in shapes]
    pixels = torch.randn(1, sum(sizes), width, dtype=torch.float64)
    positions = torch.randn(sum(sizes), width, dtype=torch.float64)

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, layer[f"{name}.weight"], layer[f"{name}.bias"])

    def norm(index: int, x: Tensor) -> Tensor:
        return F.layer_norm(x, (width,), layer[f"norms.{index}.weight"], layer[f"norms.{index}.bias"])

    query = pixels[0] + positions
    offsets = linear("self_attn.sampling_offsets", query).view(-1, heads, 3, points, 2)
    weights = linear("self_attn.attention_weights", query).view(-1, heads, 3 * points).softmax(-1)
    values = linear("self_attn.value_proj", pixels[0]).view(-1, heads, width // heads).split(sizes)
    centres = [((x + 0.5) / w, (y + 0.5) / h) for h, w in shapes for y in range(h) for x in range(w)]
    attended = torch.zeros(sum(sizes), heads, width // heads, dtype=torch.float64)
    for pixel, centre in enumerate(centres):
        for head in range(heads):
            for level, (h, w) in enumerate(shapes):
                plane = values[level][:, head].T.reshape(1, -1, h, w)
                for point in range(points):
                    place = torch.tensor(centre) + offsets[pixel, head, level, point] / torch.tensor([w, h])
                    read = F.grid_sample(plane, (2 * place - 1).view(1, 1, 1, 2), align_corners=False).flatten()
                    attended[pixel, head] += weights[pixel, head, level * points + point] * read
    x = norm(0, pixels + linear("self_attn.output_proj", attended.flatten(1)))
    x = norm(1, x + linear("ffn.layers.1", linear("ffn.layers.0.0", x).relu()))
    torch.testing.assert_close(model.head.pixel_decoder.layers[0](pixels, positions, shapes), x)


def test_the_first_input_convolution_reads_the_coarsest_map(network: tuple[Segmenter, dict[str, Tensor]]) -> None:
    model, state = network
    convolution = part(state, "decode_head.pixel_decoder.input_convs.0.")
    features = [torch.randn(1, 64, 4, 4, dtype=torch.float64) for _ in range(4)]
    seen: list[Tensor] = []
    hook = model.head.pixel_decoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.head.pixel_decoder(features)
    hook.remove()
    coarse = F.interpolate(features[3], scale_factor=0.5, mode="bilinear", align_corners=False)  # (1, 64, 2, 2)
    coarse = F.conv2d(coarse, convolution["conv.weight"], convolution["conv.bias"])
    coarse = F.group_norm(coarse, 32, convolution["gn.weight"], convolution["gn.bias"])
    torch.testing.assert_close(seen[0][0, :4].T, coarse[0].flatten(1), check_dtype=False)
