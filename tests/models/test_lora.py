"""LoRA: starts as the identity, equals its formula, and is put where it is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rein.config import ConfigError
from rein.models.lora import LowRankUpdate, add_lora, linears


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
    add_lora(block, ("qkv",), rank=2, alpha=8.0)
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
    add_lora(block, ("proj",), rank=2, alpha=8.0)
    assert hasattr(block.attn["proj"], "parametrizations") and not hasattr(block.attn["qkv"], "parametrizations")
    with pytest.raises(ConfigError, match=r"'norm' in a Block; there are \['attn.proj"):
        add_lora(Block(), ("qkv", "norm"), rank=2, alpha=8.0)


def test_q_and_v_of_a_fused_projection_are_updated_apart() -> None:
    """What LoRA's paper does (section 4.2): the keys' rows stay, each third has factors of its own."""
    block, x = Block(), torch.randn(3, 6)
    before = block(x)
    add_lora(block, ("q", "v"), rank=2, alpha=2.0)
    updates = block.attn["qkv"].parametrizations.weight
    assert [tuple(u.b.shape) for u in updates] == [(6, 2), (6, 2)]
    assert torch.equal(block(x), before)
    for update in updates:
        nn.init.normal_(update.b)
    change = block(x) - before
    torch.testing.assert_close(change[:, :6], x @ (updates[0].b @ updates[0].a).T)
    assert torch.equal(change[:, 6:12], torch.zeros(3, 6))
    torch.testing.assert_close(change[:, 12:], x @ (updates[1].b @ updates[1].a).T)


@pytest.mark.parametrize("targets", [("qkv", "qkv"), ("qkv", "q"), ("v", "v")])
def test_a_layer_named_twice_is_refused(targets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"tuning\.targets: .* name a layer twice"):
        add_lora(Block(), targets, rank=2, alpha=2.0)


def test_qkv_means_separate_projections_too() -> None:
    block = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("q_proj", "k_proj", "v_proj", "proj")})
    assert [linear for linear, _ in linears(block, ("qkv",))] == [block[n] for n in ("q_proj", "k_proj", "v_proj")]
    assert linears(block, ("v",)) == [(block["v_proj"], None)]


@pytest.mark.parametrize("rank", [1, 3])
def test_an_update_has_rank_times_both_sides_parameters(rank: int) -> None:
    update = LowRankUpdate(torch.zeros(18, 6), rank, alpha=1.0)
    assert sum(p.numel() for p in update.parameters()) == rank * (18 + 6)


def test_the_gradient_reaches_b_first_and_a_after_a_step() -> None:
    update = LowRankUpdate(torch.zeros(4, 4), 2, alpha=2.0)
    update(torch.zeros(4, 4)).sum().backward()
    assert update.b.grad.abs().max() > 0 and update.a.grad.abs().max() == 0
