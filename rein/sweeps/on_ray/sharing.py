"""How runs that share a GPU keep out of each other's way."""

from __future__ import annotations


def keep_to_share(gpu: float) -> None:
    """A run that shares a GPU gets no more of its memory than its share: it fails itself, not its neighbours."""
    import torch

    if 0 < gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpu)
