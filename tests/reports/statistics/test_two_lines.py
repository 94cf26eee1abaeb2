"""The two-lines test against simulated truths, and its parts against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rein.reports.statistics import log_parameters
from rein.reports.statistics.two_lines import flat_top, line, spread, two_lines
from tests.reports.statistics.made_up_curves import FALLING, SATURATING, along, design, sweeps


def test_500_saturating_curves_are_claimed_in_under_5_percent() -> None:
    """Every sweep has a shape, a bend, a height and a noise of its own."""
    generator = np.random.default_rng(0)
    x = design(9, 5)
    share = along(x)[:, None]
    bend, height, noise = (generator.uniform(*ends, 500) for ends in ((0.05, 0.5), (1, 8), (0.3, 1.0)))
    shapes = [
        np.log1p(share / bend**2) / np.log1p(1 / bend**2),
        1 - np.exp(-share / bend),
        share**4 / (share**4 + bend**4),
        np.minimum(share / bend, 1),
    ]
    shape = np.choose(np.arange(500) % 4, shapes)
    tested = two_lines(x, 60 + height * shape + noise * generator.normal(size=(len(x), 500)))
    assert tested.claimed.mean() < 0.05


@pytest.mark.parametrize("noise", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("shape", SATURATING)
@pytest.mark.parametrize(("points", "seeds"), [(5, 3), (8, 3), (9, 5)])
def test_no_truth_without_a_fall_is_claimed_in_5_percent(points: int, seeds: int, shape: str, noise: float) -> None:
    x = design(points, seeds)
    assert two_lines(x, sweeps(SATURATING[shape], x, noise, 5000)).claimed.mean() < 0.05


#: Trainable parameters of the points of sweeps/paper_trainable.yaml with DINOv2-L.
TRAINABLE = [0, 98_304, 271_360, 2_990_081, 4_284_929, 5_016_065, 50_393_088, 52_838_401, 304_196_608]


@pytest.mark.parametrize(
    ("offset", "flat", "saturating"), [(0, (0, 0.01), (0.01, 0.05)), (1, (0.02, 0.05), (0.11, 0.19)),
                                       (2, (0.08, 0.12), (0.195, 0.305))]
)  # fmt: skip
def test_offsets_of_unlike_variants_pass_for_a_trend(
    offset: float, flat: tuple[float, float], saturating: tuple[float, float]
) -> None:
    """What the caveat of a claim over unlike methods says of it; offsets are in units of the noise between seeds."""
    places = log_parameters(TRAINABLE)
    s = (places - places[0]) / (places[-1] - places[0])

    def claimed(truth: np.ndarray, noise: float) -> float:
        generator = np.random.default_rng(0)
        points = truth[:, None] + generator.normal(0, offset * noise, (9, 5000))
        runs = points.repeat(3, 0) + generator.normal(0, noise, (27, 5000))
        return float(two_lines(places.repeat(3), runs).claimed.mean())

    assert flat[0] <= claimed(0 * s, 1) < flat[1]
    shares = [claimed(h * (1 - np.exp(-b * s)), noise) for h in (3, 6) for b in (6, 20) for noise in (0.5, 1.0)]
    assert saturating[0] < min(shares) and max(shares) < saturating[1]


@pytest.mark.parametrize("shape", FALLING)
def test_500_falls_of_two_points_are_claimed_in_over_95_percent(shape: str) -> None:
    """9 parameter counts, 5 seeds, and a noise between seeds of up to 0.6 points."""
    x = design(9, 5)
    for noise in (0.3, 0.6):
        assert two_lines(x, sweeps(FALLING[shape], x, noise, 500)).claimed.mean() > 0.95


def test_a_fall_without_a_rise_is_no_inverted_u() -> None:
    x = design(9, 5)
    assert not two_lines(x, sweeps(lambda x: 60 - 3 * x, x, 0.3, 500)).claimed.any()


def test_many_sweeps_at_once_are_each_by_itself() -> None:
    x = np.repeat([5.0, 5.3, 6.0, 6.2, 7.0], [3, 5, 4, 3, 6])
    y = sweeps(FALLING["tent"], x, 1.0, 50)
    together = two_lines(x, y)
    for sweep in range(50):
        alone = two_lines(x, y[:, [sweep]])
        assert alone.break_at[0] == together.break_at[sweep]
        for side in ("below", "above"):
            for number in ("slope", "z", "p"):
                one, all_of_them = (getattr(getattr(found, side), number) for found in (alone, together))
                assert one[0] == pytest.approx(all_of_them[sweep], rel=1e-6)


def test_order_of_runs_means_nothing() -> None:
    x = design(6, 3)
    y = sweeps(FALLING["tent"], x, 0.5, 20)
    order = np.random.default_rng(1).permutation(len(x))
    found, shuffled = two_lines(x, y), two_lines(x[order], y[order])
    assert found.break_at.tolist() == shuffled.break_at.tolist()
    assert found.above.p == pytest.approx(shuffled.above.p)


def test_lines_are_least_squares_with_hc3_errors() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=20), generator.normal(size=20)
    design = np.stack([np.ones(20), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ y
    leverage = np.diag(design @ inverse @ design.T)
    weights = ((y - design @ coefficients) / (1 - leverage)) ** 2
    error = math.sqrt((inverse @ (design.T * weights) @ design @ inverse)[1, 1])
    found = line(x, y[:, None])
    assert found.slope[0] == pytest.approx(coefficients[1])
    assert found.z[0] == pytest.approx(coefficients[1] / error)
    assert found.p[0] == pytest.approx(2 * stats.t.sf(abs(found.z[0]), 18))


def test_spread_is_pooled_over_points() -> None:
    x, y = np.array([5.0, 5, 6, 6, 6]), np.array([1.0, 3, 0, 0, 3])
    assert spread(x, y[:, None])[0] == pytest.approx(math.sqrt((2 + 6) / 3))


def test_the_flat_top_is_the_neighbours_within_one_standard_error() -> None:
    """Seeds lie 0.3 around each mean, so that one standard error of a mean of three is 0.17."""
    x = np.repeat(np.arange(8.0), 3)
    means = np.array([9.9, 9.9, 5, 9.9, 10, 9.8, 9.95, 9.9])  # ends and what lies beyond a valley do not count
    y = means[x.astype(int)] + np.tile([-0.3, 0, 0.3], 8)
    first, last = flat_top(x, y[:, None])
    assert (first[0], last[0]) == (2, 3)  # of the inner places: x = 3 and 4


def test_the_break_moves_towards_the_stronger_line() -> None:
    x = np.repeat(np.arange(9.0), 3)
    seeds = np.tile([-0.3, 0, 0.3], 9)
    weak_fall = np.array([0, 3, 6, 9, 9.01, 9, 9, 8.9, 8.6])
    weak_rise = weak_fall[::-1]
    early, late = (
        two_lines(x, (truth[x.astype(int)] + seeds)[:, None]).break_at[0] for truth in (weak_fall, weak_rise)
    )
    assert early < 4.5 < late + 1
    assert early == 8 - late


def test_runs_without_spread_are_no_error() -> None:
    x = design(4, 3)
    assert two_lines(x, -abs(x - 6.2)[:, None]).claimed.all()
    assert not two_lines(x, 0 * x[:, None]).claimed.any()
