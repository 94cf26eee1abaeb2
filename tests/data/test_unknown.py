"""Unknown label values in words: true for a few, short for a million."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rein.config import Data
from rein.data.domain import Sample
from rein.data.label_tables import TABLES
from rein.data.remarks import unknown_ids
from rein.data.unknown import NAMED, Unknown
from rein.data.whole import whole_label


@given(st.dictionaries(st.integers(0, 65535), st.integers(1, 10**6), min_size=1, max_size=40))
def test_the_commonest_are_named_and_all_are_counted(counts: dict[int, int]) -> None:
    unknown = Unknown.of(counts, coloured=False)
    assert (unknown.pixels, unknown.values) == (sum(counts.values()), len(counts)) and unknown
    assert [*unknown.commonest.values()] == sorted(counts.values(), reverse=True)[:NAMED]
    assert all(counts[int(value)] == pixels for value, pixels in unknown.commonest.items())


@pytest.mark.parametrize(
    ("counts", "coloured", "words"),
    [
        ({7: 1}, False, "label id 7 (1 pixel) is not in the domain's table"),
        ({7: 1, 99: 2000}, False, "label ids 99 (2,000 pixels), 7 (1 pixel) are not in the domain's table"),
        ({0x804081: 2}, True, "colour #804081 (2 pixels) is not in the domain's table"),
    ],
)
def test_it_says_what_they_are(counts: dict[int, int], coloured: bool, words: str) -> None:
    assert str(Unknown.of(counts, coloured)) == words


def test_of_many_it_says_how_many_more() -> None:
    assert " and 1,992 more are not" in str(Unknown.of(dict.fromkeys(range(2000), 1), coloured=True))


def test_without_any_there_is_nothing_to_remark_on() -> None:
    assert not Unknown.of({}, coloured=False) and unknown_ids(Path("a.png"), Unknown()) == ()


def test_a_smoothly_resized_label_makes_a_short_remark(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "label.png")
    sample = Sample(tmp_path / "label.png", tmp_path / "label.png", TABLES["label_colours"])
    _, unknown = whole_label(sample, Data(unknown_ids="void"))
    assert unknown.values > 10_000
    (remark,) = unknown_ids(sample.label, unknown)
    assert len(json.dumps(asdict(unknown))) < 300 and len(remark.text) < 400 + len(str(tmp_path))
    assert remark.text.count("#") == NAMED
