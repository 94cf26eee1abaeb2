"""What a run is: an `Experiment` is a frozen value, and its hash is the run's name.

Every field is reachable by its dotted key (`tuning.rank`): the YAML path, the command-line override, the sweep
axis, the MLflow parameter and the results column are all this one string. Defaults are the paper's 512 recipe
(arXiv 2312.04265), so a file states only what differs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, TypeAdapter

from rein.config.data import Data
from rein.config.heads import Head, Mask2Former
from rein.config.mappings import to_dict
from rein.config.strict import STRICT
from rein.config.tunings import Rein, Tuning
from rein.data.classes import CLASSES

# Raised whenever a change to the code gives an unchanged config another meaning: old runs then keep their numbers
# and new ones get new names.
SCHEMA_VERSION = 1

#: Keys that are younger than the schema version, with the defaults that mean what was done before there was the key:
#: at those they do not enter the run id, so that finished runs keep their names.
YOUNGER: Mapping[str, Any] = {
    "data.classes": None,
    "data.weights": None,
    "data.fraction": 1.0,
    "data.holdout": 0.0,
    "data.unknown_ids": "strict",
    "data.on_error": "raise",
    "data.cache": None,
    "evaluation.size": None,
}


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The vision foundation model, by timm's name: any plain ViT, or a ConvNeXt, ResNet, Swin or Hiera."""

    __pydantic_config__ = STRICT
    #: timm's name, what it was pretrained on behind the dot; `rein list backbones` has the usual ones.
    name: str = "vit_large_patch14_dinov2.lvd142m"
    #: `pretrained` (timm's hub, or the file shipped with the package), `none` (random), or a weight file.
    #: A file is looked up as given, then in the weights folder; only its name enters the run id.
    weights: str = "pretrained"
    #: Side of a plain ViT's patch in pixels; kernels trained at another size (DINOv2: 14) are resized. None keeps the
    #: model's own. Hierarchical nets have strides of their own and pay no heed to it.
    patch_size: PositiveInt | None = 16
    #: How patch kernel and position table are resized: `reference` is plain bicubic; `timm` is the kernel by its
    #: pseudo-inverse, the table with antialiasing.
    resize: Literal["reference", "timm"] = "reference"
    #: 0-based blocks of a plain ViT whose outputs feed the head; None takes the reference's four (7, 11, 15, 23 of 24).
    blocks: tuple[NonNegativeInt, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Optim:
    """AdamW with polynomial decay to zero."""

    __pydantic_config__ = STRICT
    #: Learning rate of the head and of what a tuning adds to the backbone.
    lr: PositiveFloat = 1e-4
    #: Learning rate of the backbone's own parameters where the tuning trains them.
    backbone_lr: PositiveFloat = 1e-5
    #: Of all but norms, embeddings, prompts, and a Rein's tokens and scale.
    weight_decay: float = 0.05
    #: AdamW's running averages of the gradient and of its square.
    betas: tuple[float, float] = (0.9, 0.999)
    #: The rates decay as (1 - step / steps) ** power.
    power: PositiveFloat = 0.9
    #: Steps over which the rates rise from next to nothing, before they decay.
    warmup_steps: NonNegativeInt = 0
    #: `bf16`: matrix products under autocast; parameters stay fp32.
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """When and how a run is scored."""

    __pydantic_config__ = STRICT
    #: Score every so many steps as well as at the end; None scores at the end only.
    every: PositiveInt | None = None
    #: Side of the sliding window; None is the crop size.
    window: PositiveInt | None = None
    #: Distance of two windows; None is two thirds of the window (512 -> 341).
    stride: PositiveInt | None = None
    #: Images per domain, evenly spaced over the file list; None takes all.
    images: PositiveInt | None = None
    #: (width, height) that test images are resized to, keeping aspect inside it; None is each domain's own.
    size: tuple[PositiveInt, PositiveInt] | None = None


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that determines a run's numbers, and nothing else."""

    __pydantic_config__ = STRICT
    backbone: Backbone = field(default_factory=Backbone)
    tuning: Tuning = field(default_factory=Rein)
    head: Head = field(default_factory=Mask2Former)
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    evaluation: Evaluation = field(default_factory=Evaluation)
    #: Optimizer steps, one batch each.
    steps: PositiveInt = 40_000
    #: Of all that is drawn: initial values, crops, points. Runs that differ in it alone are repetitions.
    seed: NonNegativeInt = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """What is told apart and scored, in the order of train ids."""
        return self.data.classes or CLASSES

    @property
    def window(self) -> int:
        """Side of the sliding window in pixels."""
        return self.evaluation.window or self.data.crop_size

    @property
    def stride(self) -> int:
        """Distance of two windows in pixels: 341 of 512, 683 of 1024."""
        return self.evaluation.stride or round(self.window * 2 / 3)


def run_id(experiment: Experiment) -> str:
    """The run's name: 12 hex digits of sha256 over the canonical JSON of the experiment, defaults filled in.

    Places are not part of it: of a weight file only the name counts (its digest is recorded in the run).
    """
    # Validated once more, so that a 0 written for a 0.0 in Python names the same run as in YAML.
    values = to_dict(_experiment_adapter().validate_python(to_dict(experiment)))
    return id_of({name: canonical(name, value) for name, value in values.items()})


def canonical(name: str, value: Any) -> str:
    """The JSON of one field of an experiment (plain: a group's mapping, or a number) as it enters the run id."""
    if isinstance(value, dict):
        younger = _YOUNGER[name]
        value = {key: one for key, one in value.items() if key not in younger or one != younger[key]}
        if name == "backbone":
            value["weights"] = Path(value["weights"]).name
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def id_of(parts: Mapping[str, str]) -> str:
    """The run id of all fields of an experiment as `canonical` gives them."""
    everything = sorted({"schema": str(SCHEMA_VERSION), **parts}.items())
    text = ",".join(f'"{name}":{part}' for name, part in everything)
    return hashlib.sha256(f"{{{text}}}".encode()).hexdigest()[:12]


#: The same by group: its younger keys and their defaults.
_YOUNGER: defaultdict[str, dict[str, Any]] = defaultdict(dict)
for _key, _default in YOUNGER.items():
    _YOUNGER[_key.split(".")[0]][_key.split(".")[1]] = _default


@cache
def _experiment_adapter() -> TypeAdapter[Experiment]:
    return TypeAdapter(Experiment)
