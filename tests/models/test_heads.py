"""What all heads have in common: any size in, a loss that trains, scores per pixel; and what Rein lends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rein.config import Experiment
from rein.config_io import build
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import count, trainable

Tiny = Callable[..., Experiment]
HEADS: list[dict[str, Any]] = [{}, {"head.method": "semfpn", "head.width": 16}, {"head.method": "linear"}]
heads = pytest.mark.parametrize("head", HEADS, ids=["mask2former", "semfpn", "linear"])
#: Heads without queries.
DENSE = pytest.mark.parametrize("head", HEADS[1:], ids=["semfpn", "linear"])


def images(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def loss(model: Segmenter, experiment: Experiment, label: Tensor) -> Tensor:
    output = model(images(len(label), 3, *label.shape[1:]))
    terms = build_criterion(experiment.head, 19)(output, label)
    assert {"loss", "loss_class"} <= set(terms)
    return terms["loss"]


@heads
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (1, 1), (96, 40)])
@torch.inference_mode()
def test_scores_have_the_images_size_and_are_fp32(tiny: Tiny, head: dict[str, Any], size: tuple[int, int]) -> None:
    model = build_model(tiny(head)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        scores = model.logits(images(2, 3, *size))
    assert scores.shape == (2, 19, *size) and scores.isfinite().all() and scores.dtype == torch.float32


@heads
@pytest.mark.parametrize("tuning", ["frozen", "full", "rein", "lora"])
def test_everything_that_trains_has_a_gradient(tiny: Tiny, head: dict[str, Any], tuning: str) -> None:
    changes = {} if tuning == "rein" else {"tuning.method": tuning}
    experiment = tiny({**head, **changes})
    model = build_model(experiment).train()
    loss(model, experiment, torch.randint(0, 19, (1, 32, 32))).backward()
    assert [name for name, p in trainable(model) if p.grad is None or not p.grad.isfinite().all()] == []


@heads
@pytest.mark.parametrize("value", [255, 7])
@pytest.mark.parametrize("batch", [1, 2])
def test_void_and_single_class_batches_give_a_finite_loss_and_gradient(
    tiny: Tiny, head: dict[str, Any], value: int, batch: int
) -> None:
    experiment = tiny(head)
    model = build_model(experiment).train()
    total = loss(model, experiment, torch.full((batch, 32, 32), value))
    total.backward()
    assert total.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for _, p in trainable(model.head))


@heads
def test_a_few_steps_lower_the_loss(tiny: Tiny, head: dict[str, Any]) -> None:
    experiment = tiny({**head, "head.dropout": 0} if head.get("head.method") == "semfpn" else head)
    model = build_model(experiment).train()
    image, label = images(2, 3, 32, 32), torch.randint(0, 3, (2, 1, 1)).expand(2, 32, 32)
    optimizer = torch.optim.Adam((p for _, p in trainable(model)), 3e-3)
    values = []
    for _ in range(8):
        torch.manual_seed(0)
        value = build_criterion(experiment.head, 19)(model(image), label)["loss"]
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]


@DENSE
@pytest.mark.parametrize("link", ["replace", "add", "none"])
def test_a_head_without_queries_makes_no_link_of_every_link(tiny: Tiny, head: dict[str, Any], link: str) -> None:
    model, unlinked = (build_model(tiny({**head, "tuning.link": name})) for name in (link, "none"))
    assert model.backbone(torch.zeros(1, 3, 32, 32))[1] is None
    first, second = model.state_dict(), unlinked.state_dict()
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("head", "in_backbone", "in_head"),
    [
        # Table 4's 2.99 and 2.53 M, without the scale of the updates
        ("mask2former", 2_990_080, None),
        ("semfpn", 2_530_816, 1_626_259 + 4 * (1024 * 256 + 256)),
        ("linear", 2_530_816, 4 * 1024 * 19 + 19),
    ],
)
def test_parameters_of_rein_on_vit_large(head: str, in_backbone: int, in_head: int | None) -> None:
    experiment = build(Experiment, {"backbone": {"weights": "none"}, "head": {"method": head}})
    with torch.device("meta"):
        model = build_model(experiment)
    assert count(model.backbone, trainable_only=True) == in_backbone + 1
    assert in_head is None or count(model.head) == in_head


@DENSE
def test_all_tunings_of_a_seed_start_with_the_same_head(tiny: Tiny, head: dict[str, Any]) -> None:
    states = [
        build_model(tiny({**head, **change})).head.state_dict()
        for change in ({}, {"tuning.method": "frozen"}, {"tuning.method": "full"})
    ]
    assert all(torch.equal(state[name], states[0][name]) for state in states[1:] for name in states[0])


@heads
def test_weights_of_one_head_are_refused_by_another(tiny: Tiny, head: dict[str, Any]) -> None:
    state = build_model(tiny(head)).head.state_dict()
    for other in HEADS:
        target = build_model(tiny(other)).head
        if other is head:
            target.load_state_dict(state)
        else:
            with pytest.raises(RuntimeError, match="in loading state_dict"):
                target.load_state_dict(state)
