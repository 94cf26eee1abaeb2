"""What a run is: an `Experiment` is a frozen value, and its hash is the run's name.

Every field is reachable by its dotted key (`tuning.rank`): the YAML path, the command-line override, the sweep
axis, the MLflow parameter and the results column are all this one string. Defaults are the paper's 512 recipe
(arXiv 2312.04265), so a file states only what differs.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
)

from rein.data.classes import CLASSES

# Raised whenever a change to the code gives an unchanged config another meaning: old runs then keep their numbers
# and new ones get new names.
SCHEMA_VERSION = 1

#: Keys that are younger than the schema version, with the defaults that mean what was done before there was the key:
#: at those they do not enter the run id, so that finished runs keep their names.
_YOUNGER: Mapping[str, Any] = {
    "data.classes": None,
    "data.weights": None,
    "data.fraction": 1.0,
    "data.holdout": 0.0,
    "data.unknown_ids": "strict",
    "data.on_error": "raise",
    "data.cache": None,
    "evaluation.size": None,
}

_STRICT = ConfigDict(extra="forbid")


class ConfigError(ValueError):
    """A wrong word in a file or on the command line; the message names it, its place and the next step."""


# ------------------------------------------------------------------------------------------------ the experiment


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The vision foundation model, by timm's name: any plain ViT, or a ConvNeXt, ResNet, Swin or Hiera."""

    __pydantic_config__ = _STRICT
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


#: Which of the backbone's own parameters train beside what a tuning adds: `[norm]`, `[bias]`, or both.
Also = tuple[Literal["norm", "bias"], ...]


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Nothing of the backbone trains; the head alone does."""

    __pydantic_config__ = _STRICT
    method: Literal["frozen"] = "frozen"


@dataclass(frozen=True, kw_only=True)
class Full:
    """Every parameter of the backbone trains, at `optim.backbone_lr`."""

    __pydantic_config__ = _STRICT
    method: Literal["full"] = "full"


@dataclass(frozen=True, kw_only=True)
class Partial:
    """A share of the backbone's own parameters trains: one axis from frozen (0) to full (1)."""

    __pydantic_config__ = _STRICT
    method: Literal["partial"] = "partial"
    #: Share of the backbone's parameters, 0..1: norms and biases first, then weights from the last block to the first.
    trainable: Annotated[float, Field(ge=0, le=1)] = 0.1


@dataclass(frozen=True, kw_only=True)
class LastBlocks:
    """The last blocks train, those before them stay frozen."""

    __pydantic_config__ = _STRICT
    method: Literal["last_blocks"] = "last_blocks"
    blocks: PositiveInt = 4
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class Norm:
    """The norms' weights and biases train."""

    __pydantic_config__ = _STRICT
    method: Literal["norm"] = "norm"


@dataclass(frozen=True, kw_only=True)
class BitFit:
    """The biases train (arXiv 2106.10199)."""

    __pydantic_config__ = _STRICT
    method: Literal["bitfit"] = "bitfit"


@dataclass(frozen=True, kw_only=True)
class Rein:
    """Learnable tokens refine the features after every frozen block (arXiv 2312.04265, section 3)."""

    __pydantic_config__ = _STRICT
    method: Literal["rein"] = "rein"
    token_length: PositiveInt = 100
    #: Rank of the token factorisation `T = A B`; None makes every layer's tokens a free parameter.
    rank: PositiveInt | None = 16
    #: One set of MLPs for all layers; False gives each layer its own.
    shared: bool = True
    #: What the tokens do to the head's queries: `replace` them (the paper), `add` to learned ones, or `none`; which a
    #: head without queries (`semfpn`, `linear`) makes of every link.
    link: Literal["replace", "add", "none"] = "replace"
    softmax: bool = True
    #: `learnable`: updates are scaled by a scalar that starts at 0.001; `zero_init`: W_f and b_f start at zero.
    scale: Literal["learnable", "zero_init"] = "learnable"
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """Low-rank updates of the attention's linear layers (arXiv 2106.09685)."""

    __pydantic_config__ = _STRICT
    method: Literal["lora"] = "lora"
    rank: PositiveInt = 8
    #: The update is scaled by alpha / rank.
    alpha: PositiveFloat = 8.0
    #: Linear layers of a block: `qkv` is the projection as the net has it, fused (DINOv2) or separate (EVA02); `q`, `k`
    #: and `v` are separate updates of a fused one too; `proj`, `fc1`, `fc2`, or a layer's own name.
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("qkv",)
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class SoMA:
    """The minor singular components of the linear layers train (after arXiv 2412.04077)."""

    __pydantic_config__ = _STRICT
    method: Literal["soma"] = "soma"
    rank: PositiveInt = 16
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ("qkv", "proj", "fc1", "fc2")
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class AdaptFormer:
    """A bottleneck beside each block's MLP (arXiv 2205.13535)."""

    __pydantic_config__ = _STRICT
    method: Literal["adaptformer"] = "adaptformer"
    bottleneck: PositiveInt = 64
    scale: float = 0.1
    also: Also = ()


