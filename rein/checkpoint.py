"""Checkpoints of a run: only what trains, the optimizer, and the step; each complete or absent, the newest two kept.

No random state is stored: every draw is a function of the seed and the step (`rein.seeds`).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from rein.config import ConfigError
from rein.models.tuning import trainable
from rein.optim import load_named_state, named_state

log = logging.getLogger(__name__)

KEPT = 2


def save(folder: Path, step: int, model: nn.Module, optimizer: Optimizer) -> None:
    """Write `folder/step_000500/` and drop all but the newest two."""
    folder.mkdir(exist_ok=True)
    target = folder / f"step_{step:07d}"
    temporary = folder / f".{target.name}.{os.getpid()}"
    for leftover in folder.glob(".step_*"):  # of a save that was cut by a kill
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir()
    write_tensors(temporary / "model.safetensors", dict(trainable(model)))
    write_tensors(temporary / "optimizer.safetensors", named_state(model, optimizer))
    (temporary / "state.json").write_text(json.dumps({"step": step}))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    for stale in sorted(folder.glob("step_*"))[:-KEPT]:
        shutil.rmtree(stale, ignore_errors=True)


def write_tensors(file: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Write a safetensors file, readable as any other file is: the library writes it for its owner alone."""
    file.touch()
    mode = file.stat().st_mode
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, file, about)
    file.chmod(mode)


def resume(folder: Path, model: nn.Module, optimizer: Optimizer) -> int:
    """Load the newest checkpoint that can be read and return its step; 0 where there is none.

    Raises ConfigError where one can be read and belongs to another model.
    """
    for path in sorted(folder.glob("step_*"), reverse=True):
        try:
            weights, moments = (load_file(path / f"{name}.safetensors") for name in ("model", "optimizer"))
            step = json.loads((path / "state.json").read_text())["step"]
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            log.warning("%s is damaged (%s); the one before it counts, or else the run starts anew", path, error)
            continue
        _fill(model, weights, path / "model.safetensors")
        try:
            load_named_state(model, optimizer, moments)
        except ValueError as error:
            raise ConfigError(f"{path / 'optimizer.safetensors'}: {error}; delete its folder to start anew") from None
        return step
    return 0


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
