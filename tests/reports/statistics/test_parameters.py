"""Parameter counts on an axis and in words."""

from __future__ import annotations

import pytest

from rein.reports.statistics import count, log_parameters


def test_no_parameters_lie_one_decade_below_the_fewest() -> None:
    assert log_parameters([0, 1e5, 1e6]).tolist() == pytest.approx([4, 5, 6])
    assert log_parameters([0, 0]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (684_032, "684 k"), (786_432, "786 k"), (999_600, "1.00 M"), (2_990_080, "2.99 M"),
     (52_838_400, "52.8 M"), (304_200_000, "304 M"), (1_100_000_000, "1.10 G")],
)  # fmt: skip
def test_counts_have_three_digits(number: int, text: str) -> None:
    assert count(number) == text
