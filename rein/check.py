"""The doctor: is the data there, complete and readable?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rein.config import ConfigError
from rein.config_io import check_domain
from rein.data.classes import CLASSES, VOID
from rein.data.dataset import DomainDataset
from rein.data.domains import DOMAINS, DataError


def check_domains(names: list[str], root: Path) -> list[dict[str, Any]]:
    """One row per split: images found, classes seen, images read per second, and every file that cannot be used.

    Without names, all domains whose folder exists below `root` are looked at.
    """
    for name in names:
        check_domain(name)
    found = names or [name for name, domain in DOMAINS.items() if (root / domain.root).is_dir()]
    if not found:
        raise ConfigError(f"{root}: holds no folder of a known domain; point --data (or REIN_DATA) at the right one")
    return [_check_split(name, split, root) for name in found for split in DOMAINS[name].splits]


def _check_split(name: str, split: str, root: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"domain": name, "split": split, "images": 0, "classes": 0, "images/s": 0.0, "problems": []}
    try:
        dataset = DomainDataset(name, split, root)
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
