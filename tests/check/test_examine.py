"""Many files are read by several processes, and word of it is given."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from rein.check import examine
from rein.check.examine import examine_all
from rein.data.domain import DataError, Sample
from rein.data.domains import find
from rein.data.listing import samples


@pytest.fixture
def files(toy_data: Path) -> list[Sample]:
    return samples(find("toy-game"), "train", toy_data)


def end(sample: Sample) -> None:
    os._exit(1)


def test_every_pair_is_examined_in_its_place(files: list[Sample]) -> None:
    alone, together = examine_all(files, 0), examine_all(files, 2)
    assert list(together) == files
    assert [pair.digest for pair in together.values()] == [pair.digest for pair in alone.values()]
    assert len({pair.digest for pair in alone.values()}) == len(files)


def test_a_log_file_gets_a_line_now_and_then(
    files: list[Sample], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(examine, "SILENCE", 0.0)
    with caplog.at_level(logging.INFO, "rein"):
        examine_all(files, 0)
    assert caplog.messages[2].startswith("3 of 7 files read")


def test_a_process_that_is_killed_is_one_sentence(files: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "examine", end)
    with pytest.raises(DataError, match="fewer --workers"):
        examine_all(files, 1)
