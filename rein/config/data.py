"""Which domains a run reads, and how a training crop is cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt

from rein.config.strict import STRICT


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

    __pydantic_config__ = STRICT
    #: Domains that are trained on.
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
    #: Side of the square training crop in pixels.
    crop_size: PositiveInt = 512
    #: The short side is drawn from these multiples of `crop_size`, in steps of 0.1.
    scale: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    #: A crop is drawn again (ten times at most) while one class covers more than this share of it.
    max_class_share: PositiveFloat = 0.75
    #: Probability that a crop is mirrored, left to right.
    flip: float = 0.5
    #: Brightness, contrast, saturation and hue of a crop are distorted at random.
    photometric: bool = True
    #: What the recipe is compared with, on top of it: `pasta` perturbs a crop's amplitude spectrum (arXiv 2212.00979),
    #: `advstyle` adds each crop in the style that is hardest for the network (arXiv 2207.04892; thrice the compute).
    augmentation: Literal["none", "pasta", "advstyle"] = "none"
    #: Crops a step, over all processes of a run.
    batch_size: PositiveInt = 4
