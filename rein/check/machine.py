"""Device, folders and tracker: what is there, and what a run would stumble over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from rein.check.survey import folders, there
from rein.config import Machine
from rein.data.domains import DOMAINS
from rein.data.folders import not_known
from rein.disk import free_bytes, standing
from rein.tracking import default_uri

#: Below this a run's checkpoints, a tracker's database or a cache may not fit.
LOW_DISK_GIB = 5


def check_machine(machine: Machine) -> list[dict[str, Any]]:
    """One row each for device, runs folder, weights, data folder, cache if it has a place, and tracker.

    A row holds `what`, what was `found`, and its `problems` and `remarks`.
    """
    cache = [_folder("cache", machine.cache, "REIN_CACHE")] if machine.cache else []
    runs = _folder("runs", machine.runs, "--runs")
    return [_device(machine), runs, _weights(machine.weights), _data(machine.data), *cache, _tracker(machine)]


def _row(what: str, found: str, *problems: str) -> dict[str, Any]:
    return {"what": what, "found": found, "problems": list(problems), "remarks": []}


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


def _folder(what: str, folder: Path, option: str) -> dict[str, Any]:
    nearest, free = standing(folder), free_bytes(folder) >> 30
    problems = [] if os.access(nearest, os.W_OK) else [f"{nearest} cannot be written to; name another by {option}"]
    problems += [] if free >= LOW_DISK_GIB else [f"the disk of {nearest} is nearly full; name another by {option}"]
    return _row(what, f"{folder}, {free} GiB free", *problems)


def _weights(weights: Path) -> dict[str, Any]:
    files = sorted(path.name for path in weights.glob("*") if path.suffix in (".safetensors", ".pth", ".pt", ".bin"))
    return _row("weights", f"{weights}: {', '.join(files) or 'no local files (hub weights and the toy ViT need none)'}")


def _data(root: Path) -> dict[str, Any]:
    places = {place for domain in there(root) for place in folders(domain, root)}
    names = ", ".join(sorted(str(place).removeprefix(f"{root}/") for place in places))
    strange = not_known(root, (path for domain in DOMAINS.values() for path in domain.folders))
    row = _row("data", f"{root}: {names}" if names else str(root), *([] if names else [_nothing(root)]))
    return {**row, "remarks": [strange] if strange else []}


def _nothing(root: Path) -> str:
    known = sorted({domain.folders[0] for domain in DOMAINS.values() if not domain.toy_style})
    state = f"holds no known domain's folder ({', '.join(known)})" if root.is_dir() else "does not exist"
    return f"{root} {state}; --data or REIN_DATA names another, and a toy domain is drawn where it is named"


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
