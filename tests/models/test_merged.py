"""Folded networks: the same function, fewer products, nothing left to train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rein.config import Experiment
from rein.models.merged import FoldedRein, merge
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import count, trainable

Tiny = Callable[..., Experiment]

VARIANTS: list[dict[str, Any]] = [
    {},
    {"tuning.rank": None},
    {"tuning.shared": False},
    {"tuning.softmax": False},
    {"tuning.scale": "zero_init"},
    {"tuning.link": "none"},
    {"tuning.link": "add"},
    {"tuning": {"method": "lora", "rank": 2, "targets": ["qkv", "fc1"]}},
    {"tuning": {"method": "frozen"}},
    {"tuning": {"method": "full"}},
]


def trained(experiment: Experiment, dtype: torch.dtype = torch.float32) -> Segmenter:
    """A network whose trained tensors are not where they start."""
    model = build_model(experiment).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for _, parameter in trainable(model):
            parameter += 0.1 * torch.randn_like(parameter)
    return model.to(dtype)


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / ours.abs().max()).item()


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_a_folded_network_has_the_same_features_and_queries(tiny: Tiny, changes: dict[str, Any]) -> None:
    model = trained(tiny(changes), torch.float64)
    folded = merge(model)
    image = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        (features, queries), (same, linked) = model.backbone(image), folded.backbone(image)
    assert max(apart(f, g) for f, g in zip(features, same, strict=True)) < 1e-13
    assert (queries is None) == (linked is None)
    assert queries is None or linked is None or torch.equal(queries, linked)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_in_single_precision_scores_differ_by_less_than_a_millionth(tiny: Tiny, changes: dict[str, Any]) -> None:
    model = trained(tiny({"data.crop_size": 64, **changes}))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        assert apart(model.logits(image), merge(model).logits(image)) < 1e-6


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_original_stays_as_it_was(tiny: Tiny, changes: dict[str, Any]) -> None:
    model = trained(tiny(changes))
    names, image = [name for name, _ in trainable(model)], torch.rand(1, 3, 32, 32) * 255
    with torch.no_grad():
        before = model.logits(image)
        folded = merge(model)
        assert torch.equal(model.logits(image), before)
    assert [name for name, _ in trainable(model)] == names
    assert list(trainable(folded)) == [] and not folded.training


def test_rein_is_folded_once_for_all_layers(tiny: Tiny) -> None:
    folded = merge(trained(tiny()))
    reins = [module for module in folded.modules() if isinstance(module, FoldedRein)]
    assert len(reins) == 1
    names = [name for name, _ in folded.named_parameters() if "rein" in name]
    assert names == [f"backbone.rein.{part}" for part in ("keys", "values", "weight", "bias", "linked")]


def test_lora_leaves_the_plain_vits_tensors(tiny: Tiny) -> None:
    lora, plain = ({"tuning": {"method": "lora"}}, {"tuning": {"method": "frozen"}})
    folded, frozen = merge(trained(tiny(lora))), build_model(tiny(plain))
    assert {n for n, _ in folded.named_parameters()} == {n for n, _ in frozen.named_parameters()}
    assert count(folded) == count(frozen)
    assert type(folded.backbone.vit.blocks[0].attn.qkv) is torch.nn.Linear
