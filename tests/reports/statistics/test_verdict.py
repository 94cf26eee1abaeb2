"""The sentence: its three outcomes, the place, and the power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rein.reports.statistics import InvertedU, Peak, count, inverted_u, probability, verdict
from tests.reports.statistics.made_up_curves import SATURATING, design, sweeps

OF = "average target mIoU"


@pytest.fixture(scope="module")
def claimed() -> InvertedU:
    x = design(8, 5)
    return inverted_u(x, sweeps(lambda x: 60 - 4 * (x - 6.2) ** 2, x, 0.1, 1)[:, 0])


def test_a_rise_and_fall_is_claimed_with_its_place(claimed: InvertedU) -> None:
    said = verdict(claimed, OF)
    assert said.claim == "With more trainable parameters average target mIoU rises and then falls."
    assert "40 runs at 8 parameter counts, 5 or more at each" in said.evidence
    assert claimed.peak is not None
    at, low, high = (count(10**place) for place in (claimed.peak.vertex, claimed.peak.low, claimed.peak.high))
    assert f"lies at {at} (95 % interval after Fieller: {low} to {high};" in said.evidence
    assert "claimed in over 99 % of sweeps" in said.evidence


def test_no_evidence_of_a_decline() -> None:
    x = np.repeat([5.0, 5.5, 6.0, 6.5], 3)
    said = verdict(inverted_u(x, x + np.tile([0.0, 0.1, 0.2], 4)), OF)
    assert said.claim == (
        "There is no evidence of a decline in average target mIoU after a rise with the trainable parameters."
    )
    assert "slope +1.00 points per tenfold" in said.evidence
    assert "each p < 0.025" in said.evidence and "does not show that there is none" in said.evidence
    assert "vertex" not in said.evidence


def test_a_fall_without_a_rise_is_called_one() -> None:
    x = np.repeat([5.0, 5.5, 6.0, 6.5], 3)
    said = verdict(inverted_u(x, np.tile([0.0, 0.1, 0.2], 4) - 3 * np.maximum(x - 5.5, 0)), OF)
    assert said.claim.startswith("With more trainable parameters average target mIoU falls in the end; there is no ")
    assert "A claim asks for a significant rise" in said.evidence


def test_the_power_at_hand_is_said() -> None:
    x = design(9, 5)
    found = inverted_u(x, sweeps(SATURATING["logarithmic"], x, 1.0, 1)[:, 0])
    assert 0.5 < found.power < 0.99
    assert (
        f"With 9 points, 5 seeds and this spread (sd {found.spread:.2f} points between the seeds of a point) a fall of "
        f"2 points from a peak at the middle count would be claimed in {100 * found.power:.0f} % of sweeps."
    ) in verdict(found, OF).evidence
    assert "9 points, 5 seeds or more and" in verdict(replace(found, runs=46), OF).evidence
    assert "claimed in under 1 % of" in verdict(replace(found, power=0.001), OF).evidence


def test_too_little_data() -> None:
    said = verdict(inverted_u([5.0, 6.0, 7.0, 8.0] * 2, np.arange(8.0)), OF)
    assert said.claim.startswith("There is too little data")
    assert "at 4 parameter counts" in said.evidence and "fewest has 2" in said.evidence


def test_a_place_that_the_data_do_not_fix(claimed: InvertedU) -> None:
    said = verdict(replace(claimed, peak=None), OF).evidence
    assert "do not fix where the peak lies" in said and "vertex" not in said


def test_an_interval_beyond_what_was_run_names_no_count_there(claimed: InvertedU) -> None:
    said = verdict(replace(claimed, peak=Peak(6.0, -300.0, 400.0)), OF).evidence
    assert "lies at 1.00 M (95 % interval after Fieller: below the smallest count to above the largest count;" in said


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.0132, "= 0.013"), (0.345, "= 0.34")])
def test_probabilities(p: float, text: str) -> None:
    assert probability(p) == text
