"""A step in parts is the step in one piece: in micro-batches, after a lack of memory, whatever the network draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rein import seeds
from rein.config import Experiment, Machine, run_id
from rein.data.advstyle import with_adversarial_styles
from rein.data.loaders import training_batches
from rein.device import autocast
from rein.ledger import Run
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model
from rein.ranks import Ranks
from rein.training import train
from rein.training.optim import build_optimizer, set_rates
from rein.training.step import Step

Tiny = Callable[..., Experiment]
CPU = torch.device("cpu")
HEADS: dict[str, dict[str, Any]] = {
    "mask2former": {},
    "semfpn": {"head.method": "semfpn", "head.width": 8},
    "linear": {"head.method": "linear"},
}
VARIANTS = {
    **HEADS,
    "linked by addition": {"tuning.link": "add"},
    "full": {"tuning.method": "full"},
    "lora": {"tuning.method": "lora", "tuning.rank": 2},
    "advstyle": {"data.augmentation": "advstyle"},
    "semfpn advstyle": {**HEADS["semfpn"], "data.augmentation": "advstyle"},
    "pasta": {"data.augmentation": "pasta"},
    "drop path": {
        "backbone.name": "swin_tiny_patch4_window7_224.ms_in1k",
        "tuning.method": "full",
        "data.crop_size": 64,
        **HEADS["linear"],
    },
}


def setting(experiment: Experiment, data: Any) -> tuple[Segmenter, Any, torch.optim.Optimizer, list[Any]]:
    model = build_model(experiment).train()
    batches = training_batches(experiment.data, data, experiment.seed, range(experiment.steps), CPU)
    return model, build_criterion(experiment.head, 19), build_optimizer(model, experiment.optim), list(batches)


def plain(experiment: Experiment, data: Any) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The loop as it would be without any parts; its losses, and the parameters behind them."""
    model, criterion, optimizer, batches = setting(experiment, data)
    losses = []

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        with autocast(experiment, CPU):
            output = model(images)
        return criterion(output, labels)["loss"]

    for step, (images, labels, _) in enumerate(batches):
        set_rates(optimizer, experiment.optim, step, experiment.steps)
        torch.manual_seed(seeds.derive(experiment.seed, seeds.STEP, step))
        if experiment.data.augmentation == "advstyle":
            images, labels = with_adversarial_styles(images, labels, loss_of)
        loss = loss_of(images, labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return losses, dict(model.named_parameters())


def in_parts(experiment: Experiment, data: Any, micro_batch: int | None) -> tuple[list[Tensor], dict[str, Tensor]]:
    model, criterion, optimizer, batches = setting(experiment, data)
    make_step = Step(experiment, model, criterion, optimizer, CPU, Ranks(), micro_batch)
    losses = []
    for step, (images, labels, _) in enumerate(batches):
        set_rates(optimizer, experiment.optim, step, experiment.steps)
        losses.append(make_step(step, images, labels))
    return losses, dict(model.named_parameters())


@pytest.mark.parametrize("name", VARIANTS)
def test_in_one_piece_every_bit_is_that_of_a_plain_loop(tiny: Tiny, toy_data: Any, name: str) -> None:
    experiment = tiny({**VARIANTS[name], "data.batch_size": 4})
    found, expected = in_parts(experiment, toy_data, None), plain(experiment, toy_data)
    assert all(torch.equal(mine, other) for mine, other in zip(found[0], expected[0], strict=True))
    assert [key for key, tensor in expected[1].items() if not torch.equal(found[1][key], tensor)] == []


@pytest.mark.parametrize("micro_batch", [1, 2, 3])
@pytest.mark.parametrize("name", VARIANTS)
def test_in_parts_the_losses_are_those_of_one_piece(tiny: Tiny, toy_data: Any, name: str, micro_batch: int) -> None:
    experiment = tiny({**VARIANTS[name], "data.batch_size": 4, "steps": 4})
    found, expected = in_parts(experiment, toy_data, micro_batch)[0], plain(experiment, toy_data)[0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


# ---------------------------------------------------------------- out of memory

ERRORS = {
    "cuda": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "python": MemoryError(),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
}


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int, error: Exception, after: int = 0) -> list[int]:
    """A network that holds no more than `most` images while it trains, from the call `after` on; what it was given."""
    forward, seen = Segmenter.forward, []

    def limited(self: Segmenter, image: Tensor) -> Any:
        seen.append(len(image))
        if len(seen) > after and len(image) > most:
            raise error
        return forward(self, image)

    monkeypatch.setattr(Segmenter, "forward", limited)
    return seen


@pytest.mark.parametrize("error", ERRORS)
def test_short_of_memory_a_step_is_repeated_in_halves_to_the_same_numbers(
    tiny: Tiny, machine: Machine, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    experiment = tiny({"data.batch_size": 4, "steps": 6})
    undisturbed = train(experiment, replace(machine, runs=tmp_path / "undisturbed"))
    seen = short_of_memory(monkeypatch, 1, ERRORS[error], after=2)
    run = train(experiment, machine)
    assert seen == [4, 4, 4, 2, *[1] * 16], "the third step three times, and four images a step from then on"
    assert losses(run) == pytest.approx(losses(undisturbed), rel=1e-6)
    status = run.status()
    assert (status["state"], status["micro_batch"]) == ("done", 1)
    assert undisturbed.status()["micro_batch"] is None
    assert any("step 3: out of memory" in note and "2 of 4 images" in note for note in status["notes"])


def losses(run: Run) -> list[float]:
    return [record["loss"] for record in run.metrics()[0] if "loss" in record]


def test_halfway_through_a_step_nothing_is_counted_twice(
    tiny: Tiny, toy_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny({"data.batch_size": 4})
    expected = plain(experiment, toy_data)[0]
    forward, calls = Segmenter.forward, []

    def once(self: Segmenter, image: Tensor) -> Any:
        calls.append(len(image))
        if len(calls) == 2:  # when the first two images have left their gradients
            raise MemoryError
        return forward(self, image)

    monkeypatch.setattr(Segmenter, "forward", once)
    found = in_parts(experiment, toy_data, 2)[0]
    assert calls[:6] == [2, 2, 1, 1, 1, 1]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_a_run_that_no_memory_is_enough_for_is_oom_and_says_what_was_tried(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny({"data.batch_size": 3})
    seen = short_of_memory(monkeypatch, 0, ERRORS["cuda"])
    with pytest.raises(MemoryError, match=r"step 1: one image at a time .*Tried to allocate"):
        train(experiment, machine)
    assert seen == [3, 1] and Run(machine.runs / run_id(experiment)).state == "oom"


def test_a_resumed_run_begins_with_the_micro_batch_that_it_had(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny({"data.batch_size": 4})

    def cut(record: Any) -> None:
        if record["step"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        short_of_memory(patch, 2, MemoryError())
        train(experiment, machine, cut)
    seen = short_of_memory(monkeypatch, 2, MemoryError())
    assert train(experiment, machine).state == "done"
    assert set(seen) == {2}


def test_the_machine_says_where_the_micro_batch_begins(
    tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = short_of_memory(monkeypatch, 3, MemoryError())
    train(tiny({"data.batch_size": 4, "steps": 1}), replace(machine, micro_batch=3))
    assert seen == [3, 1]


def test_another_error_is_no_lack_of_memory(tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = short_of_memory(monkeypatch, 0, RuntimeError("cuDNN error"))
    with pytest.raises(RuntimeError, match="cuDNN"):
        train(tiny(), machine)
    assert len(seen) == 1


def test_a_dropout_that_no_rule_is_known_for_is_refused_in_parts(tiny: Tiny, toy_data: Any) -> None:
    experiment = tiny({**HEADS["semfpn"], "data.batch_size": 2, "steps": 1})
    model, criterion, optimizer, batches = setting(experiment, toy_data)
    model.head.dropout = torch.nn.Dropout(0.5)
    with pytest.raises(ValueError, match=r"Dropout.*run the batch whole"):
        Step(experiment, model, criterion, optimizer, CPU, Ranks(), 1)(0, *batches[0][:2])
