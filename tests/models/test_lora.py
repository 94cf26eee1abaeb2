"""LoRA: starts as the identity, equals its formula, and is put where it is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rein.models.lora import LowRankUpdate, add_lora


class Block(nn.Module):
    """Two layers that could be targets and one that could not."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.ModuleDict({"qkv": nn.Linear(6, 18), "proj": nn.Linear(6, 6)})
        self.qkv_norm = nn.LayerNorm(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attn["qkv"](x)


def test_an_update_starts_as_the_identity() -> None:
    block, x = Block(), torch.randn(3, 6)
    before = block(x)
    assert add_lora(block, ("qkv",), rank=2, alpha=8.0) == {"qkv"}
    assert torch.equal(block(x), before)


def test_the_weight_is_w_plus_alpha_over_rank_ba() -> None:
    block, x = Block(), torch.randn(3, 6)
    weight = block.attn["qkv"].weight.detach().clone()
    add_lora(block, ("qkv",), rank=2, alpha=8.0)
    update = block.attn["qkv"].parametrizations.weight[0]
    nn.init.normal_(update.b)
    expected = x @ (weight + 8.0 / 2 * update.b @ update.a).T + block.attn["qkv"].bias
    torch.testing.assert_close(block(x), expected)


def test_only_layers_of_the_exact_name_are_updated() -> None:
    block = Block()
    assert add_lora(block, ("proj",), rank=2, alpha=8.0) == {"proj"}
    assert not hasattr(block.attn["qkv"], "parametrizations")
    assert add_lora(Block(), ("qkv", "proj"), rank=2, alpha=8.0) == {"qkv", "proj"}
    assert add_lora(Block(), ("norm",), rank=2, alpha=8.0) == set()


@pytest.mark.parametrize("rank", [1, 3])
def test_an_update_has_rank_times_both_sides_parameters(rank: int) -> None:
    update = LowRankUpdate(torch.zeros(18, 6), rank, alpha=1.0)
    assert sum(p.numel() for p in update.parameters()) == rank * (18 + 6)


def test_the_gradient_reaches_b_first_and_a_after_a_step() -> None:
    update = LowRankUpdate(torch.zeros(4, 4), 2, alpha=2.0)
    update(torch.zeros(4, 4)).sum().backward()
    assert update.b.grad.abs().max() > 0 and update.a.grad.abs().max() == 0
