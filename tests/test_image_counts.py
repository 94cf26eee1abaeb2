"""Scores of weighted images against the score of the confusion matrix they add up to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rein import metrics, results
from rein.image_counts import ImageCounts, pack

#: Sparse, so that classes are missing from images, and from all of them.
Matrices = st.tuples(st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: npst.arrays(np.int64, (*shape, shape[1]), elements=st.sampled_from([0, 0, 0, 1, 5, 2**31 - 1]))
)


def counts(matrices: np.ndarray) -> ImageCounts:
    """Of the confusion matrices (N, K, K) of some images."""
    margins = [np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(2), matrices.sum(1)]
    return ImageCounts(tuple(f"{i:03}" for i in range(len(matrices))), np.stack(margins, 1))


@given(Matrices, st.data())
def test_weighted_images_score_as_their_summed_matrices(matrices: np.ndarray, data: st.DataObject) -> None:
    draws = data.draw(npst.arrays(np.int64, (len(matrices), 3), elements=st.integers(0, 3)))
    images = counts(matrices)
    summed = [np.tensordot(draw, matrices, 1) for draw in draws.T]
    expected = [metrics.miou(matrix) for matrix in summed]
    assert images.miou(draws).tolist() == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert [images.miou(draw) for draw in draws.T] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert images.miou() == pytest.approx(metrics.miou(matrices.sum(0)), rel=1e-12, nan_ok=True)


def test_what_is_packed_is_read_again(tmp_path: Path) -> None:
    images = counts(np.arange(2 * 3 * 3).reshape(2, 3, 3) * 80_000_000)
    other = ImageCounts(("straße 1",), images.counts[:1])
    (tmp_path / "images.npz").write_bytes(pack({"toy-day": images, "a.b": other}))
    found = results.images(tmp_path)
    assert list(found) == ["toy-day", "a.b"]
    for name, expected in {"toy-day": images, "a.b": other}.items():
        assert found[name].names == expected.names and found[name].counts.dtype == np.int64
        np.testing.assert_array_equal(found[name].counts, expected.counts)
    np.testing.assert_array_equal(found["toy-day"].counts[:, 0], [[0, 3.2e8, 6.4e8], [7.2e8, 10.4e8, 13.6e8]])


def test_a_run_of_before_has_no_images(tmp_path: Path) -> None:
    assert results.images(tmp_path) == {}
