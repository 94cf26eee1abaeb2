"""Batches from loader processes, and what becomes of bad files. Which crop stands where: test_crops."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils.pin_memory import pin_memory

from rein import seeds
from rein.config import Data
from rein.data import loaders
from rein.data.classes import VOID
from rein.data.cropping import read_crop
from rein.data.crops import Crops
from rein.data.dataset import WholeImages
from rein.data.domain import DataError, MachineError
from rein.data.loaders import Batch, training_batches, whole_images
from rein.data.remarks import skipped
from rein.data.selection import scored_files
from tests.processes import ends
from tests.waiting import comes

DATA = Data(sources=("toy-game",), crop_size=32, batch_size=3)
Batches = list[Batch]


def batches(root: Path, steps: range, seed: int = 0, workers: int = 0) -> Batches:
    return list(training_batches(DATA, root, seed, steps, torch.device("cpu"), workers))


def same(first: Batches, second: Batches) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and a.remarks == b.remarks
        for a, b in zip(first, second, strict=True)
    )


def test_batches_have_the_recipes_shapes(toy_data: Path) -> None:
    found = batches(toy_data, range(2))
    assert len(found) == 2
    for images, labels, remarks in found:
        assert tuple(remarks) == ()
        assert images.shape == (3, 3, 32, 32) and images.dtype == torch.uint8
        assert labels.shape == (3, 32, 32) and labels.dtype == torch.int64


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_run_that_was_cut_sees_the_same_batches(toy_data: Path, cut: int) -> None:
    assert same(batches(toy_data, range(4)), batches(toy_data, range(cut)) + batches(toy_data, range(cut, 4)))


def test_another_seed_gives_other_batches(toy_data: Path) -> None:
    assert not same(batches(toy_data, range(1)), batches(toy_data, range(1), seed=1))


@pytest.mark.parametrize(
    ("asked", "device", "number"), [(None, "cpu", 0), (None, "cuda", 4), (0, "cuda", 0), (2, "cpu", 2)]
)
def test_loader_processes_are_as_asked_or_by_device(asked: int | None, device: str, number: int) -> None:
    options = loaders._options(torch.device(device), asked)
    assert (options["num_workers"], options["pin_memory"]) == (number, device == "cuda")


# ---------------------------------------------------------------- bad files


@pytest.fixture
def spoilt(toy_data: Path, tmp_path: Path) -> Path:
    """A data folder in which one of seven training images and one of two test images is cut short."""
    for style in ("game", "day"):
        shutil.copytree(toy_data / "toy" / style, tmp_path / "toy" / style)
    for path in (tmp_path / "toy/game/images/train/000003.png", tmp_path / "toy/day/images/val/000001.png"):
        path.write_bytes(path.read_bytes()[:500])
    return tmp_path


SKIP = replace(DATA, on_error="skip")


def of_day(data: Data, root: Path) -> WholeImages:
    return WholeImages(scored_files(data, "toy-day", root), data)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_named_in_one_line_wherever_it_was_read(
    spoilt: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long torch waits for a process whose error it raised: none of them ends by itself.
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    line = r"^/\S*toy/{}: not a readable image [^\n]*remove the file; `rein check` [^\n]*on_error=skip goes on [^\n]*$"
    images = whole_images(of_day(DATA, spoilt), torch.device("cpu"), workers)
    next(images)
    with pytest.raises(DataError, match=line.format(r"day/images/val/000001\.png")):
        next(images)
    with pytest.raises(DataError, match=line.format(r"game/images/train/000003\.png")):
        batches(spoilt, range(3), workers=workers)
    gc.collect()


def test_of_an_error_in_a_loader_process_its_message_is_left_whole() -> None:
    def loader() -> Iterator[None]:
        try:
            raise DataError("first.png: is bad\n  and this is how")
        except DataError:
            wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
        wrapped.reraise()
        yield

    with pytest.raises(DataError) as caught:
        list(loaders._read(loader()))  # type: ignore[arg-type]
    assert str(caught.value) == "first.png: is bad\n  and this is how"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("data", [DATA, SKIP], ids=["raise", "skip"])
def test_a_machines_trouble_is_never_skipped(
    toy_data: Path, data: Data, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(Path, "read_bytes", fail)  # loader processes are forked
    line = r"^/\S*\.png: could not be read \(Input/output error\): [^\n]* the same command goes on$"
    with pytest.raises(MachineError, match=line):
        next(whole_images(of_day(data, toy_data), torch.device("cpu"), workers))
    with pytest.raises(MachineError, match=line):
        next(training_batches(data, toy_data, 0, range(1), torch.device("cpu"), workers))
    gc.collect()


def test_a_skipped_image_is_remarked_on_and_has_no_pixels(spoilt: Path) -> None:
    good, bad = whole_images(of_day(SKIP, spoilt), torch.device("cpu"), 1)
    assert good.image.shape == (3, 96, 192) and list(good.remarks) == []
    assert bad.image.numel() == bad.label.numel() == 0
    (remark,) = bad.remarks
    assert remark.kind == "skipped" and remark.file == spoilt / "toy/day/images/val/000001.png"
    assert remark.text.startswith(f"{remark.file}: not a readable image")


def test_a_crop_of_a_skipped_image_is_of_the_next_one_in_the_epochs_order(spoilt: Path, toy_data: Path) -> None:
    whole, crops = Crops(DATA, toy_data, 0), Crops(SKIP, spoilt, 0)
    for ordinal in range(7):
        first, second, *_ = whole.candidates(ordinal)
        found = crops[ordinal]
        bad = first.image.name == "000003.png"
        assert [remark.file.name for remark in found.remarks] == (["000003.png"] if bad else [])
        taken = read_crop(second if bad else first, DATA, seeds.generator(0, seeds.CROP, ordinal))
        assert torch.equal(found.image, taken[0]) and torch.equal(found.label, taken[1])


def test_what_stands_in_for_a_skipped_image_depends_on_neither_workers_nor_cuts(spoilt: Path) -> None:
    def read(steps: range, workers: int = 0) -> Batches:
        return list(training_batches(SKIP, spoilt, 0, steps, torch.device("cpu"), workers))

    uncut = read(range(5))
    assert sum(len(batch.remarks) for batch in uncut) == 2, "fifteen crops are two epochs and one crop of the third"
    assert same(uncut, read(range(5), workers=2))
    assert same(uncut, read(range(2)) + read(range(2, 5)))


def test_a_folder_of_bad_files_is_not_skipped_for_ever(spoilt: Path) -> None:
    for path in (spoilt / "toy/game/images/train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"game/images/train/\d+\.png: not a readable image.*; 7 images in a row"):
        Crops(SKIP, spoilt, 0)[0]


def test_no_more_than_a_hundred_images_stand_in_for_one(toy_data: Path) -> None:
    crops = Crops(SKIP, toy_data, 0)
    crops.pools = [crops.pools[0] * 50]
    assert len(list(crops.candidates(3))) == 100


def test_unknown_ids_read_as_void_are_counted_with_their_file(spoilt: Path) -> None:
    path = spoilt / "toy/day/labels/val/000000.png"
    ids = np.array(Image.open(path))
    ids[:2, :3], ids[5, 5] = 99, 200
    Image.fromarray(ids).save(path)
    with pytest.raises(DataError, match=r"000000\.png: label ids 99 .*200 "):
        of_day(DATA, spoilt)[0]
    item = of_day(replace(DATA, unknown_ids="void"), spoilt)[0]
    (remark,) = item.remarks
    assert (remark.kind, remark.file, remark.unknown.commonest) == ("unknown ids", path, {"99": 6, "200": 1})
    assert (item.label[:2, :3] == VOID).all() and item.label[5, 5] == VOID


def test_a_batch_is_pinned_with_its_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor, *_: tensor + 1)
    batch = Batch(torch.zeros(1), torch.zeros(1), (skipped(Path("a.png"), "bad"),))
    pinned = pin_memory(batch)
    assert isinstance(pinned, Batch) and pinned.images == pinned.labels == 1
    assert list(pinned.remarks) == list(batch.remarks)


class Own(Dataset[int]):
    """Of each item the process that read it."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def test_a_loader_process_outlives_what_its_group_is_sent_and_ends_at_its_parents_word() -> None:
    loader = DataLoader(Own(), batch_size=None, prefetch_factor=1, **loaders._options(torch.device("cpu"), 1))
    items = iter(loader)
    process = psutil.Process(int(next(items)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        subprocess.run(["kill", f"-{int(number)}", str(process.pid)], check=True)  # by another than its parent
        assert comes(lambda: "ShdPnd:\t0000000000000000" in Path(f"/proc/{process.pid}/status").read_text()), "heard"
        assert int(next(items)) == process.pid
    process.terminate()
    assert ends(process)  # else it may read on to the last item before it hears of its end
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(items)
