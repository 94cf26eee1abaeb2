"""Groups and schedule against the reference code's, and an optimizer state that survives by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rein.config import Experiment, Optim
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import trainable
from rein.training.optim import build_optimizer, load_named_state, named_state, set_rates

Tiny = Callable[..., Experiment]
METHODS: list[dict[str, Any]] = [
    {"tuning.method": "frozen"},
    {"tuning.method": "full"},
    {"tuning.method": "lora", "tuning.rank": 2},
    {},
    {"tuning.link": "add", "tuning.rank": None},
    {"head.method": "semfpn"},
    {"tuning.method": "partial", "tuning.trainable": 0.005},
    {"tuning.method": "vpt", "tuning.prompts": 2, "tuning.also": ["norm"]},
]
#: Own parameters that get no decay by name in the reference code.
EMBEDDINGS = ("tokens", "tokens_a", "tokens_b", "scale", "query_embed", "level_embed")


def groups(model: Segmenter, optim: Optim) -> dict[str, dict[str, Any]]:
    """Parameter name -> the options of its group."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: group for group in build_optimizer(model, optim).param_groups for parameter in group["params"]
    }


def undecayed(model: Segmenter) -> set[str]:
    found = set()
    for name, _ in trainable(model):
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        own = leaf in EMBEDDINGS and "pixel_decoder" not in name
        if "Norm" in type(module).__name__ or own or (leaf == "values" and "norm" in owner):
            found.add(name)
    return found


@pytest.mark.parametrize("change", METHODS, ids=str)
def test_only_norms_embeddings_tokens_and_scale_are_not_decayed(tiny: Tiny, change: dict[str, Any]) -> None:
    model = build_model(tiny(change))
    found = groups(model, Optim(weight_decay=0.05))
    assert set(found) == {name for name, _ in trainable(model)}
    assert {name for name, group in found.items() if group["weight_decay"] == 0} == undecayed(model)
    assert {group["weight_decay"] for group in found.values()} == {0, 0.05}


def test_biases_level_encodings_and_the_query_feature_linear_are_decayed(tiny: Tiny) -> None:
    found = groups(build_model(tiny()), Optim())
    decayed = {name for name, group in found.items() if group["weight_decay"] > 0}
    assert {"head.link_to_feature.weight", "head.class_embed.bias", "backbone.rein.merge.bias"} <= decayed
    assert any("pixel_decoder" in name and "level" in name for name in decayed)


@pytest.mark.parametrize("change", METHODS, ids=str)
def test_the_backbones_own_parameters_train_at_their_own_rate(tiny: Tiny, change: dict[str, Any]) -> None:
    found = groups(build_model(tiny(change)), Optim(lr=1e-4, backbone_lr=1e-5))
    slow = {name for name, group in found.items() if group["lr"] == 1e-5}
    new = ("backbone.rein.", ".prompts.", ".parametrizations.weight.0.a", ".parametrizations.weight.0.b")
    assert slow == {n for n in found if n.startswith("backbone.") and not any(part in n for part in new)}
    if change.get("tuning.method") in ("full", "partial") or "tuning.also" in change:
        assert slow


def test_adamw_has_the_recipes_constants(tiny: Tiny) -> None:
    optimizer = build_optimizer(build_model(tiny()), Optim(betas=(0.8, 0.9)))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert all(group["betas"] == (0.8, 0.9) and group["eps"] == 1e-8 for group in optimizer.param_groups)


# ---------------------------------------------------------------- schedule


def rates(optim: Optim, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0, "base_lr": 2.0}])
    found = []
    for step in range(steps):
        factor = set_rates(optimizer, optim, step, steps)
        assert optimizer.param_groups[0]["lr"] == 2.0 * factor
        found.append(factor)
    return found


@given(st.integers(1, 200), st.floats(0.1, 3))
def test_decay_is_the_polynomials_closed_form(steps: int, power: float) -> None:
    expected = [(1 - step / steps) ** power for step in range(steps)]
    assert rates(Optim(power=power), steps) == pytest.approx(expected)


def test_the_papers_schedule_in_numbers() -> None:
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": 1.0, "base_lr": 1e-4}])
    for step, expected in ((0, 1.0), (20_000, 0.5**0.9), (39_999, (1 / 40_000) ** 0.9)):
        assert set_rates(optimizer, Optim(), step, 40_000) == pytest.approx(expected)


def test_warm_up_is_linear_from_a_millionth_and_then_decays_from_one() -> None:
    found = rates(Optim(warmup_steps=10), 40)
    assert found[:10] == pytest.approx([1e-6 + (1 - 1e-6) * step / 10 for step in range(10)])
    assert found[10:] == pytest.approx([(1 - step / 30) ** 0.9 for step in range(30)])


@pytest.mark.parametrize("warmup", [40, 50])
def test_a_warm_up_as_long_as_the_run_stays_within_zero_and_one(warmup: int) -> None:
    assert all(0 <= factor <= 1 for factor in rates(Optim(warmup_steps=warmup), 40))


# ---------------------------------------------------------------- state


def trained(experiment: Experiment, steps: int) -> tuple[Segmenter, torch.optim.Optimizer]:
    model = build_model(experiment)
    optimizer = build_optimizer(model, experiment.optim)
    more(model, optimizer, range(steps))
    return model, optimizer


def more(model: Segmenter, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for _, parameter in trainable(model):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def test_a_state_restored_by_name_goes_on_bit_for_bit(tiny: Tiny) -> None:
    model, optimizer = trained(tiny(), 2)
    state = {name: tensor.clone() for name, tensor in named_state(model, optimizer).items()}
    weights = {name: p.detach().clone() for name, p in trainable(model)}
    more(model, optimizer, range(2, 4))
    other, fresh = trained(tiny(), 0)
    for name, parameter in trainable(other):
        parameter.data.copy_(weights[name])
    load_named_state(other, fresh, state)
    more(other, fresh, range(2, 4))
    for (name, first), (_, second) in zip(trainable(model), trainable(other), strict=True):
        assert torch.equal(first, second), name


def test_state_names_are_kind_and_parameter(tiny: Tiny) -> None:
    model, optimizer = trained(tiny(), 1)
    names = {name for name, _ in trainable(model)}
    expected = {f"{kind}.{name}" for kind in ("step", "exp_avg", "exp_avg_sq") for name in names}
    assert set(named_state(model, optimizer)) == expected


def test_a_restored_state_lies_on_its_parameters_device() -> None:
    model = nn.Linear(2, 2, bias=False, device="meta")
    optimizer = torch.optim.AdamW(model.parameters())
    load_named_state(model, optimizer, {"exp_avg.weight": torch.zeros(2, 2), "step.weight": torch.zeros(())})
    assert {tensor.device.type for tensor in optimizer.state[model.weight].values()} == {"meta"}
