"""Tunings that train a part of the net's own parameters: norms, biases, the last blocks, or any share of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer, torch's or timm's own (RmsNorm and the like), or a part of one."""
    return "Norm" in type(module).__name__ or (isinstance(module, LastValues) and module.of_norm)


def norms(net: nn.Module) -> Iterator[nn.Parameter]:
    """Weights and biases of the norms."""
    for module in net.modules():
        if is_norm(module):
            yield from module.parameters(recurse=False)


def biases(net: nn.Module) -> Iterator[nn.Parameter]:
    """All bias vectors, the norms' too (BitFit, arXiv 2106.10199)."""
    return (parameter for name, parameter in net.named_parameters() if name.split(".")[-1].endswith("bias"))


class LastValues(nn.Module):
    """The last `count` values of a tensor (`of_norm`: a norm's), in the order of memory, train; the others stay."""

    def __init__(self, tensor: Tensor, count: int, of_norm: bool = False) -> None:
        super().__init__()
        self.of_norm = of_norm
        self.values = nn.Parameter(tensor.detach().flatten()[-count:].clone())

    def forward(self, tensor: Tensor) -> Tensor:
        return torch.cat([tensor.flatten()[: -len(self.values)], self.values]).view_as(tensor)


def train_share(net: nn.Module, share: float) -> None:
    """Train so much of a net (0..1), to the parameter: first all vectors (norms, biases, scales), then the weights from
    the output back to the input, so that a larger share holds every smaller one; 1 is full fine-tuning.

    Of the tensor at the border the last values train.
    """
    named = list(net.named_parameters())
    left = round(share * sum(parameter.numel() for _, parameter in named))
    vectors = [(name, p) for name, p in named if p.ndim < 2]
    tensors = [(name, p) for name, p in reversed(named) if p.ndim >= 2]
    for name, parameter in vectors + tensors:
        if parameter.numel() <= left:
            parameter.requires_grad_(True)
        elif left:
            owner, _, leaf = name.rpartition(".")
            module = net.get_submodule(owner)
            part = LastValues(parameter, left, is_norm(module))
            parametrize.register_parametrization(module, leaf, part, unsafe=True)
        left -= min(left, parameter.numel())
