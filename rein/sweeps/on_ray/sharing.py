"""How runs that share a GPU keep out of each other's way."""

from __future__ import annotations

from rein.sweeps.resources import CONTEXT_MIB


def keep_to_share(gpu: float) -> None:
    """A run that shares a GPU gets no more of its memory than its share: it fails itself, not its neighbours."""
    import torch

    if 0 < gpu < 1 and torch.cuda.is_available():
        _, total = torch.cuda.mem_get_info()
        torch.cuda.set_per_process_memory_fraction(for_tensors(gpu, total >> 20))


def for_tensors(gpu: float, total_mib: int) -> float:
    """What a share of a GPU leaves for tensors: the CUDA context's own memory, which torch does not count, is in it."""
    return max(gpu - CONTEXT_MIB / total_mib, gpu / 2)
