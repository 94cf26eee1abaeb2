"""How fast images are resampled, and how often intervals cover, over more samples than a test may take."""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest

from rein.reports.statistics import over_images, power
from tests.reports.statistics.made_up_curves import design
from tests.reports.statistics.test_over_images import coverage


@pytest.mark.benchmark
def test_2000_images_are_resampled_1000_times_in_seconds() -> None:
    """Four domains, three seeds, two variants; beside a megabyte or two of counts there is one block of weights."""
    generator = np.random.default_rng(0)
    labelled = generator.integers(0, 100_000, (1, 2000, 19))
    first, second = (
        np.stack([hits, labelled.repeat(3, 0), hits + generator.integers(0, 20_000, hits.shape)], 2)
        for hits in ((labelled * generator.uniform(0.5, 0.9, (3, 2000, 19))).astype(int) for _ in range(2))
    )
    domains = ("city", "rain", "night", "snow")
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    over_images(dict.fromkeys(domains, first), dict.fromkeys(domains, second))
    took, more = time.perf_counter() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"4 domains x 2,000 images x 3 seeds x 2 variants, 1,000 draws: {took:.1f} s, {more:.0f} MB more")
    assert took < 5
    assert more < 100


@pytest.mark.benchmark
@pytest.mark.parametrize("tail", [1.5, 2.5])
@pytest.mark.parametrize("images", [8, 20, 60, 500])
def test_the_interval_over_images_covers_in_93_to_97_percent(images: int, tail: float) -> None:
    share = coverage(images, 2000, tail)
    print(f"{images} images, tail {tail}: {100 * share:.1f} %")
    assert 0.93 < share < 0.97


@pytest.mark.benchmark
def test_power_is_known_within_a_tenth_of_a_second() -> None:
    x = design(12, 5)
    power(x, 0.5)
    began = time.perf_counter()
    power(x, 0.5)
    assert time.perf_counter() - began < 0.1
