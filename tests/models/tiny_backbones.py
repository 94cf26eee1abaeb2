"""One net a family, of a size that trains in milliseconds, registered with timm under `tiny_<family>`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.models import register_model
from timm.models.beit import Beit
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.hiera import Hiera
from timm.models.hieradet_sam2 import HieraDet
from timm.models.resnet import Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_sam import VisionTransformerSAM

#: Names of the nets by what they stand for.
FAMILIES: dict[str, str] = {}

VIT: dict[str, Any] = {"patch_size": 16, "embed_dim": 32, "depth": 4, "num_heads": 2, "num_classes": 0}
STAGES: dict[str, Any] = {"depths": (1, 1, 2, 1), "num_classes": 0}


def _register(family: str, net: Callable[..., Any], **shape: Any) -> None:
    def make(pretrained: bool = False, **kwargs: Any) -> Any:
        given = {k: v for k, v in kwargs.items() if k not in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")}
        return net(**{**shape, **given})

    make.__name__ = make.__qualname__ = f"tiny_{family}"
    register_model(make)
    make.__module__ = net.__module__  # what a family is told by
    FAMILIES[family] = make.__name__


_register("dinov2", VisionTransformer, **VIT, init_values=1e-1, reg_tokens=4, no_embed_class=True)
_register("clip", VisionTransformer, **VIT, pre_norm=True)
_register("siglip", VisionTransformer, **VIT, class_token=False, global_pool="map")
_register("eva02", Eva, **VIT, qkv_fused=False, swiglu_mlp=True, scale_mlp=True, use_rot_pos_emb=True)
_register(
    "dinov3", Eva, **VIT, num_reg_tokens=4, use_abs_pos_emb=False, use_rot_pos_emb=True, rope_type="dinov3",
    init_values=1e-1, qkv_bias=False,
)  # fmt: skip
_register("beit", Beit, **VIT, init_values=0.1, use_abs_pos_emb=False, use_rel_pos_bias=True)
_register("sam", VisionTransformerSAM, **VIT, use_rel_pos=True, window_size=2, global_attn_indexes=(1, 3))
_register("convnext", ConvNeXt, dims=(8, 12, 16, 32), **STAGES)
_register("resnet", ResNet, block=Bottleneck, layers=(1, 1, 2, 1), channels=(4, 6, 8, 8), num_classes=0)
_register("swin", SwinTransformer, embed_dim=8, num_heads=(1, 1, 2, 2), window_size=2, **STAGES)
_register("hiera", Hiera, embed_dim=8, num_heads=1, stages=(1, 1, 2, 1), num_classes=0, mask_unit_size=(8, 8))
_register("sam2", HieraDet, embed_dim=8, num_heads=1, stages=(1, 1, 2, 1), num_classes=0, window_spec=(8, 4, 4, 2),
          global_att_blocks=(3,), global_pos_size=(4, 4))  # fmt: skip
