"""AdvStyle: crops in the style that is hardest for the network as it is (arXiv 2207.04892, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from rein.data.transforms import MEAN, STD

#: Factor of the gradient, in units of the network's normalised input. The step grows with the loss: Mask2Former's, a
#: weighted sum over all its predictions, moves a style further than a cross-entropy does.
RATE = 3.0


def with_adversarial_styles(
    images: Tensor, labels: Tensor, loss: Callable[[Tensor, Tensor], Tensor], rate: float = RATE
) -> tuple[Tensor, Tensor]:
    """The batch (B, 3, H, W), (B, H, W) followed by itself in adversarial styles: twice as long, float.

    Pixels are in units of 0..255 and not clamped.

    An image's style, the mean and standard deviation of each channel, is moved by one step of gradient ascent on
    `loss(images, labels)`; what is left of the image when its style is taken out, and the label, stay.
    With the step's own pass over both halves a training step costs three passes in place of one, and the first goes
    back through the backbone also where that is frozen.
    """
    content, style = _taken_apart(images)
    style.requires_grad_()
    (ascent,) = torch.autograd.grad(loss(_put_together(content, style), labels), style)
    with torch.no_grad():
        hard = _put_together(content, style + rate * ascent)
    return torch.cat([images.float(), hard]), torch.cat([labels, labels])


def _taken_apart(images: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of zero mean and unit deviation (B, 3, H, W), and the style (2, B, 3, 1, 1): deviation, then mean.

    The style is one of normalised images, as the reference's is: the rate has a meaning in these units only.
    """
    mean, std = _statistics(images.device)
    style = torch.stack(torch.std_mean((images.float() - mean) / std, dim=(2, 3), keepdim=True))
    content = ((images.float() - mean) / std - style[1]) / (style[0] + 1e-6)  # a crop of one colour has no deviation
    return content, style


def _put_together(content: Tensor, style: Tensor) -> Tensor:
    mean, std = _statistics(content.device)
    return (content * style[0] + style[1]) * std + mean


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, STD))
    return mean, std
