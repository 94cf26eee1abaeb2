"""What a document says once: conventions that tables share, settings that chapters share."""

from __future__ import annotations

import pandas as pd

from rein.reports.grid import Grid
from rein.reports.said_once import conventions, facts, without
from rein.reports.tables.conventions import PERCENT, SELECTION, marked


def grid(*said: str) -> Grid:
    return Grid("t", "Own.", (), (), pd.DataFrame(), conventions=said)


def test_what_two_tables_say_is_said_once() -> None:
    one, two = grid(PERCENT, "Shared.", "Of one."), grid("Shared.")
    found = conventions([one, two])
    assert found == [PERCENT, "Shared."], "what may stand with any table is explained for all"
    assert without(one, found).full_caption == "Own. Of one." and one.full_caption == f"Own. {PERCENT} Shared. Of one."
    assert conventions([one]) == [] == conventions([])


def test_where_tables_differ_each_says_which_holds() -> None:
    rows, columns = marked("max", "row"), marked("max", "column")
    one, two, three = grid(SELECTION["last"], columns), grid(SELECTION["oracle"], columns), grid(rows)
    assert conventions([one, two]) == [columns]
    assert conventions([one, two, three]) == [], "a reader is told at each table"
    assert SELECTION["oracle"] in without(two, conventions([one, two])).full_caption


def test_most_chapters_settle_what_holds_where_nothing_else_is_said() -> None:
    chapters = [[("runs", "3 of 3"), ("`steps`", steps), ("`seed`", seed)] for steps, seed in ("1a", "1b", "2c")]
    assert facts(chapters) == [("`steps`", "1")]
    assert facts(chapters[:1]) == [] == facts([chapters[0], [("`seed`", "b")]])
