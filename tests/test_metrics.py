"""Confusion matrices and IoU against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rein import metrics
from rein.data.classes import CLASSES, VOID

K = len(CLASSES)
Matrix = npst.arrays(np.int64, (K, K), elements=st.integers(0, 3))


def loop_iou(prediction: np.ndarray, label: np.ndarray) -> list[float]:
    """IoU per class pixel by pixel, nan where the class is nowhere."""
    values = []
    for c in range(K):
        pairs = [(p == c, t == c) for p, t in zip(prediction.flat, label.flat, strict=True) if t != VOID]
        union = sum(p or t for p, t in pairs)
        values.append(sum(p and t for p, t in pairs) / union if union else math.nan)
    return values


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_iou_equals_a_loop_over_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, rng.integers(1, K + 1), (7, 9))
    label = rng.choice([*range(rng.integers(1, K + 1)), VOID], (7, 9))
    matrix = metrics.confusion(torch.from_numpy(prediction), torch.from_numpy(label), K)
    np.testing.assert_allclose(metrics.iou(matrix), loop_iou(prediction, label), rtol=1e-12)


def test_rows_are_labels_and_columns_predictions() -> None:
    matrix = metrics.confusion(torch.tensor([[1, 1, 0]]), torch.tensor([[2, 1, VOID]]), K)
    expected = torch.zeros(K, K, dtype=torch.int64)
    expected[2, 1] = expected[1, 1] = 1
    assert matrix.dtype == torch.int64
    assert torch.equal(matrix, expected)


def test_margins_are_hits_labelled_and_predicted_pixels() -> None:
    matrix = metrics.confusion(torch.tensor([[1, 1, 0]]), torch.tensor([[2, 1, VOID]]), K)
    hits, labelled, predicted = metrics.margins(matrix)
    assert [row.nonzero().flatten().tolist() for row in (hits, labelled)] == [[1], [1, 2]]
    assert predicted.tolist() == [0, 2, *[0] * (K - 2)]


def test_what_is_predicted_on_void_counts_nowhere() -> None:
    label = torch.full((4, 4), VOID)
    assert metrics.confusion(torch.randint(0, K, (4, 4)), label, K).sum() == 0


def test_an_absent_class_is_nan_and_a_class_only_predicted_is_zero() -> None:
    matrix = metrics.zeros(19)
    matrix[0, 0], matrix[0, 5] = 3, 1
    values = metrics.iou(matrix)
    assert values[0] == 0.75 and values[5] == 0
    assert np.isnan(np.delete(values, [0, 5])).all()
    assert metrics.miou(matrix) == pytest.approx(0.375)


def test_miou_of_nothing_is_nan() -> None:
    assert math.isnan(metrics.miou(metrics.zeros(19)))


@given(Matrix)
def test_miou_is_the_mean_over_classes_that_occur(matrix: np.ndarray) -> None:
    present = [v for v in metrics.iou(matrix) if not math.isnan(v)]
    assert all(0 <= v <= 1 for v in present)
    if present:
        assert metrics.miou(matrix) == pytest.approx(sum(present) / len(present))


@given(Matrix, st.permutations(range(K)))
def test_miou_does_not_depend_on_the_classes_order(matrix: np.ndarray, order: list[int]) -> None:
    assert metrics.miou(matrix[np.ix_(order, order)]) == pytest.approx(metrics.miou(matrix), nan_ok=True)


def test_counts_beyond_float32_are_exact() -> None:
    matrix = metrics.zeros(19)
    matrix[0, 0], matrix[0, 1] = 2**40, 1
    assert metrics.iou(matrix)[0] == 2**40 / (2**40 + 1)
    assert metrics.iou(matrix)[0] != 1
