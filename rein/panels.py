"""Images to look at: what a network saw, what was asked and what it answered, as files a report can arrange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rein.data.classes import colours

if TYPE_CHECKING:
    from rein.evaluation import Score

#: Of a photograph's PNG: a quarter of the default's time, for a tenth more bytes.
LEVEL = 3


def save_examples(folder: Path, score: Score) -> None:
    """Write `folder/<domain>/<stem>_{image,label,prediction}.png`; labels hold train ids and show in colour."""
    where = folder / score.domain
    for stem, image, label, prediction in score.examples:
        where.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        picture.save(where / f"{stem}_image.png", compress_level=LEVEL)
        save_mask(where / f"{stem}_label.png", label.numpy(), score.classes)
        save_mask(where / f"{stem}_prediction.png", prediction.numpy(), score.classes)


def save_mask(path: Path, train_ids: np.ndarray, classes: Sequence[str]) -> None:
    """A PNG of train ids (H, W) with the classes' palette: an index image to programs, a coloured one to people."""
    mask = Image.fromarray(train_ids, mode="P")
    mask.putpalette(np.array(colours(classes), np.uint8).tobytes().ljust(768, b"\0"))
    mask.save(path)


def overlay(image: np.ndarray, train_ids: np.ndarray, classes: Sequence[str], opacity: float = 0.5) -> np.ndarray:
    """The colours of train ids (H, W) laid over an image (H, W, 3); void stays the image."""
    palette = np.zeros((256, 3), np.float32)
    palette[: len(classes)] = colours(classes)
    share = np.where(train_ids < len(classes), opacity, 0.0)[..., None]
    return (image * (1 - share) + palette[train_ids] * share).round().astype(np.uint8)
