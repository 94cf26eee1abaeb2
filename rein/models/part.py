"""A part of a step's batch, measured and drawn for as in the whole: the losses of the parts add up to the batch's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Part:
    """Which images of a batch are at hand, and what all of its images count in the loss.

    Random numbers are drawn for the whole batch, and those of the part's images are kept: from the same random state
    every part then sees what it would see in the whole.
    """

    #: Where the part's images stand in the batch.
    places: tuple[slice, ...]
    #: (B,) long on the CPU: of each image of the batch what `criterion.counts` says of it.
    counts: Tensor

    @property
    def batch(self) -> int:
        """Images of the whole batch."""
        return len(self.counts)

    def images(self, whole: Tensor) -> Tensor:
        """The part's own of something that the batch has one a image of: (B, ...) -> (b, ...)."""
        return torch.cat([whole[place] for place in self.places])

    def targets(self, whole: Tensor) -> Tensor:
        """The part's own of something that the batch has one a target of, image after image."""
        ends = [*accumulate(self.counts.tolist(), initial=0)]
        images = self.images(torch.arange(self.batch)).tolist()
        return torch.cat([whole[ends[image] : ends[image + 1]] for image in images])

    def doubled(self) -> Part:
        """The part's images twice, of a batch that is followed by itself."""
        further = (slice(at.start + self.batch, at.stop + self.batch, at.step) for at in self.places)
        return replace(self, places=(*self.places, *further), counts=self.counts.repeat(2))

    def drawing_in(self, model: nn.Module) -> AbstractContextManager[Any]:
        """In this context what a network draws while it trains is drawn for the whole batch."""
        return _WholeBatch(self) if any(map(_draws, model.modules())) else nullcontext()


class _WholeBatch(TorchFunctionMode):
    """Draws of dropped channels and dropped paths, for all images of a batch, of which the part's are taken.

    On the CPU they are bit for bit those of the whole batch.
    """

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout2d:
            return self._dropped(*args, **kwargs)
        if func is Tensor.bernoulli_:  # timm's stochastic depth: one number an image
            mine, *options = args
            whole = mine.new_empty(self.part.batch, *mine.shape[1:]).bernoulli_(*options, **kwargs)
            return mine.copy_(self.part.images(whole))
        return func(*args, **kwargs)

    def _dropped(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or not p:
            return x
        return x * self.part.images(F.dropout2d(x.new_ones(self.part.batch, x.shape[1], 1, 1), p))


def _draws(module: nn.Module) -> bool:
    """Whether a layer draws random numbers as it is now. Raises ValueError for one that no part can draw for."""
    if not module.training:
        return False
    if isinstance(module, nn.Dropout) and module.p:
        raise ValueError(f"{module}: no rule says what a part of a batch draws; run the batch whole, in one process")
    return bool(isinstance(module, nn.Dropout2d) and module.p) or bool(getattr(module, "drop_prob", 0))
