"""What a training step costs, counted on shapes alone: parameters, FLOPs and memory, without data, weights or GPU.

The network, its loss and the backward pass run once on torch's meta device, whose tensors have no values: a ViT-L
takes two seconds and no memory, whatever machine the run is meant for.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from rein.config import Experiment
from rein.data.advstyle import with_adversarial_styles
from rein.models import vfm
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model
from rein.models.tuning import count
from rein.training import checkpoint

#: Tensors that AdamW keeps of every parameter that trains.
MOMENTS = 2
#: Of a number in fp32, which parameters, gradients and moments are kept in.
BYTES = 4


@dataclass(frozen=True)
class StepCost:
    """What a step of an experiment costs on any machine."""

    #: Parameters of the pretrained net alone.
    backbone: int
    #: Of net and tuning those that train, as a report's share of the backbone counts them.
    trainable: int
    #: Of backbone, tuning and head those that train: what a checkpoint holds.
    trained: int
    #: Multiplications and additions of matrix products and convolutions, forward and backward, of one batch.
    flops: int
    #: Bytes of tensors that are held at once at most: parameters, moments, gradients, activations in fp32.
    memory: int
    #: Bytes of the checkpoints that a run keeps.
    checkpoints: int
    #: What the hub calls the pretrained weights; None for shipped ones, or a model without any.
    hub: str | None


def step_cost(experiment: Experiment) -> StepCost:
    """Count a training step. Raises ConfigError where the experiment's network cannot be built."""
    data = experiment.data
    with vfm.without_values():
        model = build_model(replace(experiment, backbone=replace(experiment.backbone, weights="none"))).train()
        images = torch.empty(data.batch_size, 3, data.crop_size, data.crop_size, dtype=torch.uint8)
        labels = torch.empty(data.batch_size, data.crop_size, data.crop_size, dtype=torch.int64)
    trained = count(model, trainable_only=True)
    with OnShapes() as on_shapes, Count() as counted:
        counted.hold(model)
        on_shapes.counted = counted
        step(model, experiment, images, labels)
    return StepCost(
        backbone=model.backbone.size,
        trainable=count(model.backbone, trainable_only=True),
        trained=trained,
        flops=counted.flops,
        memory=counted.peak + MOMENTS * BYTES * trained,
        checkpoints=checkpoint.KEPT * (1 + MOMENTS) * BYTES * trained,
        hub=vfm.hub_name(experiment.backbone.name),
    )


def step(model: Segmenter, experiment: Experiment, images: Tensor, labels: Tensor) -> None:
    """Loss and gradients of one batch, as training has them."""
    criterion = build_criterion(experiment.head, len(experiment.classes))

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        return criterion(model(images), labels)["loss"]

    if experiment.data.augmentation == "advstyle":
        images, labels = with_adversarial_styles(images, labels, loss_of)
    loss_of(images, labels).backward()


class Count(TorchDispatchMode):
    """FLOPs of the operators that run inside it, and the most bytes of tensors that are held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.held = self.peak = 0
        self._storages: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def hold(self, model: nn.Module) -> None:
        """Count what a model holds already."""
        self._hold([*model.parameters(), *model.buffers()])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if (formula := flop_registry.get(func.overloadpacket)) is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        if not func.is_view:
            self._hold(tree_iter(result))
        return result

    def _hold(self, tensors: Any) -> None:
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage not in self._storages:
                size = self._storages[storage] = storage.nbytes()
                self.held += size
                self.peak = max(self.peak, self.held)
                weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.held -= size


class OnShapes(TorchFunctionMode):
    """Lets a step run where tensors have no values.

    What is copied to the host arrives as ones: every class is then in every image, the most that a loss can have to
    do. Attention is one operator that keeps its inputs and output, as the fused kernels of GPUs and CPUs do: in plain
    products its scores would be held as well, which are most of the memory of a plain ViT.
    """

    counted: Count

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.cpu:
            return torch.ones(args[0].shape, dtype=args[0].dtype, device="cpu")
        if func is F.scaled_dot_product_attention:
            return _Attention.apply(self.counted, *_attended(*args, **kwargs))
        return func(*args, **kwargs)


def _attended(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    return query, key, value, attn_mask


class _Attention(torch.autograd.Function):
    """Shapes and FLOPs of softmax(Q K^T) V: two products forward, four backward (none twice)."""

    @staticmethod
    def forward(ctx: Any, counted: Count, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        result = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.counted = counted
        ctx.save_for_backward(query, key, value, mask, result)
        ctx.products = 2 * key.shape[-2] * (query.numel() + result.numel())
        counted.flops += ctx.products
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, *tuple[Tensor | None, ...]]:
        ctx.counted.flops += 2 * ctx.products
        inputs = zip(ctx.saved_tensors[:4], ctx.needs_input_grad[1:], strict=True)
        return None, *(torch.empty_like(tensor) if needed else None for tensor, needed in inputs)
