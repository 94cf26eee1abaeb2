"""VPT: prompts enter between the prefix and the patches, are attended to, and are no patches themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rein import config
from rein.models.backbone import Backbone
from rein.models.vpt import Prompts, add_prompts
from tests.models.tiny_backbones import FAMILIES


class Record(nn.Module):
    """A block that keeps what it was given and adds one to it."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        self.seen = tokens
        return tokens + 1


def test_deep_prompts_replace_those_of_the_block_before() -> None:
    blocks = nn.ModuleList(Record() for _ in range(3))
    add_prompts(blocks, width=4, prefix_tokens=1, count=2, deep=True)
    x = torch.randn(1, 1 + 5, 4)
    out = x
    for block in blocks:
        out = block(out)
    for layer, block in enumerate(blocks):
        assert torch.equal(block.block.seen[0, 1:3], block.prompts.tokens)
        torch.testing.assert_close(block.block.seen[0, 3:], x[0, 1:] + layer)
    assert out.shape == (1, 1 + 2 + 5, 4)


def test_shallow_prompts_enter_once_and_go_through() -> None:
    blocks = nn.ModuleList(Record() for _ in range(3))
    add_prompts(blocks, width=4, prefix_tokens=0, count=2, deep=False)
    out = torch.randn(1, 5, 4)
    for block in blocks:
        out = block(out)
    assert isinstance(blocks[1], Record) and out.shape == (1, 7, 4)
    torch.testing.assert_close(out[0, :2], blocks[0].prompts.tokens + 3)


@pytest.mark.parametrize("family", ["dinov2", "clip", "siglip", "eva02", "dinov3"])
@pytest.mark.parametrize("deep", [True, False])
def test_prompts_that_no_patch_attends_to_change_nothing(family: str, deep: bool) -> None:
    """The maps hold the patches at their places (rotary positions too): with keys that nobody matches, they are those
    of the net without prompts."""
    spec = config.Backbone(name=FAMILIES[family], weights="none")

    def build(tuning: config.Tuning) -> Backbone:
        torch.manual_seed(0)
        return Backbone(spec, tuning, 64, 32, Path()).eval()

    plain, prompted = build(config.Frozen()), build(config.VPT(prompts=3, deep=deep))
    image = torch.randn(1, 3, 64, 64)
    expected = plain(image)[0]
    assert not any(torch.allclose(a, b) for a, b in zip(expected, prompted(image)[0], strict=True))
    with silenced(prompted):
        for first, second in zip(expected, prompted(image)[0], strict=True):
            torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-4)


class silenced:
    """Masks the prompts out of every attention of a net."""

    def __init__(self, backbone: Backbone) -> None:
        self.prefix, self.count = backbone.anatomy.prefix_tokens, backbone.inserted

    def __enter__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        real: Callable[..., torch.Tensor] = torch.nn.functional.scaled_dot_product_attention

        def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **_: object) -> torch.Tensor:
            mask = torch.ones(k.shape[-2], dtype=torch.bool)
            mask[self.prefix : self.prefix + self.count] = False
            return real(q, k, v, attn_mask=mask.expand(q.shape[-2], -1))

        self.patch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def test_prompts_start_within_the_papers_bound() -> None:
    tokens = Prompts(1000, 64).tokens
    bound = (6 / (3 * 16**2 + 64)) ** 0.5
    assert 0.99 * bound < tokens.abs().max() <= bound
