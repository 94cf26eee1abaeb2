"""Gaussian, shot, impulse and speckle noise, as channels.

None of the four looks at a pixel's neighbours: each is fully described by P(level after | level before), a matrix of
256x256. Its rows are spread over a table of 2^16 places, and a pixel takes the one that a random 16-bit number points
at. Probabilities are thereby exact to 2^-17; of tails rarer than that nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, pdtr

from rein.data.corruptions.pixels import Pixels

_PLACES = 1 << 16
_BEFORE = np.arange(256)[:, None]
#: A result in [k, k + 1) is level k.
_BELOW = np.arange(1, 257)[None]
_Channel = Callable[[float], NDArray[Any]]


def gaussian(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """x + 255 c n with a standard normal n."""
    return _through(_gaussian, (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1], pixels, rng)


def shot(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Photons: Poisson(c x / 255) of them are counted where full white is c."""
    return _through(_shot, (60, 25, 12, 5, 3)[severity - 1], pixels, rng)


def impulse(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Salt and pepper: a share c of all values, of each colour by itself, becomes 0 or 255, as often as not."""
    return _through(_impulse, (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1], pixels, rng)


def speckle(pixels: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """x + c x n with a standard normal n."""
    return _through(_speckle, (0.15, 0.2, 0.35, 0.45, 0.6)[severity - 1], pixels, rng)


def _gaussian(strength: float) -> NDArray[Any]:
    return ndtr((_BELOW - _BEFORE) / (255 * strength))


def _speckle(strength: float) -> NDArray[Any]:
    return ndtr((_BELOW - _BEFORE) / (strength * np.maximum(_BEFORE, 1e-9)))


def _shot(white: float) -> NDArray[Any]:
    return pdtr(-(-_BELOW * int(white) // 255) - 1, _BEFORE * white / 255)


def _impulse(share: float) -> NDArray[Any]:
    return share / 2 + (1 - share) * (_BELOW > _BEFORE)


def _through(channel: _Channel, strength: float, pixels: Pixels, rng: np.random.Generator) -> Pixels:
    draws = rng.integers(_PLACES, size=pixels.shape, dtype=np.uint16)
    return _table(channel, strength).take((pixels.astype(np.intp) << 16) | draws)


@lru_cache(maxsize=1)  # 16 MB; a domain has one severity of one noise
def _table(channel: _Channel, strength: float) -> Pixels:
    """(256 * 2^16) levels: what becomes of a level at every draw. `channel` is P(level after <= column | row)."""
    up_to = channel(strength)
    up_to[:, -1] = 1  # whatever is brighter than white is white
    counts = np.diff(np.rint(up_to * _PLACES).astype(int), axis=1, prepend=0)
    return np.repeat(np.tile(np.arange(256, dtype=np.uint8), 256), counts.ravel())
