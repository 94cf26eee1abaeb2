"""Which parameters each tuning trains: the paper's counts, and what moves in one optimizer step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rein import config
from rein.config import ConfigError, Experiment
from rein.models.backbone import Backbone
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import count, trainable
from rein.optim import build_optimizer

Tiny = Callable[..., Experiment]

METHODS: dict[str, dict[str, Any]] = {
    "frozen": {"tuning.method": "frozen"},
    "full": {"tuning.method": "full"},
    "rein": {},
    "rein, added": {"tuning.link": "add"},
    "rein, unlinked": {"tuning.link": "none"},
    "rein, core": {"tuning.link": "none", "tuning.rank": None, "tuning.shared": False},
    "lora": {"tuning.method": "lora", "tuning.rank": 2},
}


def on_meta(name: str, tuning: config.Tuning, size: int = 512) -> Backbone:
    with torch.device("meta"):
        return Backbone(config.Backbone(name=name, weights="none"), tuning, size, 256, Path())


@pytest.mark.parametrize(
    ("name", "tuning", "expected"),
    [
        ("vit_large_patch14_dinov2", config.Rein(), 2_990_080 + 1),
        ("vit_base_patch14_dinov2", config.Rein(), 1_741_568 + 1),
        ("vit_small_patch14_dinov2", config.Rein(), 684_032 + 1),
        ("vit_large_patch14_dinov2", config.LoRA(rank=8), 786_432),
        ("vit_large_patch14_dinov2", config.Frozen(), 0),
    ],
)
def test_trainable_parameters_of_a_vit_are_the_papers(name: str, tuning: config.Tuning, expected: int) -> None:
    backbone = on_meta(name, tuning)
    assert count(backbone, trainable_only=True) == expected
    assert sum(p.numel() for _, p in trainable(backbone)) == expected, "shared modules are named once"


def test_full_trains_the_papers_304_20_million_of_dinov2_large() -> None:
    backbone = on_meta("vit_large_patch14_dinov2", config.Full())
    assert count(backbone, trainable_only=True) == count(backbone)
    assert round(count(backbone) / 1e6, 2) == 304.20


# ---------------------------------------------------------------- one step


def step(model: Segmenter, experiment: Experiment) -> None:
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    optimizer = build_optimizer(model, experiment.optim)
    loss = sum(p.class_logits.square().mean() + p.mask_logits.square().mean() for p in model(images))
    assert isinstance(loss, Tensor)
    loss.backward()
    optimizer.step()


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in [*model.named_parameters(), *model.named_buffers()]}


@pytest.mark.parametrize("method", METHODS)
def test_a_step_moves_what_is_named_and_nothing_else(tiny: Tiny, method: str) -> None:
    experiment = tiny(METHODS[method])
    model = build_model(experiment).train()
    if method == "lora":  # at its start B is zero, so that A has no gradient yet
        for name, parameter in trainable(model):
            if name.endswith(".b"):
                nn.init.normal_(parameter)
    before = state(model)
    step(model, experiment)
    moved = {name for name, value in state(model).items() if not torch.equal(value, before[name])}
    named = {name for name, _ in trainable(model)}
    assert moved <= named
    backbone = {name for name in named if name.startswith("backbone.")}
    assert {"frozen": not backbone, "full": "backbone.vit.patch_embed.proj.weight" in moved}.get(method, bool(backbone))
    # The last norm and the last block's query path may be unused; what a tuning adds is all used.
    if method not in ("full", "frozen"):
        unused = {"backbone.rein.token_to_query.0.bias"} if method == "rein, added" else set()
        # A zero merge passes no gradient on to W_Q in the first step.
        unused |= {"backbone.rein.token_to_query.0.weight"} if method == "rein, added" else set()
        assert backbone - moved <= unused


@pytest.mark.parametrize(
    ("method", "prefix"),
    [("rein", "backbone.rein."), ("lora", "backbone.vit.blocks."), ("full", "backbone.vit.")],
)
def test_trained_backbone_parameters_have_plain_names(tiny: Tiny, method: str, prefix: str) -> None:
    names = [name for name, _ in trainable(build_model(tiny(METHODS[method]))) if not name.startswith("head.")]
    assert names and all(name.startswith(prefix) for name in names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("method", METHODS)
def test_the_trunk_is_in_train_mode_only_when_it_trains(tiny: Tiny, method: str) -> None:
    model = build_model(tiny(METHODS[method])).train()
    assert model.head.training
    blocks = [m for name, m in model.backbone.vit.named_modules() if name.endswith("attn")]
    assert blocks and all(m.training == (method == "full") for m in blocks)
    model.eval()
    assert not any(m.training for m in model.modules())


def test_a_frozen_trunk_builds_no_graph(tiny: Tiny) -> None:
    backbone = build_model(tiny(METHODS["frozen"])).train().backbone
    assert not any(f.requires_grad for f in backbone(torch.randn(1, 3, 32, 32))[0])


@pytest.mark.parametrize("method", ["frozen", "lora", "full"])
def test_tunings_start_from_the_same_features(tiny: Tiny, method: str) -> None:
    image = torch.randn(1, 3, 32, 32)
    features = [build_model(tiny(METHODS[m])).eval().backbone(image)[0] for m in ("frozen", method)]
    for first, second in zip(*features, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("method", ["rein", "lora"])
def test_a_copy_is_independent(tiny: Tiny, method: str) -> None:
    experiment = tiny(METHODS[method])
    model = build_model(experiment).eval()
    twin = copy.deepcopy(model)
    image = torch.randint(0, 256, (1, 3, 32, 32))
    before = model.logits(image)
    assert torch.equal(twin.logits(image), before)
    for _, parameter in trainable(twin.backbone):
        nn.init.normal_(parameter)
    assert torch.equal(model.logits(image), before)
    assert not torch.equal(twin.logits(image), before)


def test_an_unknown_lora_target_is_refused_with_what_there_is(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"tuning\.targets.*attn\.qkv"):
        build_model(tiny({"tuning.method": "lora", "tuning.targets": ["query"]}))
    with pytest.raises(ConfigError, match=r"'fc9' in a Block"):
        build_model(tiny({"tuning.method": "lora", "tuning.targets": ["qkv", "fc9"]}))


@pytest.mark.parametrize("method", ["full", "lora", "rein"])
@pytest.mark.parametrize("last", [5, 4])
def test_all_that_trains_in_a_backbone_has_a_gradient(tiny: Tiny, method: str, last: int) -> None:
    """Nothing is computed or counted that the head does not see: no last norm, no block behind the last one read."""
    model = build_model(tiny({**METHODS[method], "backbone.blocks": [0, 1, 2, last]})).train()
    features, queries = model.backbone(torch.randn(1, 3, 32, 32))
    sum([f.sum() for f in features], torch.tensor(0.0) if queries is None else queries.sum()).backward()
    assert [name for name, p in trainable(model.backbone) if p.grad is None] == []


def test_every_refined_layer_is_its_own(tiny: Tiny) -> None:
    """A change of one layer's tokens changes that block's output and no earlier one's."""
    model = build_model(tiny({"backbone.blocks": [0, 1, 3, 5]})).eval()
    image = torch.randn(1, 3, 32, 32)
    before, _ = model.backbone(image)
    assert model.backbone.rein is not None
    model.backbone.rein.scale.data.fill_(1.0)
    loud, _ = model.backbone(image)
    model.backbone.rein.tokens_a.data[3] += 5
    after, _ = model.backbone(image)
    changed = [not torch.equal(a, b) for a, b in zip(loud, after, strict=True)]
    assert changed == [False, False, True, True]
    assert all(not torch.equal(a, b) for a, b in zip(before, loud, strict=True))
