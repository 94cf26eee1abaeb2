"""Checkpoints of a run: only what trains, the optimizer, and the step; each complete or absent, the newest two kept.

No random state is stored: every draw is a function of the seed and the step (`rein.seeds`).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
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
    save_file(
        {name: tensor.detach().contiguous() for name, tensor in trainable(model)}, temporary / "model.safetensors"
    )
    save_file(
        {name: tensor.contiguous() for name, tensor in named_state(model, optimizer).items()},
        temporary / "optimizer.safetensors",
    )
    (temporary / "state.json").write_text(json.dumps({"step": step}))
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    for stale in sorted(folder.glob("step_*"))[:-KEPT]:
        shutil.rmtree(stale, ignore_errors=True)


def resume(folder: Path, model: nn.Module, optimizer: Optimizer) -> int:
    """Load the newest checkpoint that can be read and return its step; 0 where there is none."""
    for path in sorted(folder.glob("step_*"), reverse=True):
        try:
            state, step = (
                load_file(path / "optimizer.safetensors"),
                json.loads((path / "state.json").read_text())["step"],
            )
            load_named_state(model, optimizer, state)
            load_model(path / "model.safetensors", model)
            return step
        except (ConfigError, SafetensorError, OSError, ValueError) as error:
            log.warning("%s is damaged (%s); going on from the checkpoint before it", path, error)
            optimizer.state.clear()
    return 0


def newest(folder: Path) -> Path:
    """The weights of the newest checkpoint. Raises ConfigError where there is none."""
    files = sorted(folder.glob("step_*/model.safetensors"))
    if not files:
        raise ConfigError(
            f"{folder}: no checkpoint; the run was cut before its first one, `rein train` starts it again"
        )
    return files[-1]


def load_model(path: Path, model: nn.Module) -> None:
    """Load trained tensors into a model of the same experiment; every name and shape must match."""
    own: dict[str, Tensor] = dict(trainable(model))
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(
            f"{path}: not a readable checkpoint ({error}); delete its folder, so that the one before it "
            f"counts, or the run's, and repeat the run's command"
        ) from None
    missing, unused = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
    problems = {"missing": missing, "not used": unused, "of another shape": wrong}
    if any(problems.values()):
        lines = (f"{len(names)} {kind} ({', '.join(names[:3])})" for kind, names in problems.items() if names)
        raise ConfigError(f"{path}: does not fit this model: " + "; ".join(lines))
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])
