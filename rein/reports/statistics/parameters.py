"""Parameter counts: on a logarithmic axis, and in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def log_parameters(counts: Sequence[float] | np.ndarray) -> np.ndarray:
    """log10 of parameter counts; a count of 0 is placed one decade below the smallest other one.

    A logarithmic axis has no place for zero. Where all counts are zero, all are placed at 0.
    """
    counts = np.asarray(counts, dtype=float)
    positive = counts[counts > 0]
    if not positive.size:
        return np.zeros_like(counts)
    return np.log10(np.where(counts > 0, counts, positive.min() / 10))


def count(number: float) -> str:
    """A number of parameters in three digits: `0`, `684 k`, `2.99 M`, `304 M`."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        scaled = number / size
        if scaled >= 0.9995:  # 999,600 rounds to 1.00 M, not to 1000 k
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f}{unit}"
    return f"{number:.0f}"
