"""The bootstrap of images against a plain one, against known truths, and what it refuses."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from rein.reports.statistics import Difference
from rein.reports.statistics.over_images import MIN_IMAGES, draws_for, over_images
from tests.reports.statistics.made_up_images import miou, population

Scored = dict[str, np.ndarray]


def scored(**images: int) -> tuple[Scored, Scored]:
    """Two variants of two seeds on domains of so many images; the first is the better one."""
    first, second = {}, {}
    for seed, (domain, number) in enumerate(images.items()):
        counts = population(number, (0.35, 0.45, 0.0, 0.1), seed=seed)
        first[domain], second[domain] = counts[:2], counts[2:]
    return first, second


def plain(first: Scored, second: Scored, draws: int) -> np.ndarray:
    """Differences of the draws, by indices, one after another."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(draws):
        differences = []
        for domain in first:
            images = first[domain].shape[1]
            taken = generator.integers(0, images, images)
            differences += [miou(a[taken]) - miou(b[taken]) for a, b in zip(first[domain], second[domain], strict=True)]
        found.append(np.mean(differences))
    return np.array(found)


def test_the_difference_is_that_of_mious_over_domains_and_seeds() -> None:
    first, second = scored(day=40, night=20)
    known = [miou(a) - miou(b) for d in first for a, b in zip(first[d], second[d], strict=True)]
    found = over_images(first, second)
    assert found.value == pytest.approx(np.mean(known)) and found.n == 60
    assert over_images(second, first).value == pytest.approx(-found.value)


def test_the_interval_is_that_of_a_plain_bootstrap_a_little_wider() -> None:
    first, second = scored(day=80, night=60)
    found = over_images(first, second, draws=2000)
    draws = plain(first, second, 2000)
    narrow, wide = (np.quantile(draws, (tail, 1 - tail)) for tail in (0.025, 0.02))
    scale = draws.std()
    assert wide[0] - 0.1 * scale < found.low < narrow[0] + 0.1 * scale
    assert narrow[1] - 0.1 * scale < found.high < wide[1] + 0.1 * scale


def test_p_is_where_the_interval_touches_zero() -> None:
    """Over samples of two like variants: p under 0.05 and an interval clear of zero are the same."""
    everything = population(4000, (0.05, 0.0))
    generator = np.random.default_rng(0)
    ps = []
    for _ in range(150):
        taken = generator.integers(0, 4000, 40)
        found = over_images({"day": everything[:1, taken]}, {"day": everything[1:, taken]}, draws=400)
        assert found.p is not None and found.low is not None and found.high is not None
        if abs(found.p - 0.05) > 0.01:  # a few draws more or less
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
        ps.append(found.p)
    assert min(ps) < 0.05 and max(ps) > 0.5


def test_the_interval_covers_in_93_to_97_percent() -> None:
    """60 images; other numbers and tails take minutes and are in tests/benchmarks."""
    assert 0.93 < coverage(60, 1000, tail=2.0, draws=500) < 0.97


def coverage(images: int, samples: int, tail: float, draws: int = 1000) -> float:
    """The share of samples out of a large population whose interval holds the difference in all of it."""
    everything = population(50_000, (0.15, 0.0), tail)
    truth = miou(everything[0]) - miou(everything[1])
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(samples):
        taken = generator.integers(0, everything.shape[1], images)
        found = over_images({"day": everything[:1, taken]}, {"day": everything[1:, taken]}, draws)
        assert found.low is not None and found.high is not None
        covered.append(found.low <= truth <= found.high)
    return float(np.mean(covered))


def test_a_clear_difference_survives_the_correction_of_a_long_table() -> None:
    first, second = scored(day=60)
    second["day"][:, :, 0] //= 2
    p = over_images(first, second, draws=draws_for(40)).p
    assert p is not None and 40 * p < 0.05


def test_the_same_variant_differs_by_nothing() -> None:
    first, _ = scored(day=30)
    assert over_images(first, first) == Difference(0.0, 30, 0.0, 0.0, 1.0)


def test_what_is_hard_for_both_is_not_in_the_interval() -> None:
    """Other images would move both variants' mIoU together, by far more than the difference between them."""
    first, second = scored(day=60)
    found = over_images(first, second)
    nothing = {"day": first["day"] * np.array([0, 1, 1])[:, None]}
    alone = over_images(first, nothing)  # less an mIoU of 0: the first variant by itself
    assert alone.value == pytest.approx(np.mean([miou(one) for one in first["day"]]))
    assert found.high - found.low < 0.75 * (alone.high - alone.low)


def test_a_class_that_no_image_has_does_not_count() -> None:
    first, second = scored(day=30)
    wider = [{"day": np.pad(one["day"], ((0, 0), (0, 0), (0, 0), (0, 5)))} for one in (first, second)]
    found, known = over_images(*wider), over_images(first, second)
    assert (found.value, found.low, found.high) == pytest.approx((known.value, known.low, known.high))


def test_draws_in_blocks_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = scored(day=20, night=30)
    whole = over_images(first, second, draws=130)
    monkeypatch.setattr(import_module(over_images.__module__), "BLOCK", 37)
    assert over_images(first, second, draws=130).low == pytest.approx(whole.low)
    assert over_images(first, second, draws=130, seed=1).low != pytest.approx(whole.low)


def test_order_of_domains_means_nothing() -> None:
    first, second = scored(day=20, night=30)
    assert over_images(dict(reversed(first.items())), second) == over_images(first, second)


def test_too_few_images_are_not_tested() -> None:
    first, second = scored(day=200, night=MIN_IMAGES - 1)
    found = over_images(first, second)
    assert found.n == 200 + MIN_IMAGES - 1 and found.value != 0
    assert found.low is found.high is found.p is None
    assert over_images(*scored(night=MIN_IMAGES)).p is not None


def test_other_domains_are_refused() -> None:
    first, second = scored(day=20)
    with pytest.raises(ValueError, match=r"scored on \['day'\] and \['fog'\]"):
        over_images(first, {"fog": second["day"]})


def test_other_images_are_refused() -> None:
    first, second = scored(day=20)
    with pytest.raises(ValueError, match="images differ between variants or seeds"):
        over_images(first, {"day": np.roll(second["day"], 1, axis=1)})
    one_seed_astray = first["day"].copy()
    one_seed_astray[1] = np.roll(one_seed_astray[1], 1, axis=0)
    with pytest.raises(ValueError, match="images differ between variants or seeds"):
        over_images({"day": one_seed_astray}, {"day": one_seed_astray})


@pytest.mark.parametrize("part", [np.s_[:1], np.s_[:, :19], np.s_[:, :, :2], np.s_[:, :, :, :18], np.s_[0], np.s_[:0]])
def test_other_shapes_are_refused(part: tuple[slice, ...]) -> None:
    first, second = scored(day=20)
    with pytest.raises(ValueError, match="day: counts are of"):
        over_images(first, {"day": second["day"][part]})
