"""`rein bench model`: our network and transformers' Mask2Former, one trunk, the same weights and inputs, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from rein.bench.counting import count, peak_memory
from rein.config import Backbone, ConfigError, Data, Experiment, Frozen
from rein.models.criterion import Criterion
from rein.models.segmenter import build_model
from rein.optim import build_optimizer


@dataclass(frozen=True)
class Case:
    """What is measured: `infer` or `train`, with a backbone on square images."""

    work: str
    backbone: str = "vit_small_patch14_dinov2.lvd142m"
    size: int = 512
    batch: int = 1


@dataclass(frozen=True)
class Side:
    """One contestant: what is called again and again."""

    name: str
    work: Callable[[], object]
    optimizer: Optimizer | None = None

    def counted(self) -> tuple[int, int]:
        """Kernels and waits of one call."""
        states = self.optimizer.state.values() if self.optimizer else ()
        kernels, waits = count(self.work, [state["step"] for state in states])
        return kernels.total(), waits.total()


def sides(case: Case) -> tuple[Side, Side]:
    """Ours and the peer's, on one frozen trunk with random weights, and on inputs that are the same for both."""
    try:
        from rein.bench import peer as theirs
    except ImportError as error:
        raise ConfigError(f"rein bench model compares with transformers: pip install transformers ({error})") from None
    experiment = Experiment(
        backbone=Backbone(name=case.backbone, weights="none"),
        tuning=Frozen(),
        data=Data(crop_size=case.size, batch_size=case.batch),
    )
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (case.batch, 3, case.size, case.size), generator=generator, dtype=torch.uint8)
    label = made_up_label(case.batch, case.size, generator)
    model = build_model(experiment)
    peer = theirs.PeerHead(model.head)

    def peer_predictions() -> Any:
        return peer(model.backbone(model._prepare(image))[0])

    if case.work == "infer":
        model.eval()
        peer.eval()
        size = (case.size, case.size)
        return (
            Side("rein", torch.inference_mode()(lambda: model.logits(image))),
            Side(
                "transformers",
                torch.inference_mode()(lambda: theirs.semantic_inference(peer_predictions()[-1], size)),
            ),
        )
    model.train()
    peer.train()
    criterion = Criterion()
    their_criterion = theirs.PeerCriterion(criterion)
    masks, classes = theirs.split_label(label, criterion.num_classes)
    # Their users' usual optimizer: torch's default, many tensors at a time, one group.
    optimizers = build_optimizer(model, experiment.optim), AdamW(peer.parameters(), lr=1e-4, weight_decay=0.05, foreach=True)
    return (
        Side("rein", partial(_step, optimizers[0], lambda: criterion(model(image), label)["loss"]), optimizers[0]),
        Side("transformers", partial(_step, optimizers[1], lambda: their_criterion(peer_predictions(), masks, classes)), optimizers[1]),
    )


def _step(optimizer: Optimizer, loss: Callable[[], Tensor]) -> None:
    loss().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def made_up_label(batch: int, size: int, generator: torch.Generator) -> Tensor:
    """Label maps (batch, size, size) of 8 x 8 blocks: ten or so classes an image, as a street has, and some void."""
    classes = torch.randint(0, 19, (batch, 10), generator=generator)
    blocks = classes.gather(1, torch.randint(0, 10, (batch, 64), generator=generator)).view(batch, 8, 8)
    blocks[:, 0, 0] = 255
    side = -(-size // 8)
    return blocks.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :size, :size].contiguous()


def timed(contestants: tuple[Side, ...], repeats: int) -> list[list[float]]:
    """Seconds of each call of each side, in turns, so that a slow minute of the machine meets all of them."""
    seconds: list[list[float]] = [[] for _ in contestants]
    for side in contestants:
        side.work()  # warm: caches, compiled kernels, optimizer state
    for _ in range(repeats):
        for side, taken in zip(contestants, seconds, strict=True):
            start = time.perf_counter()
            side.work()
            taken.append(time.perf_counter() - start)
    return seconds


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """One row of the table."""
    contestants = sides(case)
    ours, peers = (1000 * median(seconds) for seconds in timed(contestants, repeats))
    row: dict[str, Any] = {"case": f"{case.work} {case.backbone} {case.size} x{case.batch}"}
    row |= {"ours ms": round(ours), "peer ms": round(peers), "ratio": round(peers / ours, 2)}
    for side in contestants:
        kernels, waits = side.counted()
        row |= {
            f"{side.name} kernels": kernels,
            f"{side.name} waits": waits,
            f"{side.name} MiB": peak_memory(side.work) >> 20,
        }
    return row
