"""What a computation asks of the machine, counted rather than timed: kernels, waits of the host, peak memory."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

#: Operators whose result's value or shape the host has to know before it goes on.
_WAITING = {"_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim"}
#: Operators that make or rename tensors and launch nothing.
_FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "detach"}
_READING = {Tensor.numpy, Tensor.tolist, Tensor.__array__}
_INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "_unsafe_index_put"}


class Operations(TorchDispatchMode):
    """Counts the aten operators that run inside it, those of the backward pass included, by name.

    Views launch nothing and are left out. A fused kernel counts once; compiled functions run uncompiled here. Reading
    one of `on_host` waits for nothing: an optimizer's step counts lie there, wherever its parameters are.
    """

    def __init__(self, on_host: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self._on_host = {tensor.data_ptr() for tensor in on_host}
        self.kernels: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        from_host = name in _WAITING and args[0].data_ptr() in self._on_host
        if not (func.is_view or name in _FREE or from_host):
            self.kernels[name] += 1
        if (name in _WAITING and not from_host) or (name in _INDEXING and any(_is_mask(index) for index in args[1])):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Counts copies to the host as they would be with the tensors on another device.

    On the CPU `x.cpu()` does nothing that a dispatcher could see, so the calls themselves are counted, and
    `x.to("cpu")` by that word; `x.to(device)` is an upload. Reading what such a call returned is not another copy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()
        self._on_host = WeakTensorKeyDictionary()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        copied = func is Tensor.cpu or (func is Tensor.to and _names_the_cpu(*args[1:], *kwargs.values()))
        if copied or (func in _READING and args[0] not in self._on_host):
            self.waits[func.__name__] += 1
        result = func(*args, **kwargs)
        if copied:
            # Another object where the call returned the tensor itself: that stays on the device.
            result = result.view_as(result) if result is args[0] else result
            self._on_host[result] = True
        return result


def count(work: Callable[[], object], on_host: Iterable[Tensor] = ()) -> tuple[Counter[str], Counter[str]]:
    """Kernels that `work` launches, and its waits of the host for the device, both by name."""
    with Copies() as copies, Operations(on_host) as operations:
        work()
    return operations.kernels, operations.waits + copies.waits


def peak_memory(work: Callable[[], object]) -> int:
    """Bytes of tensors that `work` holds at once at most, beyond what was there before it.

    From the record of torch's own allocator, so it depends neither on the malloc below nor on what ran before; what
    libraries take for themselves inside an operator is not in it.
    """
    with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()  # pyright: ignore[reportAttributeAccessIssue]
        peak = max(peak, held)
    return peak


@contextmanager
def _silent() -> Iterator[None]:
    """Without what torch's profiler writes to the process's stderr about itself."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)


def _names_the_cpu(*arguments: Any) -> bool:
    return any(isinstance(word, str) and word == "cpu" for word in arguments)
