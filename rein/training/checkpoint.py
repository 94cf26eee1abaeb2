"""Checkpoints of a run: only what trains, the optimizer, and the step; each complete or absent, the newest two kept.

No random state is stored: every draw is a function of the seed and the step (`rein.seeds`).
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from rein.config import ConfigError
from rein.models.tuning import trainable
from rein.training.optim import load_named_state, named_state

log = logging.getLogger(__name__)

KEPT = 2


class Place(NamedTuple):
    """Where a checkpoint goes on."""

    step: int
    #: Of the steps since the last record of the loss: the next record's mean takes them in.
    losses: Sequence[float] = ()


class Checkpoints:
    """The checkpoints of one attempt at a run: every so many seconds, and what to do where the disk takes none."""

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: Optimizer,
        seconds: float,
        step: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`step`: where the attempt begins; `check` raises where this process must not write any more."""
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.seconds, self.step, self.check = seconds, step, check
        self.tried, self.failed = time.monotonic(), False

    def is_due(self, recorded: bool) -> bool:
        """`recorded`: whether the losses of all steps are; at intervals of 0 s that is when one is due."""
        return (recorded or self.seconds > 0) and time.monotonic() - self.tried >= self.seconds

    def save(self, step: int, losses: Sequence[float] = (), must: bool = False) -> None:
        """Write a checkpoint of a step that has none; one that cannot be written is warned of, unless it `must`.

        Raises FloatingPointError where what would be kept is not finite.
        """
        if step == self.step:
            return
        try:
            save(self.folder, Place(step, losses), self.model, self.optimizer, self.check)
        except OSError as error:
            if must:
                raise
            say = log.info if self.failed else log.warning
            say("step %d: the checkpoint cannot be written (%s); the run goes on, and tries again later", step, error)
            self.failed = True
        else:
            self.step, self.failed = step, False
        self.tried = time.monotonic()


def save(
    folder: Path,
    place: Place,
    model: nn.Module,
    optimizer: Optimizer,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write `folder/step_000500/` and drop all but the newest two.

    `check` is called before anything that is there is touched. Raises FloatingPointError, with nothing written, where
    a weight, a moment of the optimizer, or a loss is not finite.
    """
    tensors = {"model": dict(trainable(model)), "optimizer": named_state(model, optimizer)}
    _check_finite(place, tensors)
    check()
    folder.mkdir(exist_ok=True)
    target = folder / f"step_{place.step:07d}"
    temporary = folder / f".{target.name}.{os.getpid()}"
    for leftover in folder.glob(".step_*"):  # of a save that was cut by a kill
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        temporary.mkdir()
        for name, values in tensors.items():
            write_tensors(temporary / f"{name}.safetensors", values)
        (temporary / "state.json").write_text(json.dumps(place._asdict()))
        check()
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for stale in sorted(folder.glob("step_*"))[:-KEPT]:
        shutil.rmtree(stale, ignore_errors=True)


def _check_finite(place: Place, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    wrong = {"a loss"} if not all(map(math.isfinite, place.losses)) else set[str]()
    wrong |= {name for values in tensors.values() for name, tensor in values.items() if not tensor.isfinite().all()}
    if wrong:
        raise FloatingPointError(f"step {place.step}: {min(wrong)} is not finite; a lower optim.lr may help")


def write_tensors(file: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Write a safetensors file, readable as any other file is: the library writes it for its owner alone.

    Raises OSError where not all of it has reached the disk.
    """
    file.touch()
    mode = file.stat().st_mode
    try:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, file, about)
    except SafetensorError as error:  # as it calls a disk that is full
        raise OSError(errno.EIO, str(error), str(file)) from None
    file.chmod(mode)
    with open(file, "rb+") as written:
        os.fsync(written.fileno())  # a network disk says only now that a quota is used up


def resume(folder: Path, model: nn.Module, optimizer: Optimizer) -> Place:
    """Load the newest checkpoint that can be read and return its place; step 0 where there is none.

    Raises ConfigError where one can be read and belongs to another model.
    """
    for path in sorted(folder.glob("step_*"), reverse=True):
        try:
            weights, moments = (load_file(path / f"{name}.safetensors") for name in ("model", "optimizer"))
            place = Place(**json.loads((path / "state.json").read_text()))
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            log.warning("%s is damaged (%s); the one before it counts, or else the run starts anew", path, error)
            continue
        _fill(model, weights, path / "model.safetensors")
        try:
            load_named_state(model, optimizer, moments)
        except ValueError as error:
            raise ConfigError(f"{path / 'optimizer.safetensors'}: {error}; delete its folder to start anew") from None
        return place
    return Place(0)


def newest(folder: Path) -> Path:
    """The weights of the newest checkpoint. Raises ConfigError where there is none."""
    files = sorted(folder.glob("step_*/model.safetensors"))
    if not files:
        raise ConfigError(
            f"{folder}: no checkpoint; the run was cut before its first one, `rein train` starts it again"
        )
    return files[-1]


def step_of(file: Path) -> int:
    """The step that a checkpoint's file belongs to."""
    return int(file.parent.name.removeprefix("step_"))


def fill(model: nn.Module, file: Path) -> None:
    """Load trained weights into a model of the same experiment.

    Raises ConfigError where the file cannot be read, or a name or shape does not match.
    """
    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"{file}: not a readable checkpoint ({error}); delete its folder, so that the one before it "
            f"counts, or the run's, and repeat the run's command"
        ) from None
    _fill(model, weights, file)


def _fill(model: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    own: dict[str, Tensor] = dict(trainable(model))
    problems = {
        "missing": sorted(own.keys() - weights.keys()),
        "not used": sorted(weights.keys() - own.keys()),
        "of another shape": sorted(
            name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape
        ),
    }
    if any(problems.values()):
        lines = (f"{len(names)} {kind} ({', '.join(names[:3])})" for kind, names in problems.items() if names)
        raise ConfigError(
            f"{file}: does not fit this model: {'; '.join(lines)}; other code or another run has written it, "
            f"delete its folder to start anew"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])
