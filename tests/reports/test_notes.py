"""What a report says of files that runs skipped or read as void, in all three formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from rein.reports.notes import files_mark, files_note
from rein.reports.provenance import progress
from rein.reports.study import gather
from rein.reports.write import write
from tests.reports.made_up_sweep import FIGURES, POINTS, TABLES, World

Make = Callable[..., World]

#: A run that read all of its files, one that skipped two of 24, and one that skipped another two.
WHOLE: dict[str, Any] = {"skipped_files": {}, "unknown_ids": {}, "scored": {"toy-day": {"images": 24, "digest": "a"}}}
LESS = {"skipped_files": {"toy-day": 2}, "scored": {"toy-day": {"images": 22, "digest": "b"}}}
OTHER = {"skipped_files": {"toy-day": 2}, "scored": {"toy-day": {"images": 22, "digest": "c"}}}


def made(world: Make, *facts: dict[str, Any]) -> World:
    """A sweep of one variant with a seed for each run's facts, all done."""
    one = world({"rein": POINTS["rein"]}, seeds=range(len(facts)))
    for item, fact in zip(one.planned, facts, strict=True):
        one.finish(item, **fact)
    return one


def note(world: Make, *facts: dict[str, Any]) -> str:
    one = made(world, *facts)
    return files_note(gather(one.report(), one.runs))


@pytest.mark.parametrize("facts", [{}, WHOLE])
def test_runs_that_read_all_of_their_files_need_no_word(world: Make, facts: dict[str, Any]) -> None:
    one = made(world, facts, facts)
    study = gather(one.report(), one.runs)
    assert files_note(study) == files_mark(study) == progress([study]) == ""


def test_skipped_files_are_counted_by_domain(world: Make) -> None:
    assert note(world, LESS, LESS) == (
        "In 2 of 2 runs files were skipped (toy-day: 2 of 24 images): scores are over what was left."
    )


def test_of_runs_that_skipped_unlike_numbers_the_range_is_said(world: Make) -> None:
    said = note(world, {"skipped_files": {"train": 1}}, {"skipped_files": {"train": 3}}, WHOLE)
    assert "In 2 of 3 runs files were skipped (training: 1–3 images): training took the next images instead." in said


def test_one_image_is_one_image(world: Make) -> None:
    assert "(training: 1 image)" in note(world, {"skipped_files": {"train": 1}})


def test_batches_in_parts_are_counted(world: Make) -> None:
    said = note(world, {"micro_batch": 2}, {"micro_batch": None}, {"micro_batch": 1})
    assert said.startswith("In 2 of 3 runs the batches of training went through the network in parts of 1–2 images")
    assert note(world, {"micro_batch": None}) == ""


@pytest.mark.parametrize("facts", [(WHOLE, LESS), (LESS, OTHER)], ids=["some and all", "as many but others"])
def test_scores_over_other_images_are_never_compared_silently(world: Make, facts: Any) -> None:
    words = "Not all runs were scored on the same images of toy-day: their numbers there do not compare."
    assert words in note(world, *facts)


def test_unknown_ids_are_named_with_their_pixels(world: Make) -> None:
    unknown = {"train": {"files": 2, "pixels": 1234, "ids": ["40", "99"], "values": 2}}
    assert note(world, {"unknown_ids": unknown}, WHOLE) == (
        "In 1 of 2 runs label ids of no known meaning were read as void (training: 40, 99; 1,234 pixels of 2 files)."
    )


@pytest.mark.parametrize(("values", "more"), [(8, "8"), (1_400_000, "1,399,992")])
def test_of_many_unknown_ids_the_commonest_are_named(world: Make, values: int, more: str) -> None:
    first, second = ([f"#0000{run}{i}" for i in range(8)] for run in range(2))
    facts = [
        {"unknown_ids": {"train": {"files": 1, "pixels": 9, "ids": ids, "values": number}}}
        for ids, number in ((first, 8), (second, values))
    ]
    said = note(world, *facts)
    assert f"(training: {', '.join(first)} and at least {more} more; 9 pixels of 1 file)" in said
    assert second[0] not in said


def test_the_report_says_it_at_the_top_and_under_each_table_and_curve_in_every_format(world: Make) -> None:
    one = made(world, WHOLE, LESS)
    write(one.report(tables=TABLES, figures=FIGURES), one.runs, one.out)
    for suffix in ("md", "html"):
        text = re.sub(r"\s+", " ", (one.out / f"report.{suffix}").read_text())
        top = text.split("Table:")[0]
        assert "files were skipped in 1 of 2 runs; runs were scored on different images of toy-day" in top
        assert text.count("In 1 of 2 runs files were skipped") >= len(TABLES) + 1
    assert "files were skipped in 1 of 2 runs" in (one.out / "report.tex").read_text()
    for table in TABLES:
        fragment = (one.out / "tables" / f"{table.name.replace(' ', '-')}.tex").read_text()
        assert "(toy-day: 2 of 24 images)" in fragment and "do not compare" in fragment
    frame = pd.read_csv(one.out / "runs.csv")
    assert frame.groupby("seed")["skipped_files"].unique().map(list).to_dict() == {0: [0], 1: [2]}


def test_unfinished_runs_are_not_counted(world: Make) -> None:
    one = world({"rein": POINTS["rein"]}, seeds=(0, 1))
    one.finish(one.planned[0], **WHOLE)
    one.finish(one.planned[1], "failed", **LESS)
    study = gather(one.report(), one.runs)
    assert files_note(study) == "" and progress([study]) == "partial: 1 of 2 runs done (1 failed)"
