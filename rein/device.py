"""On what a run computes, and in which precision."""

from __future__ import annotations

import os
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


def describe_device(device: torch.device) -> str:
    """`cpu`, or `cuda:3` by the number that the machine gives it, also where the process sees none of the others."""
    if device.type != "cuda":
        return device.type
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    index = device.index or 0
    return f"cuda:{seen[index] if index < len(seen) else index}"


def autocast(experiment: Experiment, device: torch.device) -> AbstractContextManager[Any]:
    """The precision a run computes in."""
    if experiment.optim.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def free(device: torch.device) -> None:
    """Give back what torch keeps of a device's memory for later use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """No autocast, whatever precision surrounds it; the meta device knows none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
