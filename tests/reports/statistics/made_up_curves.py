"""True curves of mIoU over log10(parameters) from 5 to 7, in points: some only saturate, some fall by 2 points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]


def design(points: int, seeds: int) -> np.ndarray:
    """x of every run, (points * seeds,)."""
    return np.repeat(np.linspace(5, 7, points), seeds)


def along(x: np.ndarray) -> np.ndarray:
    return (x - 5) / 2


SATURATING: dict[str, Curve] = {
    "flat": lambda x: 60 + 0 * x,
    "rising": lambda x: 60 + 3 * (x - 5),
    "logarithmic": lambda x: 60 + 6 * np.log1p(30 * along(x)) / np.log(31),
    "exponential": lambda x: 60 + 6 * (1 - np.exp(-6 * along(x))),
    "steep exponential": lambda x: 60 + 6 * (1 - np.exp(-20 * along(x))),
    "hill": lambda x: 60 + 6 * along(x) ** 4 / (along(x) ** 4 + 0.3**4),
    "plateau": lambda x: 60 + 6 * np.minimum(along(x) / 0.4, 1),
    "step": lambda x: 60 + 6 * (along(x) > 0.1),
}

FALLING: dict[str, Curve] = {
    "tent": lambda x: 66 - 2 * abs(x - 6),
    "steep rise": lambda x: 66 - 6 * np.maximum(6 - x, 0) - 2 * np.maximum(x - 6, 0),
    "parabola": lambda x: 66 - 2 * (x - 6) ** 2,
    "saturating first": lambda x: 60 + 6 * (1 - np.exp(-8 * along(x))) - 4 * np.maximum(along(x) - 0.5, 0),
    "late fall": lambda x: 66 - 4 * np.maximum(6.5 - x, 0) - 4 * np.maximum(x - 6.5, 0),
}


def sweeps(truth: Curve, x: np.ndarray, noise: float, number: int, seed: int = 0) -> np.ndarray:
    """y of simulated sweeps, (runs, number)."""
    return truth(x)[:, None] + np.random.default_rng(seed).normal(0, noise, (len(x), number))
