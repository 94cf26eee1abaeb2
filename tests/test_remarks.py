"""A run's record of its bad files: each once, however the run was cut, counted where it was met."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from rein.config import Experiment
from rein.data.remarks import skipped, unknown_ids
from rein.ledger import Run
from rein.remarks import Remarks

ROOT = Path("/data")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, Experiment())
    run.start(step=0, steps=9)
    return run


def test_each_file_is_recorded_once_where_it_was_met(run: Run) -> None:
    remarks = Remarks(run, ROOT)
    for _ in range(2):
        remarks.add("train", [skipped(ROOT / "a.png", "bad"), skipped(ROOT / "b.png", "bad")])
    remarks.add("kitti", [skipped(ROOT / "a.png", "bad")])
    assert [(record["where"], record["file"]) for record in run.remarks()] == [
        ("train", "a.png"), ("train", "b.png"), ("kitti", "a.png"),
    ]  # fmt: skip
    assert run.status()["skipped_files"] == {"train": 2, "kitti": 1}
    assert run.status()["unknown_ids"] == {}


def test_unknown_ids_are_summed_over_files(run: Run) -> None:
    remarks = Remarks(run, ROOT)
    remarks.add("train", unknown_ids(ROOT / "a.png", {99: 5}))
    remarks.add("train", unknown_ids(ROOT / "b.png", {40: 1, 99: 2}))
    assert run.status()["unknown_ids"] == {"train": {"files": 2, "pixels": 8, "ids": [40, 99]}}
    assert run.remarks()[1]["pixels"] == {"40": 1, "99": 2}


def test_a_file_without_unknown_ids_gives_no_remark(run: Run) -> None:
    Remarks(run, ROOT).add("train", unknown_ids(ROOT / "a.png", {}))
    assert run.remarks() == [] and not (run.path / "remarks.jsonl").exists()


def test_the_first_of_a_kind_is_warned_of_and_the_rest_is_in_the_record(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    remarks = Remarks(run, ROOT)
    remarks.add("train", [skipped(ROOT / f"{i}.png", f"{i}.png: bad") for i in range(5)])
    remarks.add("train", unknown_ids(ROOT / "a.png", {7: 1, 99: 5}))
    first, second = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert first.startswith("train: 0.png: bad; ") and "remarks.jsonl" in first
    assert "label ids 7, 99" in second


def test_the_next_attempt_goes_on_with_the_record_and_says_so(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    Remarks(run, ROOT).add("train", [skipped(ROOT / "a.png", "bad")])
    run.update(skipped_files={})  # the process was killed between the two writes
    with open(run.path / "remarks.jsonl", "a") as file:
        file.write('{"where": "train", "kind": "ski')
    run.start(step=0, steps=9)
    caplog.clear()
    again = Remarks(run, Path("/elsewhere"))
    assert run.status()["skipped_files"] == {"train": 1} and "train skipped: 1" in caplog.text
    again.add("train", [skipped(Path("/elsewhere/a.png"), "bad"), skipped(Path("/elsewhere/b.png"), "bad")])
    assert [record["file"] for record in run.remarks()] == ["a.png", "b.png"]


def test_a_run_with_nothing_to_say_writes_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    before = run.status()
    Remarks(run, ROOT).add("train", [])
    assert run.status() == before and caplog.text == ""
