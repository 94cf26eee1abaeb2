"""One image and its label, read as a run reads them: what is in them, and why a run could not use them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from rein.check.alignment import agreement
from rein.data.dataset import check_pair
from rein.data.domain import DataError, Sample
from rein.data.label_tables import LabelTable, pack
from rein.data.reading import FORMATS, read_image, read_label

#: What is said of an image by PIL's name of its pixels; three channels of eight bits are what is expected.
MODES = {"L": "grey", "LA": "grey with alpha", "RGBA": "with alpha", "P": "with a palette", "I;16": "16-bit grey"}


@dataclass(frozen=True)
class Pair:
    """What was seen of an image and its label; sizes are (width, height)."""

    #: Why a run cannot use them, a sentence each that names the file.
    troubles: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    label_size: tuple[int, int] | None = None
    #: How the image differs from upright RGB.
    oddities: tuple[str, ...] = ()
    #: Of the decoded pixels: equal for the same picture in another file.
    digest: bytes = b""
    #: 16x16 means of grey, close for the same picture saved anew.
    thumbnail: bytes = b""
    #: Stored value (a colour as 0xRRGGBB) -> pixels, of values that the table knows and of those that it does not.
    values: tuple[tuple[int, int], ...] = ()
    unknown: tuple[tuple[int, int], ...] = ()
    #: Of the label's borders with the image's edges, in place and shifted (`alignment.agreement`).
    agreement: tuple[float, ...] = ()
    #: Seconds that reading both files took, and their size in bytes.
    seconds: float = 0.0
    bytes: int = 0


def examine(sample: Sample) -> Pair:
    """Read an image and its label; whatever goes wrong is told in the result and never raised."""
    troubles: list[str] = []
    image, image_time = _tried(_image, sample.image, sample, troubles)
    label, label_time = _tried(_label, sample.label, sample, troubles)
    if image and label:
        (width, height), (label_width, label_height) = image["image_size"], label["label_size"]
        _tried(lambda it: check_pair((height, width), (label_height, label_width), it), sample.label, sample, troubles)
    size = sum(path.stat().st_size for path in (sample.image, sample.label) if path.exists())
    facts = {**(image or {}), **(label or {})}
    arrays = {name: facts.pop(name) for name in ("image", "ids") if name in facts}
    if not troubles:
        facts["agreement"] = agreement(**arrays)
    return Pair(troubles=tuple(troubles), seconds=image_time + label_time, bytes=size, **facts)


def read_values(path: Path, table: LabelTable) -> tuple[np.ndarray, list[int], dict[int, int]]:
    """A label's stored values: (H, W) of places in the list of values that follows, 255 for those of the dict.

    The dict tells for every value that the table does not know how many pixels have it.
    """
    by_value, values = _by_value(table)
    places, unknown = read_label(path, by_value, [str(value) for value in values], "void")
    return places.numpy(), values, unknown


def names_by_value(table: LabelTable) -> dict[int, str]:
    """Value (a colour as 0xRRGGBB) -> class name or `void`."""
    return {pack(value) if isinstance(value, tuple) else value: name for value, name in table.names.items()}


def _tried(
    read: Callable[[Sample], dict[str, Any] | None], path: Path, sample: Sample, troubles: list[str]
) -> tuple[dict[str, Any] | None, float]:
    try:
        facts = read(sample)
    except DataError as error:
        troubles.append(str(error))
    except Exception as error:  # a file that breaks its decoder in a new way must not end the round
        troubles.append(f"{path}: {type(error).__name__}: {error}; replace or remove the file")
    else:
        return facts, facts.pop("seconds") if facts else 0.0
    return None, 0.0


def _image(sample: Sample) -> dict[str, Any]:
    began = time.perf_counter()
    image = read_image(sample.image)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "image": image.permute(1, 2, 0).numpy(),
        "image_size": (image.shape[2], image.shape[1]),
        "oddities": _oddities(sample.image),
        "digest": _digest(image),
        "thumbnail": _thumbnail(image),
    }


def _label(sample: Sample) -> dict[str, Any]:
    table, known = _by_value(sample.table)
    table.lookup([str(value) for value in known])  # made once and kept: not part of what reading takes
    began = time.perf_counter()
    places, values, unknown = read_values(sample.label, sample.table)
    seconds = time.perf_counter() - began
    pixels = np.bincount(places.ravel(), minlength=256).tolist()
    return {
        "seconds": seconds,
        "ids": places,
        "label_size": (places.shape[1], places.shape[0]),
        "values": tuple((value, number) for value, number in zip(values, pixels, strict=False) if number),
        "unknown": tuple(sorted(unknown.items())),
    }


def _oddities(path: Path) -> tuple[str, ...]:
    with Image.open(path, formats=FORMATS) as image:
        mode = () if image.mode == "RGB" else (MODES.get(image.mode, image.mode),)
        # Without this Pillow would decode a whole PNG to look for more.
        turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return (*mode, "turned by EXIF") if turned else mode


def _digest(image: Tensor) -> bytes:
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    return hashlib.blake2b(pixels.data, digest_size=16, salt=repr(pixels.shape[:2]).encode()[:16]).digest()


def _thumbnail(image: Tensor) -> bytes:
    step = max(1, min(image.shape[1:]) // 128)  # enough pixels for steady means
    grey = image[:, ::step, ::step].float().mean(0, keepdim=True)
    return adaptive_avg_pool2d(grey, 16).byte().numpy().tobytes()


@lru_cache(maxsize=32)
def _by_value(table: LabelTable) -> tuple[LabelTable, list[int]]:
    """A table that names every value by itself, so that a label reads as values rather than as classes.

    Values of one class fall together in a table of more than 254, the most that a label of bytes can tell apart.
    """
    names = names_by_value(table)
    first = {name: value for value, name in reversed(names.items())}
    kept = {value: value if len(names) <= 254 else first[name] for value, name in names.items()}
    words = dict(zip(table.names, map(str, kept.values()), strict=True))
    return replace(table, names=words), list(dict.fromkeys(kept.values()))
