"""Scores in short: a number a domain, the means that runs are sorted and chosen by."""

from __future__ import annotations

import math

from rein.ledger.scored import in_short


def test_targets_and_sources_have_means_of_their_own() -> None:
    found = in_short([("kitti", "target", 0.25), ("acdc", "target", 0.75), ("gta", "source", 0.5)])
    assert found == {"kitti/miou": 0.25, "acdc/miou": 0.75, "gta/miou": 0.5, "targets/miou": 0.5, "source_val": 0.5}


def test_a_domain_without_labelled_pixels_is_in_no_mean() -> None:
    assert in_short([("kitti", "target", 0.25), ("acdc", "target", math.nan)]) == {
        "kitti/miou": 0.25,
        "targets/miou": 0.25,
    }
    assert in_short([("gta", "source", math.nan)]) == {}
