"""The folder that Tune wants for its own files: of one driver, gone with it, and of a killed one with the next."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from rein.ledger.processes import began, machine


@contextmanager
def scratch() -> Iterator[str]:
    """A folder among the system's temporary ones while the context lasts; it takes away what killed drivers left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        pid = folder.name.removeprefix(_prefix()).split("-")[0]
        if pid.isdecimal() and began(int(pid)) is None:
            shutil.rmtree(folder, ignore_errors=True)
    # Tune may still write while the driver is interrupted, which is nothing to complain of.
    with tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield folder


def _prefix() -> str:
    """Of this machine, for temporary folders may be shared: with another container, a pid means another process."""
    return f"rein-ray-{sha256(machine().encode()).hexdigest()[:8]}-"
