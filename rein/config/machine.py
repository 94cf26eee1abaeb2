"""Where and on what a run executes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Fields that are folders.
FOLDERS = ("data", "runs", "weights", "cache")


def _place(path: str | None) -> Path | None:
    return Path(path).absolute() if path else None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where and on what a run executes. Never hashed: it must not change a result."""

    #: Folder that holds the data sets.
    data: Path = field(default_factory=lambda: Path(os.environ.get("REIN_DATA", "data")).absolute())
    #: Where runs are recorded.
    runs: Path = field(default_factory=lambda: Path(os.environ.get("REIN_RUNS", "runs")).absolute())
    #: Folder of local weight files.
    weights: Path = field(default_factory=lambda: Path(os.environ.get("REIN_WEIGHTS", "weights")).absolute())
    #: `auto` takes CUDA where there is one.
    device: str = "auto"
    #: Loader processes; 0 loads in the training process. None takes four beside a GPU, none on the CPU.
    workers: int | None = None
    #: Threads of torch on the CPU; None leaves torch's choice.
    threads: int | None = None
    #: Images of a step's batch that go through the network at once, in each process; None: all. Halved by itself where
    #: the memory is too short. The numbers stay but for rounding.
    micro_batch: int | None = field(default_factory=lambda: int(os.environ.get("REIN_MICRO_BATCH", "0")) or None)
    #: Spread what of the backbone does not train over the processes of a run, block by block: for nets that one GPU
    #: cannot hold.
    shard: bool = field(default_factory=lambda: os.environ.get("REIN_SHARD", "0") == "1")
    #: Node-local folder of `data.cache` and of corrupted images; None: data.cache takes `rein-cache-<user id>` in the
    #: temporary folder.
    cache: Path | None = field(default_factory=lambda: _place(os.environ.get("REIN_CACHE")))
    #: Compile the backbone's blocks and the head's layers: worth it for long runs.
    compile: bool = False
    #: Seconds between two checkpoints: what a killed run loses at most, beside a step. 0: one at every record and
    #: before every score.
    checkpoint_seconds: float = field(default_factory=lambda: float(os.environ.get("REIN_CHECKPOINT_SECONDS", "300")))

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Machine:
        """The machine that `plain` gave those values of."""
        folders = {name: Path(values[name]) for name in FOLDERS if values[name] is not None}
        return cls(**{**values, **folders})

    def plain(self) -> dict[str, Any]:
        """Its fields as JSON knows them: folders as text."""
        folders = {name: str(folder) for name in FOLDERS if (folder := getattr(self, name)) is not None}
        return {**vars(self), **folders}
