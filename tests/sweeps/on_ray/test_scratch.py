"""Tune's own folder: gone with its driver, or with the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rein.sweeps.on_ray import scratch as module
from rein.sweeps.on_ray.scratch import scratch


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_it_is_there_for_as_long_as_it_is_needed(tmp_path: Path) -> None:
    with scratch() as folder:
        assert Path(folder).is_dir() and Path(folder).parent == tmp_path
        with scratch() as other:
            assert Path(folder).is_dir() and other != folder, "of a driver that lives nothing is taken away"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_driver_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = "import os, signal; from rein.sweeps.on_ray.scratch import scratch\n"
    killed += "with scratch(): os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    (left,) = tmp_path.iterdir()
    with scratch():
        assert not left.exists()
    subprocess.run([sys.executable, "-c", killed], check=False)
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr(module, "machine", lambda: "another machine that shares the folder")
    with scratch():
        assert left.exists()
