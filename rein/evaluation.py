"""Scores of a network on domains, by the reference code's protocol: sliding windows, one confusion matrix a domain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from rein import metrics
from rein.config import Experiment
from rein.data.dataset import WholeImages
from rein.data.domain import DataError
from rein.data.domains import expand, find
from rein.data.loaders import whole_images
from rein.data.remarks import Remark, from_text, to_text
from rein.data.selection import scored_domains, scored_images
from rein.device import autocast, free, is_out_of_memory
from rein.models.segmenter import Segmenter
from rein.ranks import Ranks

#: Windows that go through the network at once: a large photograph has hundreds, a benchmark's image a few.
WINDOWS_AT_ONCE = 8


@dataclass(frozen=True)
class Score:
    """What a network did on one domain: the confusion matrix (K, K), and a few images to look at."""

    domain: str
    role: str
    classes: tuple[str, ...]
    matrix: Tensor
    #: (file stem, image (3, H, W), label (h, w), prediction (h, w)), all uint8.
    examples: list[tuple[str, Tensor, Tensor, Tensor]]
    #: Names, without endings, of the images that were scored.
    files: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    #: What each of those images adds to the score, (N, 3, K): of every class the pixels hit, labelled and predicted.
    counts: Tensor = field(default_factory=lambda: torch.zeros(0, 3, 0, dtype=torch.int64))

    @property
    def miou(self) -> float:
        """Mean IoU in 0..1."""
        return metrics.miou(self.matrix)

    @property
    def scored(self) -> dict[str, Any]:
        """How many images were scored, and a digest of their names: scores over other images do not compare."""
        return {"images": len(self.files), "digest": hashlib.sha256("\n".join(self.files).encode()).hexdigest()[:16]}

    def rows(self, step: int) -> Iterator[dict[str, Any]]:
        """Rows of scores.csv: the mIoU, then every class that occurs."""
        constant = {"step": step, "domain": self.domain, "role": self.role}
        yield {**constant, "class": "all", "metric": "miou", "value": self.miou}
        for name, value in zip(self.classes, metrics.iou(self.matrix), strict=True):
            if value == value:
                yield {**constant, "class": name, "metric": "iou", "value": value}


def evaluate(
    model: Segmenter,
    experiment: Experiment,
    root: Path,
    device: torch.device,
    workers: int | None = None,
    examples: int = 0,
    cache: Path | None = None,
    ranks: Ranks | None = None,
    halves: bool = True,
) -> Iterator[Score]:
    """Score a network on all targets and on the val split of every source that has one, which is no target's score.

    Scores come one by one, each over the images of all `ranks`. Of a family of domains the last alone has examples:
    those of all would fill a disk.
    """
    shown = {expand(name)[-1] for name in (*experiment.data.sources, *experiment.data.targets)}
    for domain, role in scored_domains(experiment):
        kept = examples if domain in shown else 0
        yield score_domain(model, experiment, domain, role, root, device, workers, kept, cache, ranks, halves)


@torch.inference_mode()
def score_domain(
    model: Segmenter,
    experiment: Experiment,
    domain: str,
    role: str,
    root: Path,
    device: torch.device,
    workers: int | None = None,
    examples: int = 0,
    cache: Path | None = None,
    ranks: Ranks | None = None,
    halves: bool = True,
) -> Score:
    """Score a network on the val split of one domain; `examples` images, evenly spaced, are kept to be shown.

    Where there are several `ranks` each takes some of the images, the first those to be shown, and their pixels are
    counted together: the score is that of one process.

    `halves`: whether fewer windows may go through the network at once where memory is short; not where the processes
    run it together, and one that does so alone would leave the others waiting.

    Raises DataError where an image cannot be used, or with `data.on_error=skip` where none can. Corrupted images are
    kept in the folder `cache`, if there is one.
    """
    classes = experiment.classes
    files, remarks = scored_images(experiment.data, domain, root, experiment.evaluation.images)
    dataset = WholeImages(files, experiment.data, cache)
    size = experiment.evaluation.size or find(domain).evaluation_size
    count = min(examples, len(dataset))
    shown = {i * len(dataset) // count for i in range(count)}
    ranks = ranks or Ranks()
    mine = [i for i in range(len(dataset)) if (0 if i in shown else i % ranks.world) == ranks.rank]
    kept, scored = [], [False] * len(dataset)
    network = Halving(model) if halves else model
    matrix = metrics.zeros(len(classes)).to(device)
    counts = matrix.new_zeros(len(dataset), 3, len(classes))
    was_training = model.training
    model.eval()
    for index, (image, label, said) in zip(mine, whole_images(dataset, device, workers, mine), strict=True):
        remarks += said
        if not image.numel():
            continue
        scored[index] = True
        pixels = fit_inside(image.to(device, non_blocking=True)[None], size)
        with autocast(experiment, device):
            scores = sliding_window(network, pixels, experiment.window, experiment.stride)
        if scores.shape[-2:] != label.shape:  # at the same size it would be a copy, and no cheap one
            scores = F.interpolate(scores, label.shape, mode="bilinear", align_corners=False)
        prediction = scores.max(1).indices[0]  # as argmax, which takes a CPU five times as long here
        pairs = metrics.confusion(prediction, label.to(device, non_blocking=True).long(), len(classes))
        matrix += pairs
        counts[index] = metrics.margins(pairs)
        if index in shown:
            kept.append((dataset.files[index].image.stem, image, label, prediction.to(torch.uint8).cpu()))
    model.train(was_training)
    used = [index for index, said in enumerate(zip(*ranks.exchange(scored), strict=True)) if any(said)]
    ranks.add([matrix, counts])
    files = [dataset.files[index].image.stem for index in used]
    if ranks.world > 1:
        remarks = [remark for text in ranks.texts(to_text(remarks)) for remark in from_text(text)]
    if not files:
        raise DataError(f"{remarks[0].text}; as all {len(remarks)} images that {domain} would be scored on")
    return Score(domain, role, classes, matrix.cpu(), kept, tuple(files), tuple(remarks), counts.cpu()[used])


@runtime_checkable
class Scorer(Protocol):
    """What scores windows: (n, 3, h, w) -> (n, k, h, w)."""

    def logits(self, image: Tensor, /) -> Tensor: ...


class Halving:
    """Puts fewer windows through a network at once from where memory was too short for as many."""

    def __init__(self, model: Scorer) -> None:
        self.model, self.at_once = model, WINDOWS_AT_ONCE

    def logits(self, crops: Tensor) -> Tensor:
        """The network's. Raises what torch raises where memory is too short for a single window."""
        while True:
            try:
                return torch.cat([self.model.logits(some) for some in crops.split(self.at_once)])
            except Exception as error:
                if self.at_once == 1 or not is_out_of_memory(error):
                    raise
            self.at_once //= 2  # outside of `except`, where the error would hold on to the memory
            free(crops.device)


