"""`rein bench model`: our network and transformers' Mask2Former, one trunk, the same weights and inputs, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from rein.bench.counting import count, peak_memory
from rein.config import Backbone, ConfigError, Data, Experiment, Frozen
from rein.data.classes import CLASSES
from rein.models.compiling import compile_blocks
from rein.models.criterion import Criterion
from rein.models.mask2former import Mask2FormerHead
from rein.models.segmenter import build_model
from rein.training.optim import build_optimizer


@dataclass(frozen=True)
class Case:
    """What is measured: `infer` or `train` on square images; `compiled` and `bf16` add a third side."""

    work: str
    backbone: str = "vit_small_patch14_dinov2.lvd142m"
    size: int = 512
    batch: int = 1
    compiled: bool = False
    bf16: bool = False

    def __str__(self) -> str:
        return f"{self.work} {self.backbone} {self.size} x{self.batch}"


@dataclass(frozen=True)
class Side:
    """One contestant: what is called again and again, and returns scores (inference) or None (a training step)."""

    name: str
    work: Callable[[], Tensor | None]
    optimizer: Optimizer | None = None
    #: Compiled code is not: a counter would run it uncompiled.
    counted: bool = True

    def counts(self) -> tuple[int, int]:
        """Kernels and waits of one call."""
        states = self.optimizer.state.values() if self.optimizer else ()
        kernels, waits = count(self.work, [state["step"] for state in states])
        return kernels.total(), waits.total()


class Inputs:
    """Images (B, 3, H, W) uint8 and label maps (B, H, W) of a case, the same each time."""

    def __init__(self, case: Case) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (case.batch, 3, case.size, case.size)
        self.image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        self.label = made_up_label(case.batch, case.size, generator)


def made_up_label(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """Label maps (batch, size, size) of 8 x 8 blocks: ten or fewer classes an image, as a street has, and some void."""
    classes = torch.randint(0, len(CLASSES), (batch, 10), generator=generator)
    blocks = classes.gather(1, torch.randint(0, 10, (batch, 64), generator=generator)).view(batch, 8, 8)
    blocks[:, 0, 0] = 255
    side = -(-size // 8)
    return blocks.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :size, :size].contiguous()


def sides(case: Case) -> Iterator[Side]:
    """Ours, the peer's, and where asked for ours with more switched on: each has the same frozen trunk and weights.

    The trunk is timm's for all of them, the weights random. A training step is loss, gradients of the head and AdamW.
    """
    inputs = Inputs(case)
    yield ours("rein", case, inputs)
    yield peers(case, inputs)
    if case.compiled or case.bf16:
        name = "rein" + " compiled" * case.compiled + " bf16" * case.bf16
        yield ours(name, case, inputs, case.compiled, case.bf16)


def ours(name: str, case: Case, inputs: Inputs, compiled: bool = False, bf16: bool = False) -> Side:
    """Our network as runs use it."""
    experiment = _experiment(case)
    model = build_model(experiment)
    if compiled:
        compile_blocks(model)

    def precision() -> Any:
        return torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext()

    if case.work == "infer":
        model.eval()

        def infer() -> Tensor:
            with torch.no_grad(), precision():  # what inference_mode runs, whose operators a counter would see whole
                return model.logits(inputs.image)

        return Side(name, infer, counted=not compiled)
    model.train()
    criterion, optimizer = Criterion(), build_optimizer(model, experiment.optim)

    def step() -> None:
        with precision():
            predictions = model(inputs.image)
        criterion(predictions, inputs.label)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Side(name, step, optimizer, not compiled)


def peers(case: Case, inputs: Inputs) -> Side:
    """transformers' pixel decoder, decoder, loss and semantic inference behind the same trunk.

    Its targets are masks made beforehand, as its image processor does. Its optimizer is fused, as ours.
    """
    try:
        from rein.bench import peer
    except ImportError as error:
        raise ConfigError(f"rein bench model compares with transformers: pip install transformers ({error})") from None
    model = build_model(_experiment(case)).train(case.work == "train")
    assert isinstance(model.head, Mask2FormerHead)
    head = peer.PeerHead(model.head).train(case.work == "train")

    def predictions() -> Any:
        return head(model.backbone(model._prepare(inputs.image))[0])

    if case.work == "infer":

        def infer() -> Tensor:
            with torch.no_grad():
                return peer.semantic_inference(predictions()[-1], (case.size, case.size))

        return Side("transformers", infer)
    ours = Criterion()
    criterion, (masks, classes) = peer.PeerCriterion(ours), peer.split_label(inputs.label, ours.num_classes)
    optimizer = AdamW(head.parameters(), lr=1e-4, weight_decay=0.05, fused=True)

    def step() -> None:
        criterion(predictions(), masks, classes).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Side("transformers", step, optimizer)


def _experiment(case: Case) -> Experiment:
    return Experiment(
        backbone=Backbone(name=case.backbone, weights="none"),
        tuning=Frozen(),
        data=Data(crop_size=case.size, batch_size=case.batch),
    )


def timed(contestants: list[Side], repeats: int) -> list[float]:
    """Median seconds of each side, called in turns so that a slow minute of the machine meets all of them."""
    taken: list[list[float]] = [[] for _ in contestants]
    for _ in range(repeats):
        for side, seconds in zip(contestants, taken, strict=True):
            start = time.perf_counter()
            side.work()
            seconds.append(time.perf_counter() - start)
    return [median(seconds) for seconds in taken]


def measure(case: Case, repeats: int) -> list[dict[str, Any]]:
    """A row for each side: median ms, how many times as fast as the peer, peak MiB, kernels and waits of one call.

    `difference` is the largest between its class scores and the peer's.
    """
    contestants = list(sides(case))
    scores = [side.work() for side in contestants]  # warm besides: caches, compiled kernels, optimizer state
    seconds = timed(contestants, repeats)
    rows = []
    for side, score, second in zip(contestants, scores, seconds, strict=True):
        kernels, waits = side.counts() if side.counted else (None, None)
        row = {
            "case": str(case),
            "side": side.name,
            "ms": round(1000 * second, 1),
            "ratio": round(seconds[1] / second, 2),
        }
        row |= {"peak MiB": round(peak_memory(side.work) / 2**20), "kernels": kernels, "waits": waits}
        if score is not None and scores[1] is not None:
            row["difference"] = float(f"{(score - scores[1]).abs().max().item():.1e}")
        rows.append(row)
    return rows
