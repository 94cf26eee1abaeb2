"""Rein against its paper: parameter counts of the paper, and a reference written as plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rein.models.rein import Refined, Rein, StageReins
from rein.models.tuning import count

Array = np.ndarray

L = {"layers": 24, "width": 1024}
CORE = {"rank": None, "link": "none", "shared": False}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({**L}, 2_990_080),
        ({**L, "link": "none"}, 2_530_816),
        ({**L, **CORE}, 52_838_400),
        ({**L, **CORE, "link": "replace"}, 59_332_864),
        ({**L, **CORE, "link": "replace", "shared": True}, 5_016_064),
        ({"layers": 32, "width": 1280}, 4_510_720),
        ({"layers": 12, "width": 768}, 1_741_568),
        ({"layers": 12, "width": 384}, 684_032),
        ({**L, "rank": 4}, 2_666_368),
        ({**L, "rank": 8}, 2_774_272),
        ({**L, "rank": 32}, 3_421_696),
        ({**L, "rank": 64}, 4_284_928),
        ({**L, "token_length": 25}, 2_961_280),
        ({**L, "token_length": 50}, 2_970_880),
        ({**L, "token_length": 150}, 3_009_280),
        ({**L, "token_length": 200}, 3_028_480),
    ],
)
def test_parameters_are_the_papers_plus_one_for_the_scale(options: dict[str, Any], expected: int) -> None:
    with torch.device("meta"):
        assert count(Rein(**options)) == expected + 1
        assert count(Rein(**options, scale="zero_init")) == expected


# ---------------------------------------------------------------- the reference


def weights(rein: Rein, layer: int) -> dict[str, Array]:
    copy = 0 if rein.shared else layer
    modules = {"T": rein.token_to_feature[copy], "f": rein.delta_to_feature[copy]}
    if rein.link != "none":
        modules |= {"Q": rein.token_to_query[copy], "merge": rein.merge}
    return {
        f"{name}_{kind}": parameter.detach().numpy()
        for name, module in modules.items()
        for kind, parameter in module.named_parameters()
    }


def tokens(rein: Rein, layer: int) -> Array:
    if rein.rank is None:
        return rein.tokens[layer].detach().numpy()
    a, b = rein.tokens_a[layer].detach().numpy(), rein.tokens_b[layer].detach().numpy()
    m, c = a.shape[0], b.shape[1]
    return np.array([[sum(a[i, k] * b[k, j] for k in range(rein.rank)) for j in range(c)] for i in range(m)])


def reference(rein: Rein, features: Array, layer: int) -> Array:
    """Equations 2 to 6 of arXiv 2312.04265, one patch at a time."""
    w, T, c = weights(rein, layer), tokens(rein, layer), features.shape[-1]
    s = 1.0 if rein.scale is None else rein.scale.item()
    out = np.empty_like(features)
    for place in np.ndindex(features.shape[:2]):
        f = features[place]
        products = [float(f @ t) for t in T]
        if rein.softmax:
            powers = [math.exp(p / math.sqrt(c)) for p in products]
            products = [p / sum(powers) for p in powers]
        e = np.zeros(c)
        for share, t in list(zip(products, T, strict=True))[1:]:
            e += share * (w["T_weight"] @ t + w["T_bias"])
        out[place] = f + s * (w["f_weight"] @ (e + f) + w["f_bias"])
    return out


def reference_queries(rein: Rein, layers: int) -> Array:
    """Equations 7 and 8, one token and channel at a time."""
    per_layer = []
    for layer in range(layers):
        w = weights(rein, layer)
        per_layer.append([w["Q_weight"] @ t + w["Q_bias"] for t in tokens(rein, layer)])
    Q = np.array(per_layer)  # (N, m, q)
    w = weights(rein, 0)
    rows = []
    for m in range(Q.shape[1]):
        entry = []
        for channel in range(Q.shape[2]):
            values = Q[:, m, channel]
            entry += [values.max(), values.sum() / layers, values[-1]]
        rows.append(w["merge_weight"] @ np.array(entry) + w["merge_bias"])
    return np.array(rows)


def loud(rein: Rein) -> Rein:
    """Every parameter at a size where each term of the formula shows."""
    generator = torch.Generator().manual_seed(1)
    for parameter in rein.parameters():
        nn.init.normal_(parameter.data, std=0.7, generator=generator)
    return rein.double()


SWITCHES: list[dict[str, Any]] = [
    {},
    {"rank": None},
    {"shared": False},
    {"softmax": False},
    {"scale": "zero_init"},
    {"link": "add"},
    {"link": "none"},
    {"rank": None, "shared": False, "softmax": False, "scale": "zero_init"},
]


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_refinement_equals_the_loops(switches: dict[str, Any]) -> None:
    rein = loud(Rein(layers=3, width=6, token_length=4, query_width=5, **{"rank": 2, **switches}))
    features = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for layer in range(3):
        np.testing.assert_allclose(
            rein(features, layer).detach().numpy(), reference(rein, features.numpy(), layer), rtol=1e-9
        )


@pytest.mark.parametrize("switches", [s for s in SWITCHES if s.get("link") != "none"], ids=str)
def test_queries_equal_the_loops(switches: dict[str, Any]) -> None:
    rein = loud(Rein(layers=3, width=6, token_length=4, query_width=5, **{"rank": 2, **switches}))
    queries = rein.queries()
    assert queries is not None and queries.shape == (4, 5)
    np.testing.assert_allclose(queries.detach().numpy(), reference_queries(rein, 3), rtol=1e-9)


def test_merge_reads_max_mean_and_last_of_one_channel_side_by_side() -> None:
    rein = loud(Rein(layers=3, width=6, token_length=4, rank=2, query_width=5))
    per_layer = torch.stack([rein.token_to_query[0](rein.layer_tokens(i)) for i in range(3)])
    for kind, expected in enumerate((per_layer.amax(0), per_layer.mean(0), per_layer[2])):
        for channel in range(5):
            nn.init.zeros_(rein.merge.weight)
            nn.init.zeros_(rein.merge.bias)
            rein.merge.weight.data[0, 3 * channel + kind] = 1
            torch.testing.assert_close(rein.queries()[:, 0], expected[:, channel])


def test_the_first_token_takes_of_the_softmax_and_gives_nothing() -> None:
    rein = loud(Rein(layers=1, width=4, token_length=3, rank=None, link="none"))
    features = torch.ones(1, 1, 4, dtype=torch.float64)
    rein.tokens.data[0, 0] = 1e3  # the patch matches the first token alone
    linear = rein.delta_to_feature[0]
    torch.testing.assert_close(rein(features, 0), features + rein.scale * linear(features))


def test_no_link_makes_no_queries() -> None:
    assert Rein(layers=2, width=4, token_length=3, rank=2, link="none").queries() is None


# ---------------------------------------------------------------- initial values


@pytest.mark.parametrize(("rank", "names"), [(16, ("tokens_a", "tokens_b")), (None, ("tokens",))])
def test_tokens_start_uniform_within_the_bound(rank: int | None, names: tuple[str, ...]) -> None:
    rein = Rein(layers=6, width=256, rank=rank)
    bound = math.sqrt(6 / (3 * 16**2 + (256 if rank is None else math.sqrt(256 * rank))))
    for name in names:
        values = getattr(rein, name).detach()
        assert values.abs().max() <= bound
        assert values.abs().max() > 0.99 * bound
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_linears_start_kaiming_uniform() -> None:
    rein = Rein(layers=2, width=256)
    for linear in (rein.token_to_feature[0], rein.delta_to_feature[0]):
        bound = 1 / math.sqrt(256)  # kaiming with a = sqrt(5)
        assert 0.99 * bound < linear.weight.abs().max() <= bound
        assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_the_scale_starts_at_a_thousandth() -> None:
    rein = Rein(layers=2, width=8)
    assert rein.scale is not None and rein.scale.item() == pytest.approx(0.001) and rein.scale.ndim == 0


def test_zero_init_starts_as_the_identity_and_can_leave_it() -> None:
    rein = Rein(layers=2, width=8, token_length=4, rank=2, scale="zero_init")
    features = torch.randn(2, 5, 8)
    out = rein(features, 1)
    assert torch.equal(out, features)
    out.square().sum().backward()
    assert rein.delta_to_feature[0].weight.grad.abs().max() > 0


def test_an_added_link_starts_at_zero_and_can_leave_it() -> None:
    rein = Rein(layers=2, width=8, token_length=4, rank=2, link="add", query_width=6)
    queries = rein.queries()
    assert torch.equal(queries, torch.zeros(4, 6))
    queries.sum().backward()
    assert rein.merge.weight.grad.abs().max() > 0


# ---------------------------------------------------------------- around a block


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_class_and_register_tokens_pass_unchanged_and_patches_are_refined(prefix: int) -> None:
    rein = loud(Rein(layers=3, width=6, token_length=4, rank=2))
    block = nn.Linear(6, 6).double()
    tokens = torch.randn(2, prefix + 7, 6, dtype=torch.float64)
    out, plain = Refined(block, rein, 2, prefix)(tokens), block(tokens)
    assert torch.equal(out[:, :prefix], plain[:, :prefix])
    torch.testing.assert_close(out[:, prefix:], rein(plain[:, prefix:], 2))
    assert not torch.allclose(out[:, prefix:], plain[:, prefix:])


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_maps_are_refined_as_the_sequence_of_their_pixels(layout: str) -> None:
    rein = loud(Rein(layers=2, width=6, token_length=4, rank=2))
    tokens = torch.randn(2, 3 * 5, 6, dtype=torch.float64)
    maps = tokens.view(2, 3, 5, 6)
    expected = rein(tokens, 1).view(2, 3, 5, 6)
    if layout == "nchw":
        maps, expected = maps.permute(0, 3, 1, 2), expected.permute(0, 3, 1, 2)
    torch.testing.assert_close(Refined(nn.Identity(), rein, 1, layout=layout)(maps), expected)


def test_queries_of_the_stages_are_summed() -> None:
    """As the reference's ReinsResNet and ReinsConvNeXt do."""
    reins = [Rein(layers=2, width=width, token_length=4, rank=2, query_width=8) for width in (6, 12)]
    torch.testing.assert_close(StageReins(reins).queries(), reins[0].queries() + reins[1].queries())
    assert StageReins([Rein(layers=1, width=4, token_length=3, rank=2, link="none")]).queries() is None
