"""A step counted on shapes is the step that runs: its FLOPs to the last one, its memory within a quarter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from rein.bench.counting import peak_memory
from rein.bench.model import made_up_label
from rein.config import Experiment
from rein.models.segmenter import build_model
from rein.models.tuning import count
from rein.sweeps.bill.step_cost import BYTES, MOMENTS, step, step_cost

Tiny = Callable[..., Experiment]

KINDS = {
    "rein": {"tuning.method": "rein"},
    "frozen": {"tuning.method": "frozen"},
    "full": {"tuning.method": "full"},
    "lora": {"tuning.method": "lora"},
    "convolutions": {"head.method": "semfpn", "tuning.method": "full"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_flops_are_those_of_the_real_step(kind: str, tiny: Tiny) -> None:
    experiment = tiny(KINDS[kind])
    model, images, labels = inputs(experiment)
    with FlopCounterMode(display=False) as real, sdpa_kernel(SDPBackend.MATH):
        step(model, experiment, images, labels)
    counted = step_cost(experiment)
    assert counted.flops == real.get_total_flops()
    assert counted.trainable == count(model.backbone, trainable_only=True)
    assert counted.trained == count(model, trainable_only=True)


def test_a_frozen_trunk_is_not_gone_back_through(tiny: Tiny) -> None:
    frozen, rein, full = (step_cost(tiny(KINDS[kind])).flops for kind in ("frozen", "rein", "full"))
    assert frozen < rein and frozen < full


@pytest.mark.parametrize("kind", ["rein", "frozen", "full"])
def test_memory_is_near_that_of_the_real_step(kind: str, tiny: Tiny) -> None:
    experiment = tiny({**KINDS[kind], "data.crop_size": 128})
    model, images, labels = inputs(experiment)
    held = BYTES * count(model) + MOMENTS * BYTES * count(model, trainable_only=True)
    real = held + peak_memory(lambda: step(model, experiment, images, labels))
    assert 0.8 < step_cost(experiment).memory / real < 1.35


def inputs(experiment: Experiment) -> tuple:
    side, batch = experiment.data.crop_size, experiment.data.batch_size
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    return build_model(experiment).train(), images, made_up_label(batch, side, torch.Generator().manual_seed(0))
