"""What a run was made with: code, packages, device, data and weights, so that a number can be traced."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from rein.config import Experiment, Machine
from rein.data import label_tables
from rein.data.domain import Layout
from rein.data.domains import find
from rein.data.label_tables import LabelTable
from rein.data.listing import look
from rein.data.selection import scored_domains, scored_files, scored_split, training_files
from rein.models.weights import digest, weight_file

PACKAGES = (
    "torch", "torchvision", "timm", "ray", "mlflow", "numpy", "pandas", "torchmetrics", "pillow", "kornia_rs", "scipy",
)  # fmt: skip


#: Images of a split whose sizes enter its digest, evenly spaced: on a network disk each file is a round trip.
SIZED = 1000


def describe(experiment: Experiment, machine: Machine, device: torch.device) -> dict[str, Any]:
    """The content of environment.json."""
    weights = weight_file(experiment.backbone, machine.weights)
    return {
        "git": git_state(Path(__file__).parents[2]),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "device_memory_mib": _memory(device),
        "threads": torch.get_num_threads(),
        "weights": None if weights is None else {"file": weights.name, "sha256": digest(weights)},
        "classes": list(experiment.classes),
        "data": describe_data(experiment, machine.data),
    }


def _memory(device: torch.device) -> int | None:
    """What the GPU has in all, in MiB."""
    return torch.cuda.get_device_properties(device).total_memory >> 20 if device.type == "cuda" else None


def describe_data(experiment: Experiment, root: Path) -> dict[str, Any]:
    """What each split that is read holds, and how many of its images are used.

    Of a domain without a val split `NAME/held out` is what is scored.
    """
    data, facts = experiment.data, {}
    for name, files in zip(data.sources, training_files(data, root), strict=True):
        facts[f"{name}/train"] = {**describe_split(name, "train", root), "used": len(files)}
    for name, _ in scored_domains(experiment):
        files = scored_files(data, name, root, experiment.evaluation.images)
        if (split := scored_split(name)) == "val":
            facts[f"{name}/val"] = {**describe_split(name, split, root), "used": len(files)}
        else:
            facts[f"{name}/held out"] = {"used": len(files)}
    return facts


def describe_split(domain: str, split: str, root: Path) -> dict[str, Any]:
    """How many labelled images a split has, in which layout and by which tables their labels are read, and digests.

    `sha256` is over the names of images and labels in the domain's folder and the sizes in bytes of some (`SIZED`),
    `definition` over how they were found, are read and scored, which the commit does not tell of a domain of one's own.
    """
    known, found = find(domain), look(find(domain), split, root)
    definition = (_reading(found.layout), known.splits[split].prefixes, known.evaluation_size, known.corruption)
    every = -(-len(found.samples) // SIZED) or 1
    lines = [
        f"{str(file).removeprefix(str(found.folder))} {_bytes(file) if index % every == 0 else ''}"
        for index, sample in enumerate(found.samples)
        for file in (sample.image, sample.label)
    ]
    return {
        "images": len(found.samples),
        "layout": found.layout.images,
        "labels": dict(Counter(_name(sample.table) for sample in found.samples)),
        "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "definition": hashlib.sha256(repr(definition).encode()).hexdigest()[:16],
    }


def _reading(layout: Layout) -> tuple[object, ...]:
    """How images and labels are found and read by the layout that counted: others of the domain change nothing."""
    labels = [(pattern, sorted(table.names.items()), table.channel) for pattern, table in layout.labels]
    return layout.images, labels, layout.halve


def _bytes(file: Path) -> int | str:
    try:
        return file.stat().st_size
    except OSError:  # whoever reads it says what is wrong
        return "missing"


def _name(table: LabelTable) -> str:
    """What a label table is called where the data sets' own are kept."""
    return next((name for name, known in vars(label_tables).items() if known is table), "of the domain's definition")


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that a folder lies in and whether it was changed; None outside of one."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", "."))}
    except (OSError, subprocess.SubprocessError):
        return None
