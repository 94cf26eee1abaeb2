"""A bill counts as left what the driver takes up again, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.config import Search, Sweep
from rein.sweeps.bill.states import again, word
from rein.sweeps.plan import final

TABLE = Sweep(experiment="toy")
SEARCH = Sweep(experiment="toy", search=Search())


@pytest.mark.parametrize("sweep", [TABLE, SEARCH], ids=["table", "search"])
@pytest.mark.parametrize("state", ["done", "pruned", "failed", "oom", "diverged", "preempted"])
def test_bill_and_driver_agree_on_what_is_left(sweep: Sweep, state: str, tmp_path: Path) -> None:
    assert (word("r", {"state": state}, tmp_path) in again(sweep)) == (state not in final(sweep))


def test_a_diverged_trial_has_ended_and_a_diverged_row_of_a_table_has_not(tmp_path: Path) -> None:
    said = word("r", {"state": "diverged"}, tmp_path)
    assert said in again(TABLE) and said not in again(SEARCH)
