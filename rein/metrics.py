"""IoU from confusion matrices over all of a domain's images, in int64."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from rein import image_counts
from rein.data.classes import VOID


def confusion(prediction: Int64[Tensor, "h w"], label: Int64[Tensor, "h w"], classes: int) -> Int64[Tensor, "k k"]:
    """Confusion matrix: rows the label's class, columns the prediction's; void pixels are left out."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    return multiclass_confusion_matrix(prediction, label, classes, ignore_index=VOID, validate_args=False)


def iou(matrix: np.ndarray | Tensor) -> np.ndarray:
    """IoU per class in 0..1; nan where a class is in neither label nor prediction, 0 where it is in one alone."""
    counts = np.asarray(matrix, np.float64)
    return image_counts.iou(np.diag(counts), counts.sum(1), counts.sum(0))


def margins(matrix: Int64[Tensor, "k k"]) -> Int64[Tensor, "3 k"]:
    """What IoU needs of a confusion matrix: of every class the pixels hit, labelled and predicted."""
    return torch.stack([matrix.diagonal(), matrix.sum(1), matrix.sum(0)])


def miou(matrix: np.ndarray | Tensor) -> float:
    """The mean IoU over the classes that occur; nan where none does."""
    present = iou(matrix)
    present = present[~np.isnan(present)]
    return float(present.mean()) if len(present) else float("nan")


def zeros(classes: int) -> Tensor:
    """An empty confusion matrix."""
    return torch.zeros(classes, classes, dtype=torch.int64)