@dataclass(frozen=True, kw_only=True)
class VPT:
    """Learned prompts among a plain ViT's tokens (arXiv 2203.12119)."""

    __pydantic_config__ = _STRICT
    method: Literal["vpt"] = "vpt"
    prompts: PositiveInt = 150
    #: Every block has its own prompts; False: they enter in front of the first one.
    deep: bool = True
    also: Also = ()


Tuning = Annotated[
    Frozen | Full | Partial | LastBlocks | Norm | BitFit | Rein | LoRA | SoMA | AdaptFormer | VPT,
    Field(discriminator="method"),
]


@dataclass(frozen=True, kw_only=True)
class Mask2Former:
    """The paper's head (arXiv 2112.01527); the defaults have 20.6 M parameters on ViT-L."""

    __pydantic_config__ = _STRICT
    method: Literal["mask2former"] = "mask2former"
    width: PositiveInt = 256
    encoder_layers: PositiveInt = 6
    decoder_layers: PositiveInt = 9
    heads: PositiveInt = 8
    #: Learned queries; a linked Rein has as many queries as tokens instead.
    queries: PositiveInt = 100
    encoder_ffn: PositiveInt = 1024
    decoder_ffn: PositiveInt = 2048
    #: Points at which a mask is compared with its target in the losses and in the matching.
    points: PositiveInt = 12544
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1


@dataclass(frozen=True, kw_only=True)
class SemFPN:
    """Semantic FPN (arXiv 1901.02446), convolutions alone; 1.63 M parameters behind the projections to `width`.

    It has no queries: a Rein is built without its link, whatever `tuning.link` says.
    """

    __pydantic_config__ = _STRICT
    method: Literal["semfpn"] = "semfpn"
    #: Channels of the four maps, and of the branches that bring them to stride 4.
    width: PositiveInt = 256
    channels: PositiveInt = 128
    #: Share of the channels that training drops in front of the classifier.
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear probe: one 1x1 convolution over the four maps.

    It has no queries: a Rein is built without its link, whatever `tuning.link` says.
    """

    __pydantic_config__ = _STRICT
    method: Literal["linear"] = "linear"


Head = Annotated[Mask2Former | SemFPN | Linear, Field(discriminator="method")]


def _share(value: Any) -> Any:
    """`1/16`, which YAML reads as text, as a number; several in a list."""
    if isinstance(value, list | tuple) and value:
        return tuple(_share(part) for part in value)
    try:
        number = float(Fraction("".join(str(value).split())))
    except (ValueError, ZeroDivisionError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError("a share is a number from 0 to 1, as 0.5 or 1/16")
    return number


def _some(value: Any) -> Any:
    if any(share == 0 for share in (value if isinstance(value, tuple) else (value,))):
        raise ValueError("a share of nothing leaves no image to train on")
    return value


#: A share of a split; YAML may write it as `1/16`.
Share = Annotated[float, BeforeValidator(_share)]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which domains are trained on and tested on, and how a training crop is cut."""

    __pydantic_config__ = _STRICT
    sources: Annotated[tuple[str, ...], Field(min_length=1)] = ("gta",)
    #: Domains never seen in training. The sources' own val splits are scored besides and kept apart.
    targets: tuple[str, ...] = ("cityscapes", "bdd100k", "mapillary")
    #: What is told apart and scored; None is the 19 classes of Cityscapes. Whatever else a label table names is void.
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=254)] | None = None
    #: How often a crop comes from each source; None in proportion to their numbers of images.
    weights: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] | None = None
    #: Share of every source's training images, or one a source (`[1, 1/16]`): those whose names' hashes come first.
    fraction: Annotated[float | tuple[float, ...], BeforeValidator(_share), AfterValidator(_some)] = 1.0
    #: Share of the training images of a source without a val split that is kept from training and scored as that.
    holdout: Annotated[Share, Field(lt=1)] = 0.0
    #: A label id that the domain's table does not know: an error (`strict`), or `void` and counted.
    unknown_ids: Literal["strict", "void"] = "strict"
    #: A file that cannot be used: the run ends (`raise`), or goes on without it and counts it (`skip`).
    on_error: Literal["raise", "skip"] = "raise"
    #: Short side in pixels at which images and labels are kept decoded for training: a crop takes a third of the time.
    #: None reads the files themselves, from which such crops differ by 1 to 4 grey levels of 255; by how much at which
    #: scale, and the space it takes, is in rein/data/cache.py.
    cache: PositiveInt | None = None
    crop_size: PositiveInt = 512
    #: The short side is drawn from these multiples of `crop_size`, in steps of 0.1.
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    #: A crop is drawn again (ten times at most) while one class covers more than this share of it.
    max_class_share: PositiveFloat = 0.75
    flip: float = 0.5
    photometric: bool = True
    #: What the recipe is compared with, on top of it: `pasta` perturbs a crop's amplitude spectrum (arXiv 2212.00979),
    #: `advstyle` adds each crop in the style that is hardest for the network (arXiv 2207.04892; thrice the compute).
    augmentation: Literal["none", "pasta", "advstyle"] = "none"
    batch_size: PositiveInt = 4


