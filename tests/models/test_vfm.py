"""Foundation models of timm: names, how each family is built, which blocks feed the head."""

from __future__ import annotations

import pytest

from rein import config
from rein.config import ConfigError
from rein.models import vfm

# ---------------------------------------------------------------- which blocks


@pytest.mark.parametrize(
    ("depth", "blocks"), [(24, (7, 11, 15, 23)), (32, (7, 15, 23, 31)), (12, (3, 5, 7, 11)), (6, (1, 2, 3, 5))]
)
def test_the_head_reads_the_blocks_of_the_method(depth: int, blocks: tuple[int, ...]) -> None:
    assert vfm.default_blocks(depth) == blocks


@pytest.mark.parametrize("depth", range(6, 49))
def test_default_blocks_are_four_in_order_and_end_with_the_last(depth: int) -> None:
    blocks = vfm.default_blocks(depth)
    assert len(set(blocks)) == 4 and list(blocks) == sorted(blocks) and blocks[-1] == depth - 1


# ---------------------------------------------------------------- names


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"backbone\.name.*vit_large_patch14_dinov22.*did you mean `vit_large"):
        vfm.create(config.Backbone(name="vit_large_patch14_dinov22", weights="none"), 32)


@pytest.mark.parametrize("name", ["test_vit.nowhere", "vit_small_patch14_dinov2.lvd143m"])
def test_an_unknown_tag_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.name"):
        vfm.create(config.Backbone(name=name, weights="pretrained"), 32)


@pytest.mark.parametrize(
    "name", ["test_efficientnet", "vit_base_r50_s16_224", "vitamin_small_224", "mvitv2_tiny", "vgg11"]
)
def test_what_is_no_known_kind_of_net_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"backbone\.name: {name} is no plain ViT"):
        vfm.create(config.Backbone(name=name, weights="none"), 32)


def test_known_backbones_name_the_papers_model_and_the_toys() -> None:
    rows = {row["name"]: row for row in vfm.known_backbones()}
    assert rows["vit_toy_patch8_96"]["weights"] == "shipped"
    assert "vit_large_patch14_dinov2.lvd142m" in rows
    assert all(row["weights"] for row in rows.values())


def test_the_default_patch_size_keeps_the_models_own() -> None:
    vit = vfm.create(config.Backbone(name="test_vit", weights="none", patch_size=None), 160)
    assert vit.patch_embed.patch_size == (16, 16)


def test_a_hybrid_whose_patches_are_wider_than_it_says_is_refused() -> None:
    spec = config.Backbone(name="vit_tiny_r_s16_p8_224", weights="none")
    with pytest.raises(ConfigError, match=r"backbone\.name: vit_tiny_r_s16_p8_224 is no plain ViT"):
        vfm.anatomy(vfm.create(spec, 128), spec, 128)
