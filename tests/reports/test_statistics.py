"""The inverted-U test against simulated truths, and the numbers behind its sentence."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rein.reports import statistics
from rein.reports.statistics import InvertedU, count, inverted_u, log_parameters, summarise, verdict

NOISE, POINTS, SEEDS = 0.4, 8, 3


def claims(truth: Callable[[np.ndarray], np.ndarray], draws: int, seeds: int = SEEDS) -> float:
    """The share of simulated sweeps in which a rise and fall is claimed; x runs over two decades."""
    generator = np.random.default_rng(0)
    x = np.repeat(np.linspace(5, 7, POINTS), seeds)
    return float(np.mean([claimed(x, truth(x) + generator.normal(0, NOISE, len(x))) for _ in range(draws)]))


def claimed(x: np.ndarray, y: np.ndarray) -> bool:
    """As `inverted_u(x, y).claimed`, without the bootstrap, which takes no part in the claim."""
    lines = statistics.two_lines(x, y, statistics.robin_hood_break(x, y))
    return InvertedU(POINTS, len(x), SEEDS, 0.0, *lines).claimed


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(lambda x: 60 + 6 * (1 - np.exp(-3 * (x - 5))), id="saturating"),
        pytest.param(lambda x: 60 + 3 * (x - 5), id="rising"),
        pytest.param(lambda x: 60 + 0 * x, id="flat"),
    ],
)
def test_a_truth_without_a_fall_is_rarely_claimed(truth: Callable[[np.ndarray], np.ndarray]) -> None:
    assert claims(truth, 400) <= 0.06


def test_a_drop_of_two_points_is_mostly_claimed() -> None:
    assert claims(lambda x: 66 - 6 * np.maximum(6 - x, 0) - 2 * np.maximum(x - 6, 0), 100) >= 0.9


def test_a_quadratic_would_have_claimed_the_saturating_truth() -> None:
    """Why the vertex alone is no evidence: it lies inside the range of a curve that only saturates."""
    x = np.repeat(np.linspace(5, 7, POINTS), SEEDS)
    y = 60 + 6 * (1 - np.exp(-3 * (x - 5))) + np.random.default_rng(1).normal(0, NOISE, len(x))
    found = inverted_u(x, y)
    assert not found.claimed
    assert found.peak is not None and 5 < found.peak.vertex < 7


def test_lines_are_least_squares_with_hc3_errors() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=20), generator.normal(size=20)
    design = np.stack([np.ones(20), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ y
    leverage = np.diag(design @ inverse @ design.T)
    weights = ((y - design @ coefficients) / (1 - leverage)) ** 2
    error = math.sqrt((inverse @ (design.T * weights) @ design @ inverse)[1, 1])
    above = [9, 10, 11]  # the line above the break has runs of its own
    line, _ = statistics.two_lines(np.append(x, above), np.append(y, above), 5.0)
    assert line.slope == pytest.approx(coefficients[1])
    assert line.z == pytest.approx(coefficients[1] / error)
    assert line.p == pytest.approx(2 * stats.t.sf(abs(line.z), 18))


def test_peak_of_a_clear_quadratic() -> None:
    x = np.repeat(np.linspace(5, 7, POINTS), 5)
    y = 60 - 4 * (x - 6.2) ** 2 + np.random.default_rng(0).normal(0, 0.1, len(x))
    found = inverted_u(x, y)
    assert found.claimed
    assert found.peak is not None
    assert found.peak.low < 6.2 < found.peak.high
    assert found.peak.high - found.peak.low < 0.2
    said = verdict(found, "average target mIoU")
    assert "rises and then falls" in said.claim
    assert "40 runs at 8 parameter counts" in said.evidence and "1.5" in said.evidence


def test_the_sentence_can_come_out_negative() -> None:
    x = np.repeat([5.0, 5.5, 6.0, 6.5], 3)
    said = verdict(inverted_u(x, x + np.tile([0.0, 0.1, 0.2], 4)), "average target mIoU")
    assert "no evidence" in said.claim
    assert "p < 0.05" in said.evidence and "slope +1.00" in said.evidence


@pytest.mark.parametrize("x", [[], [5.0] * 9, [5.0, 6.0, 7.0] * 5, [5.0, 6.0, 7.0, 8.0] * 2])
def test_too_little_data_is_said_and_not_tested(x: list[float]) -> None:
    found = inverted_u(x, [float(i) for i in range(len(x))])
    assert found.below is None and not found.claimed
    said = verdict(found, "average target mIoU")
    assert "too little data" in said.claim and f"at {found.points} parameter counts" in said.evidence


def test_runs_without_spread_are_no_error() -> None:
    x = np.repeat([5.0, 6.0, 7.0, 8.0], 3)
    assert inverted_u(x, -abs(x - 6.5)).claimed
    assert not inverted_u(x, 0 * x).claimed


def test_no_parameters_lie_one_decade_below_the_fewest() -> None:
    assert log_parameters([0, 1e5, 1e6]).tolist() == pytest.approx([4, 5, 6])
    assert log_parameters([0, 0]).tolist() == [0, 0]


def test_summarise_gives_sample_deviation_and_leaves_nan_out() -> None:
    frame = pd.DataFrame({"point": ["b", "b", "a", "a"], "value": [1.0, 3.0, 5.0, math.nan]})
    summary = summarise(frame, ["point"])
    assert summary["point"].tolist() == ["b", "a"]
    assert summary["mean"].tolist() == [2.0, 5.0]
    assert summary["sd"][0] == pytest.approx(math.sqrt(2)) and math.isnan(summary["sd"][1])
    assert summary["n"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (684_032, "684 k"), (786_432, "786 k"), (999_600, "1.00 M"), (2_990_080, "2.99 M"),
     (52_838_400, "52.8 M"), (304_200_000, "304 M"), (1_100_000_000, "1.10 G")],
)  # fmt: skip
def test_counts_have_three_digits(number: int, text: str) -> None:
    assert count(number) == text
