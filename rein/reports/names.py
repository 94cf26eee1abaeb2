"""How keys and values are written where people read them: short names of the field, unless a report has its own."""

from __future__ import annotations

from collections.abc import Mapping

#: Domain, backbone, head, key -> its name in a table.
NAMES: Mapping[str, str] = {
    "cityscapes": "Cityscapes", "bdd100k": "BDD100K", "mapillary": "Mapillary", "gta": "GTAV", "synthia": "SYNTHIA",
    "urbansyn": "UrbanSyn", "acdc": "ACDC", "acdc-fog": "ACDC fog", "acdc-night": "ACDC night",
    "acdc-rain": "ACDC rain", "acdc-snow": "ACDC snow", "cityscapes-c": "Cityscapes-C",
    "vit_large_patch14_clip_quickgelu_224.openai": "CLIP-L", "vit_large_patch16_224.mae": "MAE-L",
    "samvit_huge_patch16.sa1b": "SAM-H", "eva02_large_patch14_224.mim_m38m": "EVA02-L",
    "vit_small_patch14_dinov2.lvd142m": "DINOv2-S", "vit_base_patch14_dinov2.lvd142m": "DINOv2-B",
    "vit_large_patch14_dinov2.lvd142m": "DINOv2-L", "vit_large_patch16_dinov3.lvd1689m": "DINOv3-L",
    "vit_7b_patch16_dinov3.lvd1689m": "DINOv3-7B", "vit_pe_spatial_large_patch14_448.fb": "PE-Spatial-L",
    "resnet50.a1_in1k": "ResNet-50", "resnet101.a1_in1k": "ResNet-101", "convnext_large.fb_in22k": "ConvNeXt-L",
    "mask2former": "Mask2Former", "semfpn": "SemFPN",
    "point": "variant", "name": "method", "backbone.name": "backbone", "head.method": "head", "tuning.rank": "rank",
    "tuning.token_length": "token length", "tuning.method": "tuning", "data.sources": "sources",
}  # fmt: skip


def written(value: object, rename: Mapping[str, str]) -> str:
    """A key or a value as it is shown; several joined by a plus."""
    if isinstance(value, (tuple, list)):
        return " + ".join(written(one, rename) for one in value)
    text = str(value)
    return rename.get(text, NAMES.get(text, text))
