"""Rein and its rivals: how should a vision foundation model be tuned to segment domains it has never seen?

`from rein import Experiment, load, build_model, train, evaluate, load_model, results`; `import rein` imports nothing
heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rein import results
    from rein.config import Experiment, Machine, Report, Sweep
    from rein.config_io import load
    from rein.evaluation import evaluate
    from rein.models.segmenter import build_model
    from rein.trained.inference import load_model
    from rein.training import train

__version__ = "0.1.0"

_HOMES = {
    "Experiment": "rein.config",
    "Machine": "rein.config",
    "Report": "rein.config",
    "Sweep": "rein.config",
    "load": "rein.config_io",
    "build_model": "rein.models.segmenter",
    "train": "rein.training",
    "evaluate": "rein.evaluation",
    "load_model": "rein.trained.inference",
}

__all__ = [
    "Experiment", "Machine", "Report", "Sweep", "build_model", "evaluate", "load", "load_model", "results", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "results":
        return importlib.import_module("rein.results")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rein' has no attribute {name!r}")
