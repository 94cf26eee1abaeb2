"""Whether what a sweep's runs would read is there: weights on this machine or the hub's, images and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rein.config import Backbone, ConfigError, Data, Experiment
from rein.data.domain import DataError
from rein.data.domains import expand, find
from rein.data.selection import scored_domains, scored_files, training_files

#: Bytes of a parameter in the hub's files.
FP32 = 4


def weights(
    experiments: Iterable[Experiment], folder: Path, cost_of: Callable[[Experiment], Mapping[str, Any] | None]
) -> tuple[list[str], list[str]]:
    """A phrase for each backbone that is not simply there (`NAME: 1,217 MB to be downloaded`), and what is missing."""
    said: dict[str, None] = {}
    problems: dict[str, None] = {}
    for backbone, experiment in {experiment.backbone: experiment for experiment in experiments}.items():
        match backbone.weights:
            case "none":
                said["random ones need no file"] = None
            case "pretrained":
                said[_pretrained(backbone, cost_of(experiment) or {})] = None
            case _ if any(path.is_file() for path in _places(backbone, folder)):
                said[f"{Path(backbone.weights).name} is there"] = None
            case _:
                problems[
                    f"backbone.weights: no file {backbone.weights!r}, here or in {folder}; give its path, or the "
                    f"folder that holds it by --weights or REIN_WEIGHTS"
                ] = None
    return list(said), list(problems)


def _places(backbone: Backbone, folder: Path) -> tuple[Path, ...]:
    return Path(backbone.weights), folder / backbone.weights, folder / Path(backbone.weights).name


def _pretrained(backbone: Backbone, cost: Mapping[str, Any]) -> str:
    if "hub" not in cost:
        return f"{backbone.name}: not known"
    if cost["hub"] is None:
        return f"{backbone.name} is shipped"
    if is_cached(cost["hub"]):
        return f"{backbone.name} was downloaded before"
    return f"{backbone.name}: about {FP32 * cost['backbone'] / 1e6:,.0f} MB to be downloaded"


def is_cached(hub: str) -> bool:
    """Whether the hub's files of a model lie in this user's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{hub.replace('/', '--')}" / "snapshots"
    return any(path.suffix in (".safetensors", ".bin", ".pth") for path in snapshots.glob("*/*"))


def data(experiments: Iterable[Experiment], root: Path) -> tuple[list[str], list[str]]:
    """The domains that are there, and what stands in the way of the others; a toy domain is drawn when it is needed."""
    there: dict[str, None] = {}
    problems: dict[str, None] = {}
    for of, experiment in {_read_by(experiment.data): experiment for experiment in experiments}.items():
        if _undrawn(of, root):
            there["the toy world (drawn by the first run)"] = None
            continue
        try:
            training_files(of, root)
            for domain, _ in scored_domains(experiment):
                scored_files(of, domain, root)
        except (DataError, ConfigError) as error:
            problems[str(error)] = None
        else:
            there.update(dict.fromkeys((*of.sources, *of.targets)))
    return list(there), list(problems)


def _read_by(data: Data) -> Data:
    """What decides which files are read."""
    plain = Data()
    return replace(data, crop_size=plain.crop_size, batch_size=plain.batch_size, scale=plain.scale,
                   max_class_share=plain.max_class_share, flip=plain.flip, photometric=plain.photometric,
                   augmentation=plain.augmentation, cache=plain.cache)  # fmt: skip


def _undrawn(data: Data, root: Path) -> bool:
    """Whether it is the toy world, of which not all is drawn yet: to look would draw it."""
    domains = [find(member) for name in (*data.sources, *data.targets) for member in expand(name)]
    styles = {domain.toy_style for domain in domains}
    return None not in styles and not all((root / "toy" / str(style)).is_dir() for style in styles)
