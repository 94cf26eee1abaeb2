"""When a difference earns its star."""

from __future__ import annotations

import pytest

from rein.reports.statistics import Comparison, Difference, corrected

SURE = Difference(2.0, 5, 1.5, 2.5, 0.001)
CLEAR, UNCLEAR = Difference(2.0, 500, 1.0, 3.0, 0.002), Difference(2.0, 60, -1.0, 5.0, 0.2)


def test_a_sure_difference_has_its_star() -> None:
    (one,) = corrected([Comparison(SURE, CLEAR)])
    assert one.significant and one.difference == 2.0 and one.p == 0.001


def test_no_star_before_the_table_is_known() -> None:
    assert not Comparison(SURE, CLEAR).significant


@pytest.mark.parametrize("images", [None, CLEAR])
def test_too_few_seeds_have_a_number_and_no_star(images: Difference | None) -> None:
    (one,) = corrected([Comparison(Difference(2.0, 2), images)])
    assert one.difference == 2.0 and one.p is None and not one.significant


def test_images_that_do_not_agree_take_the_star() -> None:
    assert [one.significant for one in corrected([Comparison(SURE), Comparison(SURE, UNCLEAR)])] == [True, False]
    other_way = Difference(-2.0, 500, -3.0, -1.0, 0.002)
    assert not corrected([Comparison(SURE, other_way)])[0].significant


def test_images_too_few_to_be_tested_give_no_star() -> None:
    assert not corrected([Comparison(SURE, Difference(2.0, 5))])[0].significant


def test_many_comparisons_ask_for_more() -> None:
    doubtful = Difference(1.0, 5, 0.1, 1.9, 0.03)
    assert corrected([Comparison(doubtful)])[0].significant
    table = corrected([Comparison(doubtful), Comparison(SURE), Comparison(doubtful)])
    assert [one.significant for one in table] == [False, True, False]
    assert [one.p for one in table] == pytest.approx([0.06, 0.003, 0.06])


def test_what_was_not_tested_costs_the_others_nothing() -> None:
    table = corrected([Comparison(Difference(1.0, 2)), Comparison(Difference(1.0, 5, 0.1, 1.9, 0.03))])
    assert [one.p for one in table] == [None, 0.03]


def test_images_are_corrected_for_the_number_of_comparisons_too() -> None:
    doubtful = Difference(2.0, 500, 0.1, 3.9, 0.03)
    assert corrected([Comparison(SURE, doubtful)])[0].significant
    table = corrected([Comparison(SURE, doubtful), Comparison(SURE, UNCLEAR), Comparison(SURE)])
    assert [one.p_images for one in table] == [pytest.approx(0.06), 0.2, None]
    assert [one.significant for one in table] == [False, False, True]
