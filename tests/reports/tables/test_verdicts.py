"""The tests of several panels as rows: the same numbers as in the sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rein.reports.grid import MISSING
from rein.reports.statistics import InvertedU, Peak, count, inverted_u, probability
from rein.reports.tables.verdicts import FEW, verdicts
from tests.reports.statistics.made_up_curves import design, sweeps

OF = "average target mIoU"


@pytest.fixture(scope="module")
def claimed() -> InvertedU:
    x = design(8, 5)
    return inverted_u(x, sweeps(lambda x: 60 - 4 * (x - 6.2) ** 2, x, 0.1, 1)[:, 0])


@pytest.fixture(scope="module")
def rising() -> InvertedU:
    x = np.repeat([5.0, 5.5, 6.0, 6.5], 3)
    return inverted_u(x, x + np.tile([0.0, 0.1, 0.2], 4))


def test_a_row_has_the_numbers_of_the_test(claimed: InvertedU, rising: InvertedU) -> None:
    made = verdicts("t", OF, {"A": claimed, "B": rising}, "A caveat.")
    one, two = ([cell.text for cell in row] for row in made.rows)
    assert claimed.below and claimed.above and claimed.peak and claimed.break_at
    assert one[1] == count(10**claimed.break_at)
    assert one[2] == f"yes (+{claimed.below.slope:.2f}, p {probability(claimed.below.p)})"
    assert one[3] == f"yes (−{-claimed.above.slope:.2f}, p {probability(claimed.above.p)})"
    low, high = count(10**claimed.peak.low), count(10**claimed.peak.high)
    assert one[4:6] == ["yes", f"{count(10**claimed.peak.vertex)} ({low} to {high})"]
    assert one[6:] == ["8 × 5", f"{claimed.spread:.2f}", "over 99 %"]
    assert two[2].startswith("yes (+1.00") and two[3].startswith("no (") and two[4:6] == ["no", MISSING]
    assert "Claimed in 1 of 2 panels. A caveat." in made.caption
    assert made.values["below slope"].tolist() == [claimed.below.slope, rising.below and rising.below.slope]


def test_what_was_not_tested_is_not_refused(rising: InvertedU) -> None:
    made = verdicts("t", OF, {"A": rising, "B": inverted_u([5.0, 6.0, 7.0, 8.0] * 2, np.arange(8.0))})
    assert [cell.text for cell in made.rows[1]] == [
        "B", MISSING, MISSING, MISSING, FEW, MISSING, "4 × 2", MISSING, MISSING
    ]  # fmt: skip
    assert "Claimed in 0 of 2 panels, 1 of which were tested." in made.caption
    assert "4 parameter counts with 3 seeds each" in made.full_caption and "vertex" not in made.full_caption
    assert made.values["claimed"].tolist() == [False, None]


def test_a_place_outside_of_the_data_is_no_count(claimed: InvertedU) -> None:
    beyond = replace(claimed, peak=Peak(6.0, -300.0, 400.0))
    made = verdicts("t", OF, {"A": beyond, "B": replace(claimed, peak=None)})
    assert made.rows[0][5].text == "1.00 M (below the smallest count to above the largest count)"
    assert made.rows[1][5].text == "not fixed by the data"
