"""Reading one image or label file; every refusal names the file, and nothing in a file can run code."""

from __future__ import annotations

import errno
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from rein.data import png
from rein.data.classes import VOID
from rein.data.domain import DataError, MachineError
from rein.data.label_tables import UNKNOWN, LabelTable
from rein.data.unknown import Unknown

#: The only formats that are tried, whatever a file's name says: others (EPS) start programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")

#: Errors of a disk, a network or a process's limits: another try may well read the same file.
_MACHINE = {
    errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ECONNRESET, errno.ENXIO, errno.ENODEV,
}  # fmt: skip


class _UnfitError(Exception):
    """A picture that can be read and is no label of its domain; the words say why, and what to do."""


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, turned as its EXIF orientation says, from its header."""
    with named(path), path.open("rb") as file, _opened(file) as image:
        turned = _orientation(image) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(path: Path, rows: int | None = None) -> Tensor:
    """An image file as uint8 RGB (3, H, W), or its first rows; its memory is in the order of (H, W, 3).

    16 bits are scaled to 8, transparency is dropped, and an EXIF orientation is followed, as OpenCV does.
    """
    with named(path):
        pixels = _rgb(path.read_bytes(), rows)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def read_label(
    path: Path, table: LabelTable, classes: Sequence[str], unknown_ids: str = "strict"
) -> tuple[Tensor, dict[int, int]]:
    """A label file as uint8 train ids (H, W), and how many pixels have each value that the table does not know.

    Such pixels are void where `unknown_ids` is `void`, else they raise DataError. Colours count as 0xRRGGBB.
    """
    with named(path):
        values = _colours(path.read_bytes()) if table.coloured else _ids(path.read_bytes(), table.channel)
    train_ids = table.lookup(classes).take(values)
    unknown = _unknown(values[train_ids == UNKNOWN])
    if unknown and unknown_ids == "strict":
        raise DataError(
            f"{path}: {Unknown.of(unknown, table.coloured)}; is this file a label of this domain? "
            f"data.unknown_ids=void reads them as void"
        )
    if unknown:
        train_ids[train_ids == UNKNOWN] = VOID
    return torch.from_numpy(train_ids), unknown


def _rgb(data: bytes, rows: int | None = None) -> np.ndarray:
    """uint8 (rows, W, 3) of an image file's bytes."""
    with _opened(io.BytesIO(data)) as image:
        form = png.header(data)
        if form and form.decodable and form.colour != png.PALETTE and _orientation(image) == 1:
            return _three(_eight_bits(png.decode(data, form, rows)))
        _turn(image)
        if image.mode[0] in "IF":  # 16 bits, 32 bits, floating point
            return _three(_eight_bits(np.asarray(image)[..., None]))[:rows]
        return np.array(image.convert("RGB"))[:rows]


def _three(pixels: np.ndarray) -> np.ndarray:
    """Three channels from one (grey), three or four (transparent)."""
    grey = pixels.shape[2] == 1
    return np.repeat(pixels, 3, axis=2) if grey else np.ascontiguousarray(pixels[..., :3])


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    # 65535 is 255 x 257: white stays white, and no value is clipped.
    return ((_sixteen_bits(pixels).astype(np.uint32) + 128) // 257).astype(np.uint8)


def _sixteen_bits(values: np.ndarray) -> np.ndarray:
    """The same values as uint16. Raises ValueError where they are no whole numbers of 0..65535."""
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its values are {values.dtype}, not whole numbers of 8 or 16 bits")
    return values.astype(np.uint16)


def _ids(data: bytes, channel: int | None) -> np.ndarray:
    """uint8 or uint16 (H, W) of a label file's bytes: palette indices, grey values, or one of several channels."""
    values = _stored(data)
    if values.ndim == 2:
        return values
    if channel is not None:
        if channel >= values.shape[2]:
            raise _UnfitError(
                f"has {values.shape[2]} channels, and ids are due in channel {channel}, counted from 0; a domain file "
                f"of your own can name another `channel`"
            )
        return values[..., channel]
    first = values[..., 0]
    # Grey, perhaps with transparency, that a tool saved in colour.
    if values.shape[2] > 2 and not ((first == values[..., 1]) & (first == values[..., 2])).all():
        raise _UnfitError(
            "shows colours where ids are due; if they are Cityscapes' colours, a domain file with `ids: label_colours` "
            "reads them"
        )
    return first


def _stored(data: bytes) -> np.ndarray:
    """The values that a label file holds, (H, W) or (H, W, channels), uint8 or uint16: no palette, no scaling."""
    with _opened(io.BytesIO(data)) as image:
        _check_lossless(image, data)
        form = png.header(data)
        if form and form.decodable and _orientation(image) == 1:
            values = png.decode(data, form)
            return values[..., 0] if values.shape[2] == 1 else values
        _turn(image)
        values = np.asarray(image)
    if form and form.colour == png.GREY and form.depth < 8 and values.dtype == np.uint8:
        return values // (255 // (2**form.depth - 1))  # Pillow stretches 2 and 4 bits to the full range
    return values.astype(np.uint8) if values.dtype in (bool, np.uint8) else _sixteen_bits(values)


def _colours(data: bytes) -> np.ndarray:
    """0xRRGGBB (H, W) of a label file's bytes."""
    with _opened(io.BytesIO(data)) as image:
        _check_lossless(image, data)
        if image.mode not in ("RGB", "RGBA", "P", "PA"):
            raise _UnfitError(
                f"has one channel ({image.mode}), and a label of this domain shows its classes by colours; a domain "
                f"file with `ids` reads ids"
            )
    red, green, blue = (channel.astype(np.uint32) for channel in np.moveaxis(_rgb(data), 2, 0))
    return red << 16 | green << 8 | blue


def _unknown(values: np.ndarray) -> dict[int, int]:
    return dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True))


