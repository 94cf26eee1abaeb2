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


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Pixels of the images of one domain that one run was scored on; what is labelled void counts nowhere.

    Two runs that were scored on the same images have them in the same order: compare `names` before they are paired.
    """

    #: Names, without endings.
    names: tuple[str, ...]
    #: (N, 3, K), int64: of every image and class the pixels `hits`, `labelled` and `predicted`.
    counts: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(N, K): pixels of a class that were predicted as that."""
        return self.counts[:, 0]

    @property
    def labelled(self) -> np.ndarray:
        """(N, K): pixels of a class."""
        return self.counts[:, 1]

    @property
    def predicted(self) -> np.ndarray:
        """(N, K): pixels that were predicted as a class."""
        return self.counts[:, 2]

    def iou(self, weights: np.ndarray | None = None) -> np.ndarray:
        """IoU per class in 0..1, (K,), as if image i were there `weights[i]` times; once without weights.

        Weights (N, B) give (K, B): B draws at once. A class that has no pixels in a draw is nan.
        """
        weights = np.ones(len(self.names)) if weights is None else np.asarray(weights, np.float64)
        return iou(*np.tensordot(self.counts.astype(np.float64), weights, (0, 0)))  # (3, K) or (3, K, B)

    def miou(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The mean of `iou` over the classes that occur: a number, or (B,) of weights (N, B); nan where none does."""
        each = self.iou(weights)
        occur = ~np.isnan(each)
        number = occur.sum(0)
        return np.divide(each.sum(0, where=occur), number, out=np.full(each.shape[1:], np.nan), where=number > 0)[()]


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
