"""The doctor: are machine, tracker and data as a run needs them?"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from rein.config import Data, Machine
from rein.config_io import check_domain
from rein.data.classes import CLASSES, VOID
from rein.data.dataset import WholeImages
from rein.data.domain import DataError
from rein.data.domains import DOMAINS, find
from rein.data.listing import samples
from rein.tracking import default_uri

#: Below this a run's checkpoints and a tracker's database may not fit.
LOW_DISK_GIB = 5


def check_machine(machine: Machine) -> list[dict[str, Any]]:
    """One row each for device, runs folder, weights, data folder and tracker: what is there, and what is wrong."""
    return [_device(machine), _runs(machine.runs), _weights(machine.weights), _data(machine.data), _tracker(machine)]


def check_domains(names: list[str], root: Path) -> list[dict[str, Any]]:
    """One row per split: images found, classes seen, images read per second, and every file that cannot be used.

    Without names, all domains whose folder exists below `root` are looked at.
    """
    for name in names:
        check_domain(name)
    return [_check_split(name, split, root) for name in names or _found(root) for split in find(name).splits]


def _found(root: Path) -> list[str]:
    return [name for name, domain in DOMAINS.items() if any((root / folder).is_dir() for folder in domain.folders)]


def _row(what: str, found: str, *problems: str) -> dict[str, Any]:
    return {"what": what, "found": found, "problems": list(problems)}


def _device(machine: Machine) -> dict[str, Any]:
    import psutil
    import torch

    from rein.device import select_device

    device = select_device(machine.device)
    cpus = f"{len(os.sched_getaffinity(0))} CPUs, {psutil.virtual_memory().total >> 30} GiB"
    if device.type != "cuda":
        return _row("device", f"{device.type}; {cpus}")
    if not torch.cuda.is_available():
        return _row("device", cpus, f"{machine.device} was asked for and torch {torch.__version__} sees no GPU")
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return _row("device", ", ".join(f"{gpu.name} {gpu.total_memory >> 30} GiB" for gpu in gpus) + f"; {cpus}")


def _runs(runs: Path) -> dict[str, Any]:
    there = next(folder for folder in (runs, *runs.parents) if folder.exists())
    free = shutil.disk_usage(there).free >> 30
    problems = [] if os.access(there, os.W_OK) else [f"{there} cannot be written to; name another folder by --runs"]
    problems += [] if free >= LOW_DISK_GIB else [f"the disk of {there} is nearly full; name another by --runs"]
    return _row("runs", f"{runs}, {free} GiB free", *problems)


def _weights(weights: Path) -> dict[str, Any]:
    files = sorted(path.name for path in weights.glob("*") if path.suffix in (".safetensors", ".pth", ".pt", ".bin"))
    return _row("weights", f"{weights}: {', '.join(files) or 'no local files (hub weights and the toy ViT need none)'}")


def _data(root: Path) -> dict[str, Any]:
    names = _found(root)
    nothing = "no known domain; --data or REIN_DATA names another place (the toy world is drawn on first use)"
    return _row("data", f"{root}: {', '.join(names) or nothing}")


def _tracker(machine: Machine) -> dict[str, Any]:
    uri = default_uri(machine.runs)
    if uri.startswith("sqlite:///"):
        made = Path(uri.removeprefix("sqlite:///")).is_file()
        return _row("tracker", uri + ("" if made else " (made by the first run)"))
    if not uri.startswith("http"):
        return _row("tracker", uri)
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=5):
            return _row("tracker", f"{uri} answers")
    except HTTPError as error:
        return _row("tracker", f"{uri} answers with status {error.code}")
    except OSError as error:
        return _row("tracker", uri, f"{uri}: no answer ({error}); start the server or correct MLFLOW_TRACKING_URI")


def _check_split(name: str, split: str, root: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"domain": name, "split": split, "images": 0, "classes": 0, "images/s": 0.0, "problems": []}
    try:
        dataset = WholeImages(samples(find(name), split, root), Data())
    except DataError as error:
        return {**row, "problems": [str(error)]}
    seen: set[int] = set()
    started = time.perf_counter()
    for index in range(len(dataset)):
        try:
            seen.update(dataset[index][1].unique().tolist())
        except DataError as error:
            row["problems"].append(str(error))
    row["images"], row["classes"] = len(dataset), f"{len(seen - {VOID})}/{len(CLASSES)}"
    row["images/s"] = round(len(dataset) / (time.perf_counter() - started), 1)
    return row
