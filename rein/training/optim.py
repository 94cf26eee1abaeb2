"""AdamW and its schedule, with the groups of the paper's reference code (github.com/w1oves/Rein)."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from rein.config import Optim
from rein.models.added import added
from rein.models.mask2former import Mask2FormerHead
from rein.models.rein import Rein
from rein.models.segmenter import Segmenter
from rein.models.selective import is_norm
from rein.models.vpt import Prompts

#: Modules whose own parameters (not their children's) are not decayed, beside the norms: embeddings, Rein's tokens and
#: scale, prompts, the head's query and level embeddings; not its query features (the reference's names leave them out).
UNDECAYED = (nn.Embedding, Rein, Prompts, Mask2FormerHead)
DECAYED_ALL_THE_SAME = "query_feat"


def build_optimizer(model: Segmenter, optim: Optim) -> AdamW:
    """AdamW over what trains: the backbone's own parameters at `backbone_lr`; head and what a tuning adds at `lr`."""
    own = set(model.backbone.parameters()) - added(model.backbone)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in model.modules():
        undecayed = isinstance(module, UNDECAYED) or is_norm(module)
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                decay = 0.0 if undecayed and name != DECAYED_ALL_THE_SAME else optim.weight_decay
                rate = optim.backbone_lr if parameter in own else optim.lr
                groups.setdefault((rate, decay), []).append(parameter)
    options = [
        {"params": params, "lr": rate, "base_lr": rate, "weight_decay": decay}
        for (rate, decay), params in groups.items()
    ]
    return AdamW(options, betas=optim.betas, eps=1e-8, fused=True)


def set_rates(optimizer: Optimizer, optim: Optim, step: int, steps: int) -> float:
    """Set every group's rate for a step and return its factor: linear warm-up from 1e-6, polynomial decay to zero.

    A function of the step alone, so that there is no schedule to save.
    """
    if step < optim.warmup_steps:
        factor = 1e-6 + (1 - 1e-6) * step / optim.warmup_steps
    else:
        factor = (1 - (step - optim.warmup_steps) / max(1, steps - optim.warmup_steps)) ** optim.power
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return factor


def named_state(model: nn.Module, optimizer: Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's tensors under the names of the parameters they belong to: `exp_avg.head.mask_embed.0.weight`."""
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {f"{kind}.{names[p]}": tensor for p, state in optimizer.state.items() for kind, tensor in state.items()}


def load_named_state(model: nn.Module, optimizer: Optimizer, state: dict[str, torch.Tensor]) -> None:
    """The inverse of `named_state`. Raises ValueError unless there is a state for exactly the parameters that train."""
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if {key.split(".", 1)[1] for key in state} != set(parameters):
        raise ValueError("the optimizer's state belongs to other parameters")
    for key, tensor in state.items():
        kind, name = key.split(".", 1)
        parameter = parameters[name]
        optimizer.state[parameter][kind] = tensor.to(parameter.device)
