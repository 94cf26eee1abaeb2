"""What a run was made with: code, packages, device, data and weights, so that a number can be traced."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from rein.config import Experiment, Machine
from rein.data.domains import find
from rein.data.listing import samples
from rein.data.selection import scored_domains
from rein.models.weights import digest, weight_file

PACKAGES = ("torch", "torchvision", "timm", "ray", "mlflow", "numpy", "pandas", "torchmetrics")


def describe(experiment: Experiment, machine: Machine, device: torch.device) -> dict[str, Any]:
    """The content of environment.json."""
    weights = weight_file(experiment.backbone, machine.weights)
    splits = [(name, "train") for name in experiment.data.sources]
    splits += [(name, "val") for name, _ in scored_domains(experiment) if "val" in find(name).splits]
    return {
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "weights": None if weights is None else {"file": weights.name, "sha256": digest(weights)},
        "data": {f"{name}/{split}": data_digest(name, split, machine.data) for name, split in splits},
    }


def data_digest(domain: str, split: str, root: Path) -> dict[str, Any]:
    """How many images a split has, and a digest over their names and sizes in bytes."""
    files = samples(find(domain), split, root)
    text = "\n".join(
        f"{image.relative_to(root)} {image.stat().st_size}" for image in (sample.image for sample in files)
    )
    return {"images": len(files), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that a folder lies in and whether it was changed; None outside of one."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None
