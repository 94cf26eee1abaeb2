"""The runs of a runs folder."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from pathlib import Path

from rein.config import ConfigError, nearest
from rein.ledger.run import Run


def runs(root: Path, but: Container[str] = ()) -> Iterator[Run]:
    """Every run below a runs folder, in the order of their ids, but those of some ids."""
    try:
        with os.scandir(root) as entries:  # a glob would make ten thousand paths that nobody looks at
            names = sorted(entry.name for entry in entries if entry.name not in but)
    except OSError:
        return
    for name in names:
        if os.path.isfile(f"{root}/{name}/experiment.yaml"):  # noqa: PTH113
            yield Run(root / name)


def find(root: Path, name: str) -> Run:
    """A run by its folder, its id, or the beginning of its id."""
    if (Path(name) / "experiment.yaml").is_file():
        return Run(Path(name).absolute())
    known = {run.id: run for run in runs(root)}
    matches = [run for id, run in known.items() if id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    problem = "no run of that id" if not matches else f"{len(matches)} runs begin so"
    raise ConfigError(
        f"{name}: {problem} in {root}{nearest(name, known)}; `rein list runs` prints them, --runs names another folder"
    )
