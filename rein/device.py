"""On what a run computes, and in which precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from rein.config import ConfigError, Experiment


def select_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises ConfigError for a name that torch does not know."""
    try:
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise ConfigError(f"device: torch knows no {name!r}; give cpu, cuda, cuda:1 or auto") from None


def autocast(experiment: Experiment, device: torch.device) -> AbstractContextManager[Any]:
    """The precision a run computes in."""
    if experiment.optim.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast, whatever precision surrounds it; the meta device knows none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
