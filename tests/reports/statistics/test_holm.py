"""Holm's correction against a known example and against its step-down procedure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.reports.statistics import holm

PS = st.lists(st.floats(0, 1), max_size=12)


def test_a_known_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_what_was_not_tested_does_not_count() -> None:
    assert holm([0.02, math.nan, 0.03]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)
    assert holm([]).size == 0 and np.isnan(holm([math.nan])).all()


@given(PS, st.floats(0.001, 0.5))
def test_it_rejects_what_the_step_down_procedure_rejects(ps: list[float], level: float) -> None:
    rejected = set()
    for step, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if ps[index] * (len(ps) - step) > level:
            break
        rejected.add(index)
    corrected = holm(ps)
    assert {index for index, p in enumerate(corrected) if p <= level} == rejected


@given(PS)
def test_it_lies_between_no_correction_and_bonferroni_and_keeps_the_order(ps: list[float]) -> None:
    raw, corrected = np.array(ps), holm(ps)
    assert (corrected >= raw).all() and (corrected <= np.minimum(raw * max(len(raw), 1), 1)).all()
    assert (np.diff(corrected[raw.argsort()]) >= 0).all()


@given(st.permutations([0.001, 0.01, 0.02, 0.02, 0.5]))
def test_order_of_comparisons_means_nothing(ps: list[float]) -> None:
    assert sorted(zip(ps, holm(ps), strict=True)) == sorted(
        zip([0.001, 0.01, 0.02, 0.02, 0.5], [0.005, 0.04, 0.06, 0.06, 0.5], strict=True)
    )
