"""Photographs that a corruption is made of, and that only another package may ship."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rein.data.domain import DataError

#: The published package has a sixth and never draws it.
FROST = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")


def frost_photographs() -> Path:
    """The folder of photographs of frost, which the package `imagecorruptions` ships and this one may not.

    Only its files are read; none of its code, or of the libraries that it needs, is loaded. Raises DataError where it
    is not installed.
    """
    package = importlib.util.find_spec("imagecorruptions")
    folder = Path(package.origin or "").parent / "frost" if package else None
    if folder is None or not all((folder / name).is_file() for name in FROST):
        raise DataError(
            "frost is made of photographs that come with the package imagecorruptions, which is not installed; "
            "pip install 'rein-bench[corruptions]' (its files alone: pip install --no-deps imagecorruptions-imaug), "
            "or name the other corruptions in data.targets"
        )
    return folder
