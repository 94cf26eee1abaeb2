"""torch.compile, block by block: one small graph for each kind of block instead of one large one for the network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch._dynamo
from torch import nn

from rein.models.mask2former import Mask2FormerHead
from rein.models.segmenter import Segmenter


def compile_blocks(model: Segmenter, backend: str = "inductor") -> None:
    """Compile the trunk's blocks and the decoder's layers in place; names of parameters stay as they are.

    Not the pixel decoder's: inductor's code for sampling is four times slower than the layer it replaces on two CPU
    cores, and in bf16 it gave nan (torch 2.14). Never run on CUDA.
    """
    blocks = list(_blocks(model))
    # Blocks share their code. Without these two dynamo would make a graph of each layer's number, and give up compiling
    # after the eighth block: LoRA's layers are a class each, and need a graph each.
    dynamo = torch._dynamo.config
    dynamo.allow_unspec_int_on_nn_module = True
    dynamo.recompile_limit = max(dynamo.recompile_limit, 4 * len(blocks))
    for block in blocks:
        block.compile(backend=backend)


def _blocks(model: Segmenter) -> Iterator[nn.Module]:
    for stage in model.backbone.anatomy.stages:
        yield from (stage.blocks[index] for index in stage.indices)
    if isinstance(model.head, Mask2FormerHead):
        yield from model.head.layers
