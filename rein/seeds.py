"""Random streams as functions of (seed, purpose, position): nothing to save, and a resumed run draws the same."""

from __future__ import annotations

import numpy as np
import torch

#: Purposes; each has its own stream.
BACKBONE, HEAD, ORDER, CROP, STEP, SOURCE = range(6)


def derive(seed: int, purpose: int, position: int = 0) -> int:
    """A 63-bit seed for one place of one stream.

    torch's CPU generator heeds its low 32 bits: of 160,000 crops some three pairs draw alike, of unlike images.
    """
    return int(np.random.SeedSequence((seed, purpose, position)).generate_state(1, np.uint64)[0] >> 1)


def generator(seed: int, purpose: int, position: int = 0) -> torch.Generator:
    """A CPU generator that starts at one place of one stream."""
    return torch.Generator().manual_seed(derive(seed, purpose, position))
