"""A run's record of its bad files: each once, however the run was cut, counted where it was met."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rein.config import Experiment
from rein.data.remarks import Remark, skipped, unknown_ids
from rein.data.unknown import Unknown
from rein.ledger import Run
from rein.training.remarks import Remarks

ROOT = Path("/data")


def unknown(name: str, counts: dict[int, int], coloured: bool = False) -> tuple[Remark, ...]:
    return unknown_ids(ROOT / name, Unknown.of(counts, coloured))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path, Experiment())
    run.start(step=0, steps=9)
    return run


def test_each_file_is_recorded_once_where_it_was_met(run: Run) -> None:
    with Remarks(run, ROOT) as remarks:
        for _ in range(2):
            remarks.add("train", [skipped(ROOT / "a.png", "bad"), skipped(ROOT / "b.png", "bad")])
        remarks.scored("kitti", [skipped(ROOT / "a.png", "bad")])
    assert [(record["where"], record["file"]) for record in run.remarks()] == [
        ("train", "a.png"), ("train", "b.png"), ("kitti", "a.png"),
    ]  # fmt: skip
    assert run.status()["skipped_files"] == {"train": 2, "kitti": 1}
    assert run.status()["unknown_ids"] == {}


def test_unknown_ids_are_summed_over_files(run: Run) -> None:
    with Remarks(run, ROOT) as remarks:
        remarks.add("train", unknown("a.png", {99: 5}))
        remarks.add("train", unknown("b.png", {40: 1, 99: 2}))
    assert run.status()["unknown_ids"] == {"train": {"files": 2, "pixels": 8, "ids": ["99", "40"], "values": 2}}
    second = run.remarks()[1]
    assert (second["commonest"], second["pixels"], second["values"]) == ({"99": 2, "40": 1}, 3, 2)


def test_however_many_values_are_unknown_the_record_is_short(run: Run) -> None:
    with Remarks(run, ROOT) as remarks:
        for file in range(5):
            colours = {file * 100_000 + value: 1 for value in range(3000)}
            remarks.add("train", unknown(f"{file}.png", colours, coloured=True))
    total = run.status()["unknown_ids"]["train"]
    assert (total["files"], total["pixels"], total["values"]) == (5, 15_000, 3000)
    assert len(total["ids"]) == 8 and all(id.startswith("#") for id in total["ids"])
    assert all(len(json.dumps(record)) < 800 for record in run.remarks())


def test_a_file_without_unknown_ids_gives_no_remark(run: Run) -> None:
    with Remarks(run, ROOT) as remarks:
        remarks.add("train", unknown("a.png", {}))
    assert run.remarks() == [] and not (run.path / "remarks.jsonl").exists()


def test_the_counts_of_a_domain_are_those_of_its_last_scoring(run: Run) -> None:
    bad = [skipped(ROOT / f"{name}.png", "bad") for name in "abc"]
    with Remarks(run, ROOT) as remarks:
        remarks.add("train", bad[:1])
        remarks.scored("kitti", bad[:2])
        remarks.save()
        assert run.status()["skipped_files"] == {"train": 1, "kitti": 2}
        remarks.scored("kitti", bad[1:2])  # a was mended, and b is as it was
        remarks.scored("idd", [])
    assert run.status()["skipped_files"] == {"train": 1, "kitti": 1}
    assert [record["file"] for record in run.remarks()] == ["a.png", "a.png", "b.png"], "what was met stays on record"


def test_mended_files_leave_no_count(run: Run) -> None:
    with Remarks(run, ROOT) as remarks:
        remarks.scored("kitti", [*unknown("a.png", {9: 1}), skipped(ROOT / "b.png", "bad")])
        remarks.save()
        remarks.scored("kitti", [])
    assert run.status()["skipped_files"] == run.status()["unknown_ids"] == {}


def test_the_first_of_a_kind_is_warned_of_and_the_rest_is_in_the_record(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    remarks = Remarks(run, ROOT)
    remarks.add("train", [skipped(ROOT / f"{i}.png", f"{i}.png: bad") for i in range(5)])
    remarks.add("train", unknown("a.png", {7: 1, 99: 5}))
    first, second = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert first.startswith("train: 0.png: bad; ") and "remarks.jsonl" in first
    assert "label ids 99 (5 pixels), 7 (1 pixel)" in second


def test_the_next_attempt_goes_on_with_the_record_and_says_so(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    Remarks(run, ROOT).add("train", [skipped(ROOT / "a.png", "bad"), *unknown("a.png", {9: 4})])
    assert "skipped_files" not in run.status(), "the process was killed before it wrote the counts"
    with open(run.path / "remarks.jsonl", "a") as file:
        file.write('{"where": "train", "kind": "ski')
    run.start(step=0, steps=9)
    caplog.clear()
    with Remarks(run, Path("/elsewhere")) as again:
        assert run.status()["skipped_files"] == {"train": 1} and "train skipped: 1" in caplog.text
        assert run.status()["unknown_ids"]["train"]["pixels"] == 4
        again.add("train", [skipped(Path("/elsewhere/a.png"), "bad"), skipped(Path("/elsewhere/b.png"), "bad")])
    assert [record["file"] for record in run.remarks()] == ["a.png", "a.png", "b.png"]
    assert run.status()["skipped_files"] == {"train": 2}


def test_a_run_with_nothing_to_say_writes_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    before = run.status()
    with Remarks(run, ROOT) as remarks:
        remarks.add("train", [])
        remarks.scored("kitti", [])
    assert run.status() == before and caplog.text == ""


def test_a_file_that_is_remarked_on_costs_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[dict[str, Any]] = []
    monkeypatch.setattr(Run, "update", lambda self, **facts: writes.append(facts))
    with Remarks(run, ROOT) as remarks:
        for i in range(300):
            remarks.add("train", [skipped(ROOT / f"{i}.png", "bad")])
        assert writes == [], "the status waits for the next log record"
        remarks.save()
        remarks.save()
    assert [facts["skipped_files"] for facts in writes] == [{"train": 300}]
    assert len(run.remarks()) == 300
