"""What IoU needs of every image, so that a score can be had of any images, each as often as one likes.

`images.npz` of a run holds it for the images of every domain that the run was scored on at its end: 3 K numbers an
image where a confusion matrix has K K. Statistics over images draw images, or pair those of two runs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


def iou(hits: np.ndarray, labelled: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """IoU in 0..1 from counts of pixels, which may have any shape; nan where nothing is labelled nor predicted."""
    hits = np.asarray(hits, np.float64)
    union = predicted + labelled - hits
    return np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0)


def miou(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean IoU in 0..1, over the classes that occur, of counts (N, 3, K) where image i is there `weights[i]` times.

    A number; of weights (N, B) an array (B,), of B draws at once. nan where no class has a pixel.
    """
    images, *each = counts.shape
    summed = weights.T @ counts.reshape(images, -1).astype(np.float64)  # (3 K,) or (B, 3 K)
    per_class = iou(*np.moveaxis(summed.reshape(*summed.shape[:-1], *each), -2, 0))  # (K,) or (B, K)
    occur = ~np.isnan(per_class)
    number = occur.sum(-1)
    mean = np.full(number.shape, np.nan)
    return np.divide(per_class.sum(-1, where=occur), number, out=mean, where=number > 0)[()]


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Pixels of the images of one domain that one run was scored on; what is labelled void counts nowhere.

    Two runs that were scored on the same images have them in the same order: compare `names` before they are paired.
    """

    #: Names, without endings.
    names: tuple[str, ...]
    #: (N, 3, K), int64: of every image and class the pixels `hits`, `labelled` and `predicted`.
    counts: np.ndarray

    def miou(self, weights: np.ndarray | None = None) -> np.ndarray:
        """mIoU in 0..1 as if image i were there `weights[i]` times; once without weights. As `miou`."""
        return miou(self.counts, np.ones(len(self.names)) if weights is None else weights)


def pack(domains: Mapping[str, ImageCounts]) -> bytes:
    """The content of `images.npz`: of every domain `<domain>/names` (N,) and `<domain>/counts` (N, 3, K), uint32."""
    arrays: dict[str, Any] = {}
    for domain, images in domains.items():
        arrays[f"{domain}/names"] = np.array(images.names, np.str_)
        arrays[f"{domain}/counts"] = images.counts.astype(np.uint32)  # no image has 2**32 pixels
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def read(path: Path) -> dict[str, ImageCounts]:
    """The counts of every domain; nothing where there is no such file."""
    try:
        with np.load(path) as arrays:
            domains = [name.removesuffix("/names") for name in arrays.files if name.endswith("/names")]
            return {
                domain: ImageCounts(
                    tuple(arrays[f"{domain}/names"].tolist()), arrays[f"{domain}/counts"].astype(np.int64)
                )
                for domain in domains
            }
    except FileNotFoundError:
        return {}
