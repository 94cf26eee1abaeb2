"""Random streams as functions of (seed, purpose, position): nothing to save, and a resumed run draws the same."""

from __future__ import annotations

import numpy as np
import torch

#: Purposes; each has its own stream.
BACKBONE, HEAD, ORDER, CROP, STEP, SOURCE = range(6)

_LOW = 2**32 - 1


def derive(seed: int, purpose: int, position: int = 0) -> int:
    """A 63-bit seed for one place of one stream.

    torch's CPU generator heeds the low 32 bits alone. Those of two positions of a stream differ by construction; drawn
    at random, some pairs among the 160,000 crops of a run would be alike.
    """
    low = _state(seed, purpose, 0) ^ _scramble(position)
    return _state(seed, purpose, position) & ~_LOW | low & _LOW


def generator(seed: int, purpose: int, position: int = 0) -> torch.Generator:
    """A CPU generator that starts at one place of one stream."""
    return torch.Generator().manual_seed(derive(seed, purpose, position))


def _state(seed: int, purpose: int, position: int) -> int:
    return int(np.random.SeedSequence((seed, purpose, position)).generate_state(1, np.uint64)[0] >> 1)


def _scramble(number: int) -> int:
    """A permutation of the 32-bit numbers that spreads neighbours: the last steps of MurmurHash3."""
    number &= _LOW
    number = (number ^ number >> 16) * 0x85EBCA6B & _LOW
    number = (number ^ number >> 13) * 0xC2B2AE35 & _LOW
    return number ^ number >> 16
