"""Our names of a network's tensors in OpenMMLab's words, as the published checkpoints have them (w1oves/Rein, mmdet 3).

Only names differ. Layouts are the same: levels go from coarse to fine, sampling offsets over (head, level, point, xy),
packed attention over (query, key, value), `merge` over (channel, kind), so a tensor is never transposed or split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rein.config import ConfigError

#: Ours as a pattern -> theirs; a name that ends in a dot goes on with the layer's part.
_RULES = [
    (re.compile(pattern), name)
    for pattern, name in {
        # Rein; shared projections alone have a counterpart
        r"backbone\.rein\.tokens": "backbone.reins.learnable_tokens",
        r"backbone\.rein\.tokens_([ab])": r"backbone.reins.learnable_tokens_\1",
        r"backbone\.rein\.scale": "backbone.reins.scale",
        r"backbone\.rein\.token_to_feature\.0\.(\w+)": r"backbone.reins.mlp_token2feat.\1",
        r"backbone\.rein\.delta_to_feature\.0\.(\w+)": r"backbone.reins.mlp_delta_f.\1",
        r"backbone\.rein\.token_to_query\.0\.(\w+)": r"backbone.reins.transform.\1",
        r"backbone\.rein\.merge\.(\w+)": r"backbone.reins.merge.\1",
        # the trunk, where it trains: of a plain ViT timm's names are Meta's
        r"backbone\.vit\.(cls_token|pos_embed|patch_embed\.proj\.\w+)": r"backbone.\1",
        r"backbone\.vit\.(blocks\.\d+\.(?:norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12]|ls[12])\.\w+)": r"backbone.\1",
        # pixel decoder
        r"head\.pixel_decoder\.project\.(\d+)\.0\.(\w+)": r"decode_head.pixel_decoder.input_convs.\1.conv.\2",
        r"head\.pixel_decoder\.project\.(\d+)\.1\.(\w+)": r"decode_head.pixel_decoder.input_convs.\1.gn.\2",
        r"head\.pixel_decoder\.lateral\.0\.(\w+)": r"decode_head.pixel_decoder.lateral_convs.0.conv.\1",
        r"head\.pixel_decoder\.lateral\.1\.(\w+)": r"decode_head.pixel_decoder.lateral_convs.0.gn.\1",
        r"head\.pixel_decoder\.smooth\.0\.(\w+)": r"decode_head.pixel_decoder.output_convs.0.conv.\1",
        r"head\.pixel_decoder\.smooth\.1\.(\w+)": r"decode_head.pixel_decoder.output_convs.0.gn.\1",
        r"head\.pixel_decoder\.mask_features\.(\w+)": r"decode_head.pixel_decoder.mask_feature.\1",
        r"head\.pixel_decoder\.level_encoding": "decode_head.pixel_decoder.level_encoding.weight",
        r"head\.pixel_decoder\.layers\.(\d+)\.(.+)": r"decode_head.pixel_decoder.encoder.layers.\1.",
        # transformer decoder
        r"head\.layers\.(\d+)\.(.+)": r"decode_head.transformer_decoder.layers.\1.",
        r"head\.norm\.(\w+)": r"decode_head.transformer_decoder.post_norm.\1",
        r"head\.level_embed": "decode_head.level_embed.weight",
        r"head\.class_embed\.(\w+)": r"decode_head.cls_embed.\1",
        r"head\.mask_embed\.([024])\.(\w+)": r"decode_head.mask_embed.\1.\2",
        # queries: learned ones, or made of Rein's
        r"head\.query_embed": "decode_head.query_embed.weight",
        r"head\.query_feat": "decode_head.query_feat.weight",
        r"head\.link_to_feature\.(\w+)": r"decode_head.querys2feat.\1",
    }.items()
]

# A layer's norms are numbered in the order of its steps; a decoder layer's are cross, self, feed-forward.
_ENCODER_PARTS = {
    "attention.offsets.": "self_attn.sampling_offsets.",
    "attention.weights.": "self_attn.attention_weights.",
    "attention.value.": "self_attn.value_proj.",
    "attention.output.": "self_attn.output_proj.",
    "norm.": "norms.0.",
    "feed_forward.expand.": "ffn.layers.0.0.",
    "feed_forward.reduce.": "ffn.layers.1.",
    "feed_forward.norm.": "norms.1.",
}
_DECODER_PARTS = {
    "cross_attention.project.": "cross_attn.attn.in_proj_",
    "cross_attention.output.": "cross_attn.attn.out_proj.",
    "cross_norm.": "norms.0.",
    "self_attention.project.": "self_attn.attn.in_proj_",
    "self_attention.output.": "self_attn.attn.out_proj.",
    "self_norm.": "norms.1.",
    "feed_forward.expand.": "ffn.layers.0.0.",
    "feed_forward.reduce.": "ffn.layers.1.",
    "feed_forward.norm.": "norms.2.",
}


def table(names: Iterable[str]) -> dict[str, str]:
    """Ours -> theirs for the trained tensors of a network; one to one.

    Raises ConfigError naming the tensors that OpenMMLab's networks do not have.
    """
    names = list(names)
    found = {name: theirs for name in names if (theirs := _theirs(name)) is not None}
    strange = [name for name in names if name not in found]
    if "head.link_to_feature.weight" in found and "head.query_embed" in found:
        strange += ["head.query_embed", "head.query_feat"]  # tuning.link=add: theirs has linked queries or learned ones
    if strange:
        raise ConfigError(
            f"OpenMMLab's Rein and Mask2Former have no tensor for {', '.join(strange[:5])}"
            f"{f' and {len(strange) - 5} more' if len(strange) > 5 else ''}; theirs are frozen, full, and rein with "
            f"shared projections whose link replaces the queries, with a mask2former head"
        )
    return found


def _theirs(name: str) -> str | None:
    for pattern, replacement in _RULES:
        match = pattern.fullmatch(name)
        if match is None:
            continue
        if not replacement.endswith("."):
            return match.expand(replacement)
        parts = _ENCODER_PARTS if "encoder" in replacement else _DECODER_PARTS
        for ours, theirs in parts.items():
            if match[2].startswith(ours):
                return match.expand(replacement) + theirs + match[2].removeprefix(ours)
    return None
