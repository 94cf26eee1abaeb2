"""SoMA: the minor singular components train, the major ones stay, and nothing changes at the start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rein.config import ConfigError
from rein.models.soma import MinorComponents, add_soma, minor_components


@pytest.mark.parametrize("shape", [(6, 18), (18, 6), (7, 7)])
@pytest.mark.parametrize("rank", [1, 3])
def test_the_components_are_those_of_the_smallest_singular_values(shape: tuple[int, int], rank: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape, dtype=torch.float64)
    b, a = minor_components(weight, rank)
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(b @ a, u[:, -rank:] @ torch.diag(s[-rank:]) @ v[-rank:])
    assert b.shape == (shape[0], rank) and a.shape == (rank, shape[1])
    torch.testing.assert_close(b.T @ b, a @ a.T)  # each has the roots of the singular values


def test_training_starts_at_the_weight_and_leaves_the_major_components_alone() -> None:
    torch.manual_seed(0)
    block, x = nn.ModuleDict({"fc1": nn.Linear(8, 12)}), torch.randn(3, 8)
    before, weight = block["fc1"](x), block["fc1"].weight.detach().clone()
    add_soma(block, ("fc1",), rank=2)
    torch.testing.assert_close(block["fc1"](x), before)
    minor = block["fc1"].parametrizations.weight[0]
    assert isinstance(minor, MinorComponents)
    block["fc1"](x).square().sum().backward()
    assert minor.a.grad.abs().max() > 0 and minor.b.grad.abs().max() > 0
    nn.init.zeros_(minor.b)  # what is left are the others
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(block["fc1"].weight, u[:, :-2] @ torch.diag(s[:-2]) @ v[:-2], atol=1e-5, rtol=1e-5)


def test_a_third_of_a_fused_projection_has_no_components_of_its_own() -> None:
    block = nn.ModuleDict({"qkv": nn.Linear(4, 12)})
    with pytest.raises(ConfigError, match=r"tuning\.targets: .*those of `qkv`"):
        add_soma(block, ("q",), rank=1)


def test_a_rank_beyond_the_matrix_is_the_whole_of_it() -> None:
    b, a = (minor := MinorComponents(torch.randn(4, 6), 99)).b, minor.a
    assert b.shape == (4, 4) and a.shape == (4, 6)
