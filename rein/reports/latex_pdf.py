"""A report's PDF, by latexmk where it is installed: nice to have, and never a reason to fail."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

#: Seconds that LaTeX may take; a document of twelve chapters takes a few.
PATIENCE = 120


def compile_pdf(document: Path) -> Path | None:
    """Compile `report.tex` into `report.pdf` beside it; None, with a warning that names LaTeX's log, where it fails.

    What LaTeX writes besides goes into a folder that is removed, but for the log of a failure.
    """
    pdf, kept = document.with_suffix(".pdf"), document.with_suffix(".log")
    for old in (pdf, kept):  # what was made of an earlier state must not be taken for this one's
        old.unlink(missing_ok=True)
    if shutil.which("latexmk") is None:
        log.warning("no PDF was made of %s: latexmk is not installed", document)
        return None
    with tempfile.TemporaryDirectory(prefix="rein-latex-") as scratch:
        flags = ("-norc", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "-file-line-error")
        command = ["latexmk", *flags, f"-outdir={scratch}", document.name]
        why = f"LaTeX stopped; its log: {kept}"
        try:
            code, made = _run(command, document.parent), Path(scratch, pdf.name)
            if code == 0 and made.is_file():
                shutil.copyfile(made, pdf)
                return pdf
        except subprocess.TimeoutExpired:
            why = f"LaTeX took more than {PATIENCE} s; its log: {kept}"
        except OSError as error:
            why = str(error)
        found = Path(scratch, kept.name)
        kept.write_bytes(found.read_bytes() if found.is_file() else b"LaTeX wrote no log\n")
        log.warning("no PDF was made of %s: %s", document, why)
    return None


def _run(command: list[str], folder: Path) -> int:
    """The exit code of a command, in a session of its own: with it ends whatever it has started, come what may.

    Raises subprocess.TimeoutExpired after `PATIENCE`.
    """
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        return process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
