"""The reference, written from the code: `python -m docs.generate` (or `make reference`) makes `docs/reference/`."""

from __future__ import annotations

from docs.generate.commands import commands
from docs.generate.configs import domain, experiment, report, sweep
from docs.generate.python import python

#: First line of every page, which only those see who edit it.
MADE = "<!-- Written by `make reference` from the code; a change here is lost. -->\n"


def pages() -> dict[str, str]:
    """File name below `docs/reference` -> its Markdown."""
    made = {
        "experiment.md": experiment(),
        "sweep.md": sweep(),
        "report.md": report(),
        "domain.md": domain(),
        "commands.md": commands(),
        "python.md": python(),
    }
    return {name: f"{MADE}\n{text.rstrip()}\n" for name, text in made.items()}
