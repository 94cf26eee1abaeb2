"""The cache of downscaled images: the same numbers hit or missed, whole files only, and never the end of a run."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rein import seeds
from rein.config import ConfigError, Data
from rein.data import cache
from rein.data.cache import cached_pair, prepare, stored
from rein.data.classes import CLASSES, VOID
from rein.data.crops import Crops
from rein.data.domain import DataError, Sample
from rein.data.domains import find
from rein.data.label_tables import CITYSCAPES_IDS, TRAIN_IDS
from rein.data.listing import samples
from rein.data.reading import read_image, read_label
from rein.data.transforms import resize_window, training_crop
from rein.data.unknown import Unknown

DATA = Data(sources=("toy-game",), crop_size=32, cache=24)
FORK = multiprocessing.get_context("fork")


def never() -> NoReturn:
    raise AssertionError("a hit makes nothing")


def pixels(seed: int = 0, shape: tuple[int, ...] = (3, 40, 64)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def pair(tmp_path: Path) -> Sample:
    """An image of 64x40 pixels and its label in train ids."""
    sample = Sample(tmp_path / "image.png", tmp_path / "label.png", TRAIN_IDS)
    Image.fromarray(pixels(shape=(40, 64, 3))).save(sample.image)
    Image.fromarray(np.random.default_rng(1).choice([0, 5, VOID], (40, 64)).astype(np.uint8)).save(sample.label)
    return sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


# ------------------------------------------------------------------------------------------------ one entry


@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple), st.booleans())
def test_what_was_made_is_what_is_read(shape: tuple[int, ...], turned: bool) -> None:
    made = pixels(shape=shape)
    made = made.T if turned else made
    with tempfile.TemporaryDirectory() as name:
        missed = stored(Path(name), "ab12", lambda: made)
        hit = stored(Path(name), "ab12", (lambda: made) if made.size == 0 else never)
        for array in (missed, hit):
            np.testing.assert_array_equal(array, made)
            assert array.dtype == np.uint8 and not array.flags.writeable


def test_a_hit_is_a_map_of_the_file(folder: Path) -> None:
    stored(folder, "ab12", pixels)
    assert isinstance(stored(folder, "ab12", never), np.memmap)


def test_what_was_made_stays_its_makers_to_write_to(folder: Path) -> None:
    made = pixels()
    stored(folder, "ab12", lambda: made)
    made[:] = 0
    np.testing.assert_array_equal(stored(folder, "ab12", never), pixels())


def test_entries_are_spread_over_subfolders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for number in range(300):
        stored(folder, cache.key(number), lambda: np.zeros(1, np.uint8))
    inside = [len(list(part.iterdir())) for part in folder.iterdir()]
    assert len(inside) > 100 and max(inside) < 15


def test_other_kinds_of_numbers_are_refused(folder: Path) -> None:
    with pytest.raises(TypeError, match="uint8"):
        stored(folder, "ab12", lambda: np.zeros(3))


def _npy(array: np.ndarray) -> bytes:
    with tempfile.TemporaryFile() as file:
        np.save(file, array)
        file.seek(0)
        return file.read()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in the magic": lambda whole: whole[:4],
    "cut in the header": lambda whole: whole[:40],
    "cut behind the header": lambda whole: whole[:128],
    "cut by a byte": lambda whole: whole[:-1],
    "a byte too long": lambda whole: whole + b"\0",
    "all zeros": lambda whole: bytes(len(whole)),
    "another header": lambda whole: whole[:10] + b"(" * 118 + whole[128:],
    "another shape": lambda whole: whole.replace(b"(3, 40, 64)", b"(3, 40, 63)"),
    "other numbers": lambda _: _npy(np.zeros(4)),
    "a zip file": lambda _: b"PK\x03\x04" + bytes(100),
    "a pickle": lambda _: pickle.dumps(pixels()),
    "an array of objects": lambda _: _npy(np.array([{}], object)),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_made_anew(folder: Path, kind: str) -> None:
    stored(folder, "ab12", pixels)
    (file,) = files(folder)
    whole = file.read_bytes()
    assert len(whole) == 128 + 3 * 40 * 64
    file.write_bytes(DAMAGE[kind](whole))
    np.testing.assert_array_equal(stored(folder, "ab12", pixels), pixels())
    assert file.read_bytes() == whole and files(folder) == [file]


# ------------------------------------------------------------------------------------------------ several processes


def _ask(folder: Path, seconds: float) -> None:
    """Ask for one key over and over and remove its file now and then; ends well if every answer was whole."""
    cache.os.fsync = lambda _: None  # type: ignore[assignment]  # as fast as can be
    end, want = time.monotonic() + seconds, pixels(shape=(3, 100, 200))
    while time.monotonic() < end:
        got = stored(folder, "ab12", lambda: want)
        if os.getpid() % 2:
            (folder / "ab" / "ab12.npy").unlink(missing_ok=True)
        if not np.array_equal(got, want):  # the map outlives its name
            os._exit(1)
    os._exit(2 if cache._given_up else 0)


def test_processes_that_want_one_key_see_whole_arrays_alone(folder: Path) -> None:
    workers = [FORK.Process(target=_ask, args=(folder, 0.4)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert all(file.suffix == ".npy" for file in files(folder))


def _write_and_die(folder: Path) -> None:
    def half(file: Any, array: np.ndarray, **_: object) -> None:
        file.write(array.tobytes()[:100])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    np.lib.format.write_array = half
    stored(folder, "ab12", pixels)


def test_a_killed_writer_leaves_a_part_that_is_removed_by_age(folder: Path) -> None:
    writer = FORK.Process(target=_write_and_die, args=(folder,))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    (part,) = files(folder)
    assert part.suffix == ".part"
    stored(folder, "cd34", pixels)
    assert part in files(folder), "its writer may be alive"
    long_ago = time.time() - 2 * cache.ABANDONED
    os.utime(part, (long_ago, long_ago))
    cache._remove_abandoned.cache_clear()  # as in another process
    np.testing.assert_array_equal(stored(folder, "ab12", pixels), pixels())
    assert [file.name for file in files(folder)] == ["ab12.npy", "cd34.npy"]


# ------------------------------------------------------------------------------------------------ no place to write


def _disk_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: Any, array: np.ndarray, **_: object) -> None:
        file.write(array.tobytes()[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", half)


def _low_on_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FLOOR", 2**62)


def _read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)


@pytest.mark.parametrize("trouble", [_disk_full, _low_on_space, _read_only])
def test_where_nothing_can_be_written_one_warning_is_all(
    folder: Path,
    toy_data: Path,
    trouble: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Crops(DATA, toy_data, 0, folder)[0]
    kept = files(folder)
    usual = Crops(DATA, toy_data, 0, folder.with_name("other"))
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        trouble(patch)
        crops = Crops(DATA, toy_data, 0, folder)
        for ordinal in range(5):
            assert all(torch.equal(*both) for both in zip(crops[ordinal][:2], usual[ordinal][:2], strict=True))
    ours = [record.getMessage() for record in caplog.records if str(folder) in record.getMessage()]
    assert len(ours) == 1 and "nothing more is cached" in ours[0] and "REIN_CACHE" in ours[0]
    assert files(folder) == kept


def test_a_full_disk_still_answers_with_what_it_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(folder, "ab12", pixels)
    monkeypatch.setattr(cache, "FLOOR", 2**62)
    np.testing.assert_array_equal(stored(folder, "ab12", never), pixels())


def test_a_folder_that_cannot_be_made_is_warned_of_at_the_start(
    tmp_path: Path, toy_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    crops = Crops(DATA, toy_data, 0, tmp_path / "file" / "cache")
    assert len(caplog.records) == 1
    crops[0]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("worker", "warnings"), [(0, 1), (1, 0)])
def test_one_loader_process_warns_for_all(
    folder: Path, worker: int, warnings: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "get_worker_info", lambda: SimpleNamespace(id=worker))
    _disk_full(monkeypatch)
    stored(folder, "ab12", pixels)
    assert len(caplog.records) == warnings


def test_by_default_it_lies_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = prepare(None)
    assert made == tmp_path / f"rein-cache-{os.getuid()}" and made.is_dir()
    assert made.stat().st_mode & 0o077 == 0, "nobody else may read or write"
    assert prepare(None) == made


def test_a_folder_that_another_user_put_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"rein-cache-{os.getuid()}").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError, match="another user; name another folder by --cache"):
        prepare(None)


# ------------------------------------------------------------------------------------------------ image and label


def test_a_miss_and_a_hit_give_the_same(pair: Sample, folder: Path) -> None:
    missed = cached_pair(pair, DATA, folder)
    kept = {file: file.read_bytes() for file in files(folder)}
    hit = cached_pair(pair, DATA, folder)
    for tensors in (missed, hit):
        assert tensors[0].shape == (3, 24, 38) and tensors[1].shape == (24, 38)
        assert tensors[0].dtype == tensors[1].dtype == torch.uint8
    assert torch.equal(missed[0], hit[0]) and torch.equal(missed[1], hit[1]) and missed[2] == hit[2] == Unknown()
    assert kept == {file: file.read_bytes() for file in files(folder)} and len(kept) == 2


def test_labels_are_downscaled_to_ids_that_they_have(pair: Sample, folder: Path) -> None:
    _, label, _ = cached_pair(pair, DATA, folder)
    whole = np.asarray(Image.open(pair.label))
    # The centre of a small pixel lies in the pixel that it takes its id from.
    rows, cols = ([int((place + 0.5) * big / small) for place in range(small)] for small, big in ((24, 40), (38, 64)))
    np.testing.assert_array_equal(label.numpy(), whole[np.ix_(rows, cols)])


def test_images_are_downscaled_as_crops_are(pair: Sample, folder: Path) -> None:
    image, _, _ = cached_pair(pair, DATA, folder)
    whole = torch.from_numpy(np.asarray(Image.open(pair.image)).copy()).permute(2, 0, 1)
    expected = torch.nn.functional.interpolate(whole[None].float(), (24, 38), mode="bilinear", align_corners=False)[0]
    assert (image.float() - expected).abs().max() <= 0.501


@pytest.mark.parametrize("short", [40, 41, 5_000])
def test_nothing_is_upscaled(pair: Sample, folder: Path, short: int) -> None:
    for _ in range(2):
        image, label, _ = cached_pair(pair, replace(DATA, cache=short), folder)
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(pair.image)))
        np.testing.assert_array_equal(label.numpy(), np.asarray(Image.open(pair.label)))


def test_a_label_of_another_size_comes_to_its_images(pair: Sample, folder: Path) -> None:
    Image.open(pair.label).resize((128, 80), Image.Resampling.NEAREST).save(pair.label)
    image, label, _ = cached_pair(pair, DATA, folder)
    assert image.shape[1:] == label.shape


def test_a_pair_that_does_not_fit_is_refused_every_time(pair: Sample, folder: Path) -> None:
    Image.open(pair.label).resize((64, 64), Image.Resampling.NEAREST).save(pair.label)
    for _ in range(3):
        with pytest.raises(
            DataError, match=r"label\.png: 64x64 pixels, its image image\.png has 64x40; they do not belong"
        ):
            cached_pair(pair, DATA, folder)


@pytest.mark.parametrize("which", ["image", "label"])
def test_a_changed_file_is_another_entry(pair: Sample, folder: Path, which: str) -> None:
    before = cached_pair(pair, DATA, folder)
    path = getattr(pair, which)
    state = path.stat()
    Image.fromarray(np.full((40, 64, 3) if which == "image" else (40, 64), 7, np.uint8)).save(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    after = cached_pair(pair, DATA, folder)
    which_one = ("image", "label").index(which)
    assert (after[which_one] == 7).all() and not torch.equal(before[which_one], after[which_one])  # type: ignore[arg-type,union-attr]


@pytest.mark.parametrize(
    "change",
    [
        {"data": replace(DATA, cache=20)},
        {"table": CITYSCAPES_IDS},
        {"data": replace(DATA, classes=("road", "train"))},
        {"data": replace(DATA, unknown_ids="void")},
    ],
)
def test_whatever_else_is_asked_for_is_another_entry(pair: Sample, folder: Path, change: dict[str, Any]) -> None:
    Image.fromarray(np.full((40, 64), 7, np.uint8)).save(pair.label)
    sample = replace(pair, table=change.get("table", TRAIN_IDS))
    cached_pair(pair, DATA, folder)
    before = set(files(folder))
    there = cached_pair(sample, change.get("data", DATA), folder)
    assert set(files(folder)) - before
    alone = cached_pair(sample, change.get("data", DATA), folder.with_name("alone"))
    assert torch.equal(there[0], alone[0]) and torch.equal(there[1], alone[1])


def test_a_file_is_one_entry_by_whatever_path(pair: Sample, folder: Path, tmp_path: Path) -> None:
    cached_pair(pair, DATA, folder)
    before = files(folder)
    (tmp_path / "link").symlink_to(tmp_path)
    cached_pair(replace(pair, image=tmp_path / "link" / pair.image.name), DATA, folder)
    assert files(folder) == before


def test_unknown_ids_are_counted_hit_or_missed(pair: Sample, folder: Path) -> None:
    values = np.zeros((40, 64), np.uint8)
    values[:3], values[7, :5] = 99, 77
    Image.fromarray(values).save(pair.label)
    data = replace(DATA, unknown_ids="void")
    found = [cached_pair(pair, data, folder) for _ in range(2)]
    assert [unknown for *_, unknown in found] == [Unknown({"99": 3 * 64, "77": 5}, 3 * 64 + 5, 2)] * 2
    assert (found[1][1][0] == VOID).all()
    for _ in range(2):
        with pytest.raises(DataError, match=r"label\.png: label ids 99 .*77 "):
            cached_pair(pair, DATA, folder)


def test_a_file_that_went_is_named(pair: Sample, folder: Path) -> None:
    cached_pair(pair, DATA, folder)
    pair.label.unlink()
    with pytest.raises(DataError, match=r"label\.png: no such file"):
        cached_pair(pair, DATA, folder)


# ------------------------------------------------------------------------------------------------ training


def test_crops_are_cut_from_the_cached_pair(toy_data: Path, folder: Path) -> None:
    crops = Crops(replace(DATA, cache=40), toy_data, 5, folder)
    train = samples(find("toy-game"), "train", toy_data)
    order = torch.randperm(7, generator=seeds.generator(5, seeds.ORDER, 0))
    image, label, _ = cached_pair(train[int(order[3])], crops.data, folder)
    expected = training_crop(image, label, crops.data, seeds.generator(5, seeds.CROP, 3))
    for _ in range(2):
        assert all(torch.equal(*both) for both in zip(crops[3][:2], expected, strict=True))


def test_without_data_cache_nothing_is_written(toy_data: Path, folder: Path) -> None:
    Crops(replace(DATA, cache=None), toy_data, 0, folder)[0]
    assert not folder.exists()


#: Stated in the module: data set, its short side, share of it, crop's scale -> grey levels.
STATED = [
    ("camvid-day", "train", 360, 0.5, 0.35, 4.5),
    ("camvid-day", "train", 360, 0.5, 0.75, 4.6),
    ("camvid-day", "train", 360, 0.75, 0.5, 2.3),
    ("camvid-day", "train", 360, 0.75, 1.0, 4.8),
    ("carla", "train", 600, 0.5, 0.35, 1.8),
    ("carla", "train", 600, 0.5, 0.75, 1.8),
    ("carla", "train", 600, 0.75, 0.5, 0.9),
    ("carla", "train", 600, 0.75, 1.0, 2.0),
]


def _difference(sample: Sample, short: int, share: float, scale: float, folder: Path) -> float:
    whole = read_image(sample.image)
    small, _, _ = cached_pair(sample, Data(cache=round(short * share)), folder)
    height, width = size = tuple(round(length * scale) for length in whole.shape[1:])
    one, other = (resize_window(image, size, range(height), range(width)).float() for image in (whole, small))  # type: ignore[arg-type]
    return float((one - other).abs().mean())


@pytest.mark.parametrize(("domain", "split", "short", "share", "scale", "stated"), STATED)
def test_photographs_differ_by_the_stated_grey_levels(
    real_data: Path, folder: Path, domain: str, split: str, short: int, share: float, scale: float, stated: float
) -> None:
    some = samples(find(domain), split, real_data)[::8][:5]
    measured = np.mean([_difference(sample, short, share, scale, folder) for sample in some])
    assert 0.6 * stated < measured < 1.4 * stated


@pytest.mark.parametrize(("share", "bound"), [(0.5, 9.0), (0.75, 6.0)])
def test_toy_images_differ_by_few_grey_levels(toy_data: Path, folder: Path, share: float, bound: float) -> None:
    sample = samples(find("toy-game"), "train", toy_data)[0]
    short = min(read_image(sample.image).shape[1:])
    differences = [_difference(sample, short, share, scale, folder) for scale in (0.3, 0.6, 0.9, 1.0)]
    assert 0 < max(differences) < bound


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_crops_of_the_caches_own_scale_are_exact(toy_data: Path, folder: Path, share: float) -> None:
    sample = samples(find("toy-game"), "train", toy_data)[0]
    short = min(read_image(sample.image).shape[1:])
    assert _difference(sample, short, share, round(short * share) / short, folder) == 0


def test_crops_of_a_scale_below_one_show_the_same_place(toy_data: Path, folder: Path) -> None:
    # The window is drawn from the resized size, which is the same, and from the label, which is nearly so.
    data = replace(DATA, photometric=False, crop_size=48, scale=(1.0, 1.0), max_class_share=1.0, cache=48)
    plain, cached = Crops(replace(data, cache=None), toy_data, 0), Crops(data, toy_data, 0, folder)
    for ordinal in range(7):
        (image, label), (other, other_label) = plain[ordinal][:2], cached[ordinal][:2]
        assert (image.float() - other.float()).abs().mean() < 8
        assert (label == other_label).float().mean() > 0.9


def test_train_ids_are_the_readers_own(toy_data: Path, folder: Path) -> None:
    sample = samples(find("toy-game"), "train", toy_data)[0]
    expected, _ = read_label(sample.label, sample.table, CLASSES)
    _, label, _ = cached_pair(sample, Data(cache=10_000), folder)
    assert torch.equal(label, expected)
