"""Mean, spread and n."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from rein.reports.statistics import summarise


def test_summarise_gives_sample_deviation_and_leaves_nan_out() -> None:
    frame = pd.DataFrame({"point": ["b", "b", "a", "a"], "value": [1.0, 3.0, 5.0, math.nan]})
    summary = summarise(frame, ["point"])
    assert summary["point"].tolist() == ["b", "a"]
    assert summary["mean"].tolist() == [2.0, 5.0]
    assert summary["sd"][0] == pytest.approx(math.sqrt(2)) and math.isnan(summary["sd"][1])
    assert summary["n"].tolist() == [2, 1]
