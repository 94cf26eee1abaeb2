"""A backbone too large for one device, its frozen parameters spread over the processes of a run (FSDP)."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from rein.models.segmenter import Segmenter


def shard_trunk(model: Segmenter, device: torch.device, world: int) -> None:
    """Let each of `world` processes keep its share of what does not train of the backbone; all must call this.

    A block's parameters are gathered when it is run, forwards and backwards, and dropped behind it. What trains is left
    whole in every process: it is small, and checkpoints hold it as ever. Blocks go to the device one by one, so that it
    never holds all of them.
    """
    mesh = init_device_mesh(device.type, (world,))
    backbone = model.backbone
    blocks = [stage.blocks[index] for stage in backbone.anatomy.stages for index in stage.indices]
    for module in (*blocks, backbone):
        if any(not parameter.requires_grad for parameter in module.parameters()):
            fully_shard(module, mesh=mesh, ignored_params=_trained(module))


def _trained(module: nn.Module) -> set[nn.Parameter]:
    return {parameter for parameter in module.parameters() if parameter.requires_grad}
