"""A node-local cache of decoded, downscaled images and labels: `data.cache` pixels of short side, memory-mapped.

What it costs in exactness: crops differ from those of the files themselves because pixels are resampled twice. Over
the recipe's crops (short sides of 0.25 to 1 of the file's) the mean absolute difference is 4.3 of 255 grey levels for
CamVid's photographs (480x360) and 1.7 for CARLA's renderings (800x600) where `data.cache` is half of the files' short
side, 2.6 and 1.1 where it is three quarters; 1 to 2 % of the label's pixels differ. Whole images, by the ratio of the
resized short side to the file's:

| `data.cache` | data   | 0.25 | 0.35 | 0.5 | 0.75 | 1.0 | 1.5 |
| ------------ | ------ | ---- | ---- | --- | ---- | --- | --- |
| 1/2          | CamVid | 4.8  | 4.5  | 0   | 4.6  | 6.8 | 4.1 |
| 1/2          | CARLA  | 1.8  | 1.8  | 0   | 1.8  | 2.8 | 1.7 |
| 3/4          | CamVid | 0    | 2.8  | 2.3 | 0    | 4.8 | 2.9 |
| 3/4          | CARLA  | 0    | 1.2  | 0.9 | 0    | 2.0 | 1.2 |

Images are downscaled by the filter of the crops themselves, bilinear without antialiasing: of the six filters that were
compared none comes nearer at one half, at three quarters only an antialiased Lanczos does (by 0.2 of 2.8). A bilinear
one with antialiasing is off by 2.5 even where the crop's scale is the cache's, and would show the network smoother
images than the recipe does.

Space: 4 bytes a pixel with the label. Images of 16:9 take 1.0 MB at a short side of 384, 1.9 MB at 512, 3.7 MB at 720:
25,000 of them 26, 47 and 92 GB. Nothing is written while less than `FLOOR` bytes of the disk would be left. No entry
is ever changed, so the folder may be deleted at any time, even while runs use it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from rein.config import ConfigError, Data
from rein.data import corruptions
from rein.data.domain import Sample
from rein.data.reading import named
from rein.data.transforms import match_label, resize_window
from rein.data.unknown import Unknown
from rein.data.whole import check_pair, whole_image, whole_label, whole_size

log = logging.getLogger(__name__)

#: Raised with every change to what an entry holds: older ones are then no longer looked at.
VERSION = 2
#: Bytes that always stay free on the disk.
FLOOR = 5 * 2**30
#: Seconds after which an unfinished file is that of a killed writer; a living one needs a few.
ABANDONED = 3600

#: Folders that could not be written to: this process has warned of them and does not try again.
_given_up: set[Path] = set()


def cached_pair(sample: Sample, data: Data, folder: Path) -> tuple[Tensor, Tensor, Unknown]:
    """uint8 image (3, h, w), uint8 train ids (h, w) and the label file's unknown ids, downscaled to `data.cache`.

    Image and label are of one size, at most `data.cache` on the short side. They may be maps of files: not to be
    written to. Raises DataError as the readers do.
    """
    asked = (data.cache, sample.halve, sample.corruption, _identity(sample.image))
    image = stored(folder, key("image", *asked), lambda: _small_image(sample, data))
    reading = (sample.table, data.classes, data.unknown_ids, _identity(sample.label))

    @functools.cache
    def read() -> tuple[Tensor, Unknown]:
        return _small_label(sample, data, (image.shape[0], image.shape[1]))

    label = stored(folder, key("label", *asked, *reading), lambda: read()[0].numpy())
    unknown = Unknown()
    if data.unknown_ids != "strict":
        text = stored(folder, key("unknown", *asked, *reading), lambda: _as_bytes(read()[1]))
        unknown = Unknown(**json.loads(text.tobytes()))
    return _tensor(image).permute(2, 0, 1), _tensor(label), unknown


def cached_image(sample: Sample, folder: Path) -> Tensor:
    """uint8 image (3, H, W) of a corrupted sample in full size, which may be the map of a file: not to be written to.

    Raises DataError as the readers do.
    """
    asked = (corruptions.VERSION, sample.corruption, sample.halve, _identity(sample.image))
    return _tensor(stored(folder, key("corrupted", *asked), lambda: whole_image(sample).numpy()))


def stored(folder: Path, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """A read-only uint8 array: the map of the file kept under a key, else what `make` returns, which is then kept.

    Any number of processes may ask for a key at once. A damaged file is made anew; where nothing can be written,
    that is one warning.
    """
    path = folder / key[:2] / f"{key}.npy"
    array = _mapped(path)
    if array is None:
        array = np.ascontiguousarray(make()).view()
        if array.dtype != np.uint8:
            raise TypeError(f"the cache holds uint8 arrays, not {array.dtype}")
        array.flags.writeable = False
        _keep(folder, path, array)
    return array


def key(*parts: object) -> str:
    """A name for an entry: a digest over everything that determines it, by its `repr`."""
    return hashlib.sha256(repr((VERSION, *parts)).encode()).hexdigest()[:40]


def prepare(place: Path | None) -> Path:
    """The folder to cache in, by default one in the temporary folder; warns where nothing can be written to it.

    Raises ConfigError where the default folder is another user's.
    """
    folder = place or Path(tempfile.gettempdir()) / f"rein-cache-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever came first in the temporary folder could have our runs train on images of theirs.
        if place is None and (folder.is_symlink() or folder.stat().st_uid != os.getuid()):
            raise ConfigError(f"{folder}: belongs to another user; name another folder by --cache or REIN_CACHE")
        if not os.access(folder, os.W_OK):
            raise PermissionError("not writable")
        _check_room(folder, 0)
    except OSError as error:
        _give_up(folder, error)
    return folder


def _mapped(path: Path) -> np.ndarray | None:
    try:
        array = np.lib.format.open_memmap(path, mode="r")
        whole = array.dtype == np.uint8 and array.offset + array.nbytes == path.stat().st_size
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged header makes numpy raise almost anything
        log.debug("%s: %s; made anew", path, error)
        return None
    return array if whole else None


def _keep(folder: Path, path: Path, array: np.ndarray) -> None:
    if folder in _given_up:
        return
    part = path.with_name(f"{path.stem}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        _check_room(folder, array.nbytes)
        with part.open("xb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())  # else a node that loses power may be left with a whole file of zeros
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        _give_up(folder, error)


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free - size < FLOOR:
        raise OSError(f"{free / 2**30:.1f} GiB are left on its disk, and {FLOOR / 2**30:.0f} stay free")


def _give_up(folder: Path, error: OSError) -> None:
    _given_up.add(folder)
    worker = get_worker_info()
    if worker is None or worker.id == 0:  # one of a run's processes speaks for all
        log.warning(
            "%s: nothing more is cached (%s); the run goes on from the files, slower. --cache or REIN_CACHE names "
            "another folder",
            folder,
            error,
        )


@functools.cache
def _remove_abandoned(folder: Path) -> None:
    for part in folder.glob("??/*.part"):
        try:
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()
        except FileNotFoundError:  # another process was faster
            continue


def _identity(path: Path) -> tuple[str, int, int]:
    with named(path):
        state = path.stat()
    return os.path.realpath(path), state.st_size, state.st_mtime_ns


def _small_image(sample: Sample, data: Data) -> np.ndarray:
    image = whole_image(sample)
    height, width = size = _small_size(tuple(image.shape[1:]), data)
    if size != image.shape[1:]:
        image = resize_window(image, size, range(height), range(width))
    return image.permute(1, 2, 0).numpy()  # (h, w, 3) as files are decoded: crops are gathered from that the fastest


def _small_label(sample: Sample, data: Data, size: tuple[int, int]) -> tuple[Tensor, Unknown]:
    label, unknown = whole_label(sample, data)
    check_pair(whole_size(sample), tuple(label.shape), sample)
    return match_label(label, size), unknown


def _small_size(shape: tuple[int, ...], data: Data) -> tuple[int, int]:
    factor = min(1.0, (data.cache or min(shape)) / min(shape))
    height, width = (round(length * factor) for length in shape)
    return height, width


def _as_bytes(unknown: Unknown) -> np.ndarray:
    return np.frombuffer(json.dumps(asdict(unknown)).encode(), np.uint8)


def _tensor(array: np.ndarray) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and nobody writes
        return torch.from_numpy(array)