def _check_lossless(image: Image.Image, data: bytes) -> None:
    """Raise _UnfitError where a file's format keeps only what looks like its pixels."""
    compression = str(image.info.get("compression", "")).removeprefix("tiff_").upper()
    lossy = (
        image.format in ("JPEG", "MPO")
        or (image.format == "WEBP" and data[12:16] != b"VP8L")
        or (image.format == "TIFF" and compression in ("JPEG", "WEBP"))
    )
    if lossy:
        kind = f"TIFF with {compression} compression" if image.format == "TIFF" else str(image.format)
        raise _UnfitError(f"{kind} does not keep ids: it is lossy; labels are due as PNG")


@contextmanager
def _opened(file: IO[bytes]) -> Iterator[Image.Image]:
    """One picture, its header read. Raises ValueError or an error of Pillow's for all that is not one."""
    if not file.read(1):
        raise ValueError("the file is empty")
    file.seek(0)
    with warnings.catch_warnings():
        # Pillow warns of 90 million pixels and refuses twice as many.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = Image.open(file, formats=FORMATS)
    with image:
        # An MPO is a photograph (JPEG) that brings a preview along.
        if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
            raise ValueError(f"{frames} frames; one picture is due")
        yield image


def _orientation(image: Image.Image) -> int:
    """How EXIF says that the picture is turned: 1 not at all, from 5 on with its sides swapped."""
    # Pillow turns a TIFF by itself, and would load a whole PNG to look for more.
    return image.getexif().get(ExifTags.Base.Orientation, 1) if "exif" in image.info else 1


def _turn(image: Image.Image) -> None:
    """Turn a picture where `_orientation` says so: loaded, it may say something else."""
    if _orientation(image) != 1:
        ImageOps.exif_transpose(image, in_place=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file, as a DataError that names it and the next step.

    What is the machine's trouble is MachineError, or MemoryError as it is.
    """
    try:
        yield
    except MemoryError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; complete the folder, or remove the image that it belongs to") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, where a file is due; rename or remove it") from None
    except PermissionError:
        raise DataError(f"{path}: may not be read; give yourself the right to (chmod u+r)") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: too large ({error}); replace or remove the file") from None
    except UnidentifiedImageError:
        raise DataError(
            f"{path}: not a readable image (none of {', '.join(FORMATS)}); replace or remove the file"
        ) from None
    except _UnfitError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        if error.errno in _MACHINE:
            raise MachineError(
                f"{path}: could not be read ({error.strerror}): that is the disk or a limit of the process and not the "
                f"file; when it is put right, the same command goes on"
            ) from error
        raise DataError(f"{path}: not a readable image ({error}); replace or remove the file") from error
    except Exception as error:  # damaged bytes make Pillow raise almost anything
        raise DataError(f"{path}: not a readable image ({error}); replace or remove the file") from error
