"""The disk that a folder lies on, or will lie on once it is made."""

from __future__ import annotations

import shutil
from pathlib import Path


def standing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that there is."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def free_bytes(folder: Path) -> int:
    """What is free there."""
    return shutil.disk_usage(standing(folder)).free
