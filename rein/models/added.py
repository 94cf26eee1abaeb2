"""What a tuning adds to a pretrained net, told apart from what the net had."""

from __future__ import annotations

from torch import nn


class Added(nn.Module):
    """A module whose parameters, its children's too, are new: trained at the head's rate, not at the backbone's."""


def added(model: nn.Module) -> set[nn.Parameter]:
    """The parameters that tunings have added to a model."""
    return {p for module in model.modules() if isinstance(module, Added) for p in module.parameters()}
