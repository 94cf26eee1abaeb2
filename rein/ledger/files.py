"""Files that a kill or a full disk leaves whole: replaced at once, or appended to in full."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from rein.disk import explained


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part; what fails leaves the old."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise explained(error, path) from error


def append(path: Path, text: str) -> None:
    """Append all of a text or nothing."""
    content = text.encode()
    try:
        with open(path, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                if (written := file.write(content)) != len(content):
                    raise OSError(errno.ENOSPC, f"only {written} of {len(content)} bytes were taken")
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                raise
    except OSError as error:
        raise explained(error, path) from error
