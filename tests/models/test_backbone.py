"""Four maps out of every family of backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rein import config
from rein.config import ConfigError
from rein.models.backbone import Backbone
from rein.models.vfm import default_blocks


def test_features_are_raw_block_outputs_without_the_final_norm() -> None:
    backbone = Backbone(config.Backbone(name="test_vit", weights="none", patch_size=8), config.Frozen(), 32, 32, Path())
    image = torch.randn(2, 3, 32, 48)
    features, queries = backbone.eval()(image)
    vit, outputs = backbone.vit, []
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(image))))
    for block in vit.blocks:
        tokens = block(tokens)
        outputs.append(tokens[:, vit.num_prefix_tokens :].transpose(1, 2).unflatten(2, (4, 6)))
    assert queries is None and [tuple(f.shape) for f in features] == [(2, vit.embed_dim, 4, 6)] * 4
    for feature, index in zip(features, default_blocks(len(vit.blocks)), strict=True):
        torch.testing.assert_close(feature, outputs[index])


@pytest.mark.parametrize("blocks", [(0, 1, 2), (0, 1, 2, 99), (3, 2, 1, 0)])
def test_blocks_that_cannot_feed_the_head_are_refused(blocks: tuple[int, ...]) -> None:
    backbone = config.Backbone(name="test_vit", weights="none", patch_size=8, blocks=blocks)
    with pytest.raises(ConfigError, match=r"backbone\.blocks"):
        Backbone(backbone, config.Frozen(), 32, 32, Path())
