"""torch.compile, block by block: one small graph for each kind of block instead of one large one for the network."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from rein.models.mask2former import Mask2FormerHead
from rein.models.segmenter import Segmenter


def compile_blocks(model: Segmenter) -> None:
    """Compile the trunk's blocks and the decoder's layers in place; names of parameters stay as they are.

    Not the pixel decoder's: inductor's code for sampling is four times slower than the layer it replaces on two CPU
    cores, and in bf16 it gave nan (torch 2.14). Never run on CUDA.
    """
    for block in _blocks(model):
        block.compile()


def _blocks(model: Segmenter) -> Iterator[nn.Module]:
    for stage in model.backbone.anatomy.stages:
        yield from (stage.blocks[index] for index in stage.indices)
    if isinstance(model.head, Mask2FormerHead):
        yield from model.head.layers
