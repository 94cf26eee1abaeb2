"""A disk of a few pages that is really full: what was complete stays complete, and nothing half is left."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rein.config import Experiment
from rein.ledger import Run, files, write_atomic
from rein.ledger.files import append
from rein.sweeps.followed import _settle
from rein.sweeps.plan import Planned
from rein.training import checkpoint

PAGE = 4096


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB, of the memory's own kind."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "rein", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets the tests mount nothing")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> None:
    with open(disk / "filler", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(PAGE))


def test_records_that_do_not_fit_damage_nothing(small: Path) -> None:
    run = Run.create(small, Experiment())
    with run.claimed():
        run.start(step=0, steps=3)
        for step in range(1, 4):
            run.append({"step": step})
        before = {
            path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and "lease" not in str(path)
        }
        fill(small)
        with pytest.raises(OSError, match=r"No space left.*make room.*status\.json"):
            run.update(step=3)
        with pytest.raises(OSError, match=r"make room.*metrics\.jsonl"):
            run.append({"step": 4, "text": PAGE * "x"})
        row = {"step": 3, "domain": "kitti", "role": "target", "class": "all", "metric": "miou", "value": 0.5}
        with pytest.raises(OSError, match=r"make room.*scores\.csv"):
            run.scores([row])
        run.check_held()
        assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file() and "lease" not in str(p)} == before
        (small / "filler").unlink()
        run.append({"step": 4})
        run.finish("done")
    assert run.metrics()[0] == [{"step": step} for step in range(1, 5)] and run.state == "done"


def test_a_cut_run_that_cannot_be_written_down_does_not_hide_why_a_sweep_ends(
    small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiment = Experiment()
    run = Run.create(small, experiment)
    run.start(step=0, steps=3)
    fill(small)
    with pytest.raises(OSError, match=r"No space left.*make room.*lease"), run.claimed():
        pass
    _settle([Planned(run.id, "rein", {}, experiment)], small)
    (said,) = caplog.messages
    assert run.id in said and "make room" in said


def test_what_is_appended_is_all_there_or_nothing(small: Path) -> None:
    path = small / "log.jsonl"
    append(path, "first\n")
    with pytest.raises(OSError, match=r"of 600000 bytes.*make room"):
        append(path, "ä" * 300_000)
    assert path.read_text() == "first\n"


def test_a_file_that_cannot_be_begun_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "open", full, raising=False)
    with pytest.raises(OSError, match=r"make room.*log\.jsonl"):
        append(tmp_path / "log.jsonl", "first\n")


def test_a_tensor_file_that_does_not_fit_is_an_error_of_the_disk(small: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        checkpoint.write_tensors(small / "model.safetensors", {"weight": torch.zeros(100_000)})


def test_a_file_that_does_not_fit_leaves_the_old_one_alone(small: Path) -> None:
    write_atomic(small / "facts.json", json.dumps({"old": True}))
    with pytest.raises(OSError, match="No space left"):
        write_atomic(small / "facts.json", bytes(1 << 20))
    assert os.listdir(small) == ["facts.json"]  # noqa: PTH208
    assert json.loads((small / "facts.json").read_text()) == {"old": True}