def sliding_window(
    model: Scorer, image: Shaped[Tensor, "1 3 h w"], window: int, stride: int
) -> Float[Tensor, "1 k h w"]:
    """Class scores of an image: windows averaged by how many of them cover a pixel.

    Windows stand at multiples of the stride, the last one shifted back inside; a smaller image is one window.
    """
    height, width = image.shape[-2:]
    boxes = [(top, left) for top in starts(height, window, stride) for left in starts(width, window, stride)]
    total: Tensor | None = None
    cover = torch.zeros(1, 1, height, width, device=image.device)
    for first in range(0, len(boxes), WINDOWS_AT_ONCE):
        some = boxes[first : first + WINDOWS_AT_ONCE]
        crops = torch.cat([image[..., top : top + window, left : left + window] for top, left in some])
        for (top, left), score in zip(some, model.logits(crops).float(), strict=True):
            if total is None:
                total = score.new_zeros(1, len(score), height, width)
            total[..., top : top + window, left : left + window] += score
            cover[..., top : top + window, left : left + window] += 1
    assert total is not None  # there is at least one window
    return total / cover


def starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows start along one axis; max(length - window + stride - 1, 0) // stride + 1 of them."""
    count = max(length - window + stride - 1, 0) // stride + 1
    return [min(i * stride, max(length - window, 0)) for i in range(count)]


def fit_inside(image: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Resize an image (1, 3, H, W) to the largest size of its aspect inside (width, height), in whole grey levels.

    None keeps it.
    """
    if size is None:
        return image
    height, width = image.shape[-2:]
    factor = min(max(size) / max(height, width), min(size) / min(height, width))
    target = [int(height * factor + 0.5), int(width * factor + 0.5)]
    return F.interpolate(image.float(), target, mode="bilinear", align_corners=False).round_()
