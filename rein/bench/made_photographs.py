"""Files of the size and the cost of GTAV's: photographs to a PNG decoder, labels as palettes with ragged regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rein.data import toy
from rein.data.classes import CLASSES, VOID
from rein.data.label_tables import CITYSCAPES_IDS

#: Noise of one, two and four pixels' grain that makes 2.3 MB of a PNG of 1914x1052, as GTAV's have on average.
NOISE = 1.5


def draw(folder: Path, number: int, size: tuple[int, int]) -> None:
    """Write `gta/images` and `gta/labels` (Cityscapes label ids): toy scenes enlarged to (width, height)."""
    for part in ("images", "labels"):
        (folder / "gta" / part).mkdir(parents=True, exist_ok=True)
    for index in range(number):
        rng = np.random.default_rng(index)
        image, label = toy.render("game", index)
        _photograph(image, size, rng).save(folder / "gta/images" / f"{index:05}.png")
        _regions(label, size, rng).save(folder / "gta/labels" / f"{index:05}.png")


def _photograph(image: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC), np.float32)
    grain = sum(_noise(size, scale, rng) for scale in (1, 2, 4))
    return Image.fromarray((pixels + NOISE * np.asarray(grain)[..., None]).clip(0, 255).astype(np.uint8))


def _regions(label: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The label enlarged, its borders frayed by a few pixels."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    rows = ((y + 4 * _noise(size, 6, rng)) * label.shape[0] / height).astype(int).clip(0, label.shape[0] - 1)
    cols = ((x + 4 * _noise(size, 6, rng)) * label.shape[1] / width).astype(int).clip(0, label.shape[1] - 1)
    ids = np.zeros(256, np.uint8)
    known = {name: value for value, name in CITYSCAPES_IDS.names.items() if isinstance(value, int)}
    ids[: len(CLASSES)] = [known[name] for name in CLASSES]
    ids[VOID] = 0
    picture = Image.fromarray(ids[label[rows, cols]])
    picture.putpalette([value for index in range(256) for value in (index, 255 - index, 7 * index % 256)])
    return picture


def _noise(size: tuple[int, int], grain: int, rng: np.random.Generator) -> np.ndarray:
    width, height = size
    coarse = rng.normal(size=(-(-height // grain), -(-width // grain))).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
