"""AdaptFormer: a bottleneck beside the MLP, by its equation, outside the layer scale, starting at nothing."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from rein.config import ConfigError
from rein.models.adaptformer import Adapter, add_adapter


@pytest.mark.parametrize("init_values", [None, 0.1])
def test_a_block_with_an_adapter_is_the_papers_sum(init_values: float | None) -> None:
    """x' + MLP(LN(x')) + s relu(LN(x') W_down + b) W_up + b', whatever the layer scale of the MLP."""
    torch.manual_seed(0)
    block, x = Block(8, 2, init_values=init_values).eval(), torch.randn(2, 5, 8)
    before = block(x)
    add_adapter(block, 8, 3, 0.1)
    assert torch.equal(block(x), before)
    adapter = block.mlp.adapter
    nn.init.normal_(adapter.up.weight)
    attended = x + block.ls1(block.attn(block.norm1(x)))
    normed = block.norm2(attended)
    extra = 0.1 * ((normed @ adapter.down.weight.T + adapter.down.bias).relu() @ adapter.up.weight.T + adapter.up.bias)
    torch.testing.assert_close(block(x), before + extra)


def test_channels_first_and_last_agree() -> None:
    torch.manual_seed(0)

    class Conv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = nn.Conv2d(4, 4, 1)

    block, x = Conv(), torch.randn(2, 4, 3, 5)
    add_adapter(block, 4, 2, 1.0)
    nn.init.normal_(block.mlp.adapter.up.weight)
    expected = block.mlp.branch(x) + block.mlp.adapter(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(block.mlp(x), expected)


def test_the_counts_are_two_linears_with_biases() -> None:
    assert sum(p.numel() for p in Adapter(1024, 64, 0.1).parameters()) * 24 == 3_171_840


def test_a_block_without_an_mlp_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tuning\.method: adaptformer .* Linear has none"):
        add_adapter(nn.Linear(2, 2), 2, 1, 1.0)
