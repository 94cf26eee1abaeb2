"""Run directories: complete or absent files, resumable records, found by folder, id or beginning of the id."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from rein.config import ConfigError, Experiment, run_id
from rein.ledger import BusyError, Run, find, runs, write_atomic
from rein.ledger import run as ledger
from rein.ledger.lease import Holder, Lease, LostError


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, Experiment(seed=1))


def score(step: int, value: float, domain: str = "kitti") -> dict[str, object]:
    return {"step": step, "domain": domain, "role": "target", "class": "all", "metric": "miou", "value": value}


def test_a_run_is_named_by_its_experiment_and_reads_it_back(run: Run) -> None:
    assert run.id == run_id(Experiment(seed=1)) == run.path.name
    assert run.experiment() == Experiment(seed=1)


def test_naming_a_run_touches_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path / "abc")
    assert run.state is None and run.status() == {} and run.metrics() == ([], 0)
    assert list(tmp_path.iterdir()) == []


def test_creating_a_run_again_keeps_what_it_holds(run: Run) -> None:
    run.start(step=0, steps=3)
    run.append({"step": 1})
    again = Run.create(run.path.parent, Experiment(seed=1))
    assert again.state == "running" and again.metrics()[0] == [{"step": 1}]


def test_a_run_goes_from_running_to_its_end(run: Run) -> None:
    run.start(step=0, steps=3)
    status = run.status()
    assert status["state"] == "running" and status["attempt"] == 1 and status["pid"] == os.getpid()
    assert status["ended"] is None
    run.update(step=3)
    run.finish("done")
    status = run.status()
    assert (status["state"], status["step"], status["steps"], status["error"]) == ("done", 3, 3, None)
    assert status["ended"] >= status["started"]


def test_a_failure_keeps_its_first_line_and_its_traceback_until_the_next_attempt(run: Run) -> None:
    run.start()
    try:
        raise ValueError("first line\nsecond line")
    except ValueError as error:
        run.finish("failed", error)
    assert run.status()["error"] == "first line"
    trace = (run.path / "traceback.txt").read_text()
    assert "raise ValueError" in trace and "second line" in trace
    run.start()
    assert run.status()["attempt"] == 2 and run.status()["error"] is None
    assert not (run.path / "traceback.txt").exists()


def test_an_error_without_words_is_named_by_its_type(run: Run) -> None:
    run.start()
    run.finish("preempted", KeyboardInterrupt())
    assert run.status()["error"] == "KeyboardInterrupt"


# ---------------------------------------------------------------- metrics


def test_metrics_are_read_from_where_the_last_reader_stopped(run: Run) -> None:
    run.append({"step": 1})
    records, offset = run.metrics()
    assert records == [{"step": 1}]
    assert run.metrics(offset) == ([], offset)
    run.append({"step": 2})
    run.append({"step": 3})
    assert run.metrics(offset)[0] == [{"step": 2}, {"step": 3}]
    assert len(run.metrics()[0]) == 3


def test_a_record_that_is_still_being_written_is_left_for_the_next_reader(run: Run) -> None:
    run.append({"step": 1})
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 2, "lo')
    records, offset = run.metrics()
    assert records == [{"step": 1}]
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write('ss": 3}\n')
    assert run.metrics(offset)[0] == [{"step": 2, "loss": 3}]


def test_a_record_cut_by_a_kill_does_not_spoil_the_next_attempts(run: Run) -> None:
    run.append({"step": 1})
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 2, "lo')
    run.start()
    run.append({"step": 2, "loss": 5})
    assert [record["step"] for record in run.metrics()[0]] == [1, 2]


# ---------------------------------------------------------------- scores


def test_scoring_a_step_again_replaces_its_rows_alone(run: Run) -> None:
    run.scores([score(10, 0.1), score(10, 0.2, "carla")])
    run.scores([score(20, 0.3)])
    run.scores([score(10, 0.9)])
    frame = pd.read_csv(run.path / "scores.csv")
    assert sorted(zip(frame["step"], frame["domain"], frame["value"], strict=True)) == [
        (10, "kitti", 0.9),
        (20, "kitti", 0.3),
    ]
    assert tuple(frame.columns) == ledger.SCORE_COLUMNS


def test_scores_keep_every_digit(run: Run) -> None:
    run.scores([score(1, 1 / 3)])
    run.scores([score(2, 2 / 3)])
    with open(run.path / "scores.csv", newline="") as file:
        assert [float(row["value"]) for row in csv.DictReader(file)] == [1 / 3, 2 / 3]


# ---------------------------------------------------------------- environment


def test_a_change_of_data_between_attempts_is_reported(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.environment({"data": {"gta/train": "a"}, "weights": None, "python": "3.11"}, resumed=False)
    run.environment({"data": {"gta/train": "a"}, "weights": None, "python": "3.12"}, resumed=True)
    assert caplog.text == ""
    run.environment({"data": {"gta/train": "b"}, "weights": None}, resumed=False)
    assert not caplog.records, "nothing of the earlier attempt is in the numbers"
    run.environment({"data": {"gta/train": "c"}, "weights": None}, resumed=True)
    assert run.id in caplog.text and "data" in caplog.text


# ---------------------------------------------------------------- finding


def test_a_run_that_another_process_holds_is_busy_until_that_is_killed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
        import time
        from pathlib import Path
        from rein.ledger import Run
        run = Run(Path({str(run.path)!r}))
        with run.claimed():
            run.start(step=0, steps=3)
            print("held", flush=True)
            time.sleep(600)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with monkeypatch.context() as patch, pytest.raises(BusyError, match=rf"{run.id}: process {holder.pid} on "):
        patch.setattr(ledger, "PATIENCE", 0.2)
        with run.claimed():
            pass
    holder.kill()
    with run.claimed():  # waits for the kill to have come through
        assert run.state == "running", "what the holder left is there to be gone on with"
    holder.communicate()


def test_a_claim_ends_with_its_block(run: Run) -> None:
    for _ in range(2):
        with run.claimed():
            pass


def test_a_run_that_another_process_took_over_is_not_written_any_more(run: Run) -> None:
    with run.claimed():
        run.start(step=0, steps=3)
        before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
        assert Lease(run.path / "lease")._take(2, Holder.this(60)), "as if this process had been suspended"
        (run._lease or Lease(run.path))._show()
        for write in (
            lambda: run.update(step=1),
            lambda: run.append({"step": 1}),
            lambda: run.remark([{"file": "a"}]),
            lambda: run.scores([score(1, 0.5)]),
            lambda: run.finish("failed", ValueError("late")),
        ):
            with pytest.raises(LostError, match=rf"{run.id}: process {os.getpid()} on .* took it over"):
                write()
        assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before
    holder = run.holder()
    assert holder is not None and holder.pid == os.getpid(), "the lease is the other's still"


def test_find_takes_folder_id_and_beginning(run: Run) -> None:
    root = run.path.parent
    for name in (str(run.path), run.id, run.id[:5]):
        assert find(root, name).path == run.path


def test_find_refuses_what_is_unknown_or_ambiguous(tmp_path: Path) -> None:
    for name in ("abc111", "abc222"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.yaml").write_text("")
    with pytest.raises(ConfigError, match="2 runs begin so"):
        find(tmp_path, "abc")
    with pytest.raises(ConfigError, match=r"no run of that id.*did you mean `abc111`"):
        find(tmp_path, "abc112")


def test_runs_lists_only_run_folders_in_order(tmp_path: Path) -> None:
    made = sorted(Run.create(tmp_path, Experiment(seed=seed)).id for seed in range(4))
    (tmp_path / "mlartifacts").mkdir()
    assert [run.id for run in runs(tmp_path)] == made


# ---------------------------------------------------------------- atomic writes


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    write_atomic(path, "old")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            write_atomic(path, "new")
    assert path.read_text() == "old"
    write_atomic(path, b"new")
    assert path.read_text() == "new"


def test_a_reader_beside_a_killed_writer_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    code = """
        import json, sys
        from pathlib import Path
        from rein.ledger import write_atomic
        n = 0
        while True:
            write_atomic(Path(sys.argv[1]), json.dumps([n] * 50_000))
            n += 1
    """
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(path)])
    try:
        while not path.is_file():
            assert writer.poll() is None
        seen = set()
        while len(seen) < 5:
            values = json.loads(path.read_text())
            assert len(values) == 50_000 and len(set(values)) == 1
            seen.add(values[0])
    finally:
        writer.kill()
        writer.wait()
    assert len(json.loads(path.read_text())) == 50_000