@dataclass(frozen=True, kw_only=True)
class Optim:
    """AdamW with polynomial decay to zero."""

    __pydantic_config__ = _STRICT
    lr: PositiveFloat = 1e-4
    #: Learning rate of the backbone's own parameters where the tuning trains them.
    backbone_lr: PositiveFloat = 1e-5
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    power: PositiveFloat = 0.9
    warmup_steps: NonNegativeInt = 0
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """When and how a run is scored."""

    __pydantic_config__ = _STRICT
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

    __pydantic_config__ = _STRICT
    backbone: Backbone = field(default_factory=Backbone)
    tuning: Tuning = field(default_factory=Rein)
    head: Head = field(default_factory=Mask2Former)
    data: Data = field(default_factory=Data)
    optim: Optim = field(default_factory=Optim)
    evaluation: Evaluation = field(default_factory=Evaluation)
    steps: PositiveInt = 40_000
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


# ------------------------------------------------------------------------------------------- questions and documents


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one run may use; fractions of a GPU share it."""

    __pydantic_config__ = _STRICT
    cpu: PositiveFloat = 1
    gpu: float = 0


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A question: a base experiment, named points, axes. Every point is crossed with every combination of the axes."""

    __pydantic_config__ = _STRICT
    #: Name or path of the base experiment.
    experiment: str
    #: Name of a variant -> its overrides; the name is the variant's row in a table.
    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Dotted key -> values; lists make a grid.
    vary: dict[str, list[Any]] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of variants against columns of domains, of classes (mean over the targets), or of the training loss."""

    __pydantic_config__ = _STRICT
    name: str
    kind: Literal["domains", "classes", "convergence"] = "domains"
    caption: str = ""
    #: Columns of the results that name a row; `point` is the sweep's own name of a variant.
    rows: tuple[str, ...] = ("point",)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One picture of the results."""

    __pydantic_config__ = _STRICT
    name: str
    kind: Literal["inverted_u", "curves", "predictions"]
    caption: str = ""
    #: Points to draw; empty draws all.
    points: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A document: a view of the runs of one sweep."""

    __pydantic_config__ = _STRICT
    title: str
    sweep: str
    #: Axes in place of the sweep's own: what `rein sweep` was given as `vary=...`.
    vary: dict[str, list[Any]] | None = None
    text: str = ""
    #: Which checkpoint of a run counts: its `last`, the best on the sources' val split, or (labelled) the best on test.
    selection: Literal["last", "source_val", "oracle"] = "last"
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


def _place(path: str | None) -> Path | None:
    return Path(path).absolute() if path else None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where and on what a run executes. Never hashed: it must not change a result."""

    data: Path = field(default_factory=lambda: Path(os.environ.get("REIN_DATA", "data")).absolute())
    runs: Path = field(default_factory=lambda: Path(os.environ.get("REIN_RUNS", "runs")).absolute())
    weights: Path = field(default_factory=lambda: Path(os.environ.get("REIN_WEIGHTS", "weights")).absolute())
    #: `auto` takes CUDA where there is one.
    device: str = "auto"
    #: Loader processes; 0 loads in the training process. None takes four beside a GPU, none on the CPU.
    workers: int | None = None
    #: Threads of torch on the CPU; None leaves torch's choice.
    threads: int | None = None
    #: Node-local folder of `data.cache` and of corrupted images; None: data.cache takes `rein-cache-<user id>` in the
    #: temporary folder.
    cache: Path | None = field(default_factory=lambda: _place(os.environ.get("REIN_CACHE")))
    #: Compile the backbone's blocks and the head's layers: worth it for long runs.
    compile: bool = False
    #: Seconds between two checkpoints: what a killed run loses at most.
    checkpoint_seconds: float = field(default_factory=lambda: float(os.environ.get("REIN_CHECKPOINT_SECONDS", "300")))


# ------------------------------------------------------------------------------------------------ values as mappings


def to_dict(value: Any) -> dict[str, Any]:
    """The plain nested mapping of a config value, defaults filled in, tuples as lists."""
    return json.loads(json.dumps(asdict(value)))


def flatten(value: Any) -> dict[str, Any]:
    """Dotted key -> value over a whole config: `{"tuning.rank": 16, ...}`."""
    return dict(_walk(to_dict(value), ""))


def run_id(experiment: Experiment) -> str:
    """The run's name: 12 hex digits of sha256 over the canonical JSON of the experiment, defaults filled in.

    Places are not part of it: of a weight file only the name counts (its digest is recorded in the run).
    """
    # Validated once more, so that a 0 written for a 0.0 in Python names the same run as in YAML.
    values = to_dict(_experiment_adapter().validate_python(to_dict(experiment)))
    values["backbone"]["weights"] = Path(values["backbone"]["weights"]).name
    for key, default in _YOUNGER.items():
        group, name = key.split(".")
        if values[group][name] == default:
            del values[group][name]
    canonical = json.dumps({"schema": SCHEMA_VERSION, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean `x`?)`, or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean `{close[0]}`?)" if close else ""


@cache
def _experiment_adapter() -> TypeAdapter[Experiment]:
    return TypeAdapter(Experiment)


def _walk(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
