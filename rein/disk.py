"""The disk that a folder lies on, or will lie on once it is made."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


def standing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that there is."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def free_bytes(folder: Path) -> int:
    """What is free there."""
    return shutil.disk_usage(standing(folder)).free


def explained(error: OSError, path: Path) -> OSError:
    """The error with the file it is about, and what to do where the disk is full."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "; make room, and the same command goes on from the last checkpoint" if full else ""
    return OSError(error.errno, f"{error.strerror or error}{hint}", str(path))
