"""Reading one image or label file; every refusal names the file, and nothing in a file can run code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rein.data.classes import VOID
from rein.data.domain import DataError
from rein.data.label_tables import UNKNOWN, LabelTable

#: The only formats that are tried, whatever a file's name says: others (EPS) start programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, from its header."""
    with _opened(path) as image:
        return image.height, image.width


def read_image(path: Path, rows: int | None = None) -> Tensor:
    """An image file as uint8 RGB (3, H, W), or its first rows."""
    with _opened(path) as image:
        pixels = _pixels(image, path, "RGB")
    return torch.from_numpy(pixels[:rows]).permute(2, 0, 1)


def read_label(
    path: Path, table: LabelTable, classes: Sequence[str], unknown_ids: str = "strict"
) -> tuple[Tensor, dict[int, int]]:
    """A label file as uint8 train ids (H, W), and how many pixels have each value that the table does not know.

    Such pixels are void where `unknown_ids` is `void`, else they raise DataError.
    """
    with _opened(path) as image:
        values = _pixels(image, path)
    if values.ndim == 3:
        if table.channel is None:
            raise DataError(f"{path}: {values.shape[2]} channels; a label of this domain has one channel of ids")
        values = values[..., table.channel]
    train_ids = table.lookup(classes)[values]
    unknown: dict[int, int] = {}
    if (missing := train_ids == UNKNOWN).any():
        unknown = dict(zip(*(part.tolist() for part in np.unique(values[missing], return_counts=True)), strict=True))
        if unknown_ids == "strict":
            raise DataError(
                f"{path}: label ids {list(unknown)} are not in the domain's table; is this file a label of this "
                f"domain? data.unknown_ids=void reads them as void"
            )
        train_ids[missing] = VOID
    return torch.from_numpy(train_ids), unknown


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; complete the folder, or remove the image that it belongs to") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from None


def _pixels(image: Image.Image, path: Path, mode: str | None = None) -> np.ndarray:
    try:
        return np.array(image.convert(mode) if mode else image)
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: not a readable image ({error}); replace or remove the file")
