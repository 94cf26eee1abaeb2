"""Images to look at: what a network saw, what was asked and what it answered, as files a report can arrange."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from rein.data.classes import PALETTE
from rein.evaluation import Score


def save_examples(folder: Path, scores: Iterable[Score]) -> None:
    """Write `folder/<domain>/<stem>_{image,label,prediction}.png`; labels hold train ids and show in colour."""
    for score in scores:
        where = folder / score.domain
        where.mkdir(parents=True, exist_ok=True)
        for stem, image, label, prediction in score.examples:
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(where / f"{stem}_image.png")
            save_mask(where / f"{stem}_label.png", label.numpy())
            save_mask(where / f"{stem}_prediction.png", prediction.numpy())


def save_mask(path: Path, train_ids: np.ndarray) -> None:
    """A PNG of train ids (H, W) with the Cityscapes palette: an index image to programs, a coloured one to people."""
    mask = Image.fromarray(train_ids, mode="P")
    mask.putpalette(np.array(PALETTE, np.uint8).tobytes().ljust(768, b"\0"))
    mask.save(path)


def overlay(image: np.ndarray, train_ids: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """The colours of train ids (H, W) laid over an image (H, W, 3); void stays the image."""
    colours = np.zeros((256, 3), np.float32)
    colours[: len(PALETTE)] = PALETTE
    share = np.where(train_ids < len(PALETTE), opacity, 0.0)[..., None]
    return (image * (1 - share) + colours[train_ids] * share).round().astype(np.uint8)
