"""A made-up population of scored images, from which a sample is drawn: so that the truth behind it is known."""

from __future__ import annotations

import numpy as np

CLASSES = 19


def population(images: int, gains: tuple[float, ...], tail: float = 2.0, seed: int = 0) -> np.ndarray:
    """Counts (variants, images, 3, K) of pixels hit, labelled and predicted.

    The K-th class is in one image of twelve and covers exp(-3 tail) of the first one's area; areas are log-normal. An
    image is hard for all variants or for none; a variant is better by its gain, in logits of its recall. What is missed
    is predicted as some other class.
    """
    generator = np.random.default_rng(seed)
    place = np.linspace(0, 1, CLASSES)
    present = generator.random((images, CLASSES)) < 1 - 0.92 * place
    area = present * np.exp(-3 * tail * place) * generator.lognormal(0, 1, (images, CLASSES))
    area = np.round(100_000 * area / np.maximum(area.sum(1, keepdims=True), 1e-12))
    share = area.sum(0) / area.sum()
    ease = generator.normal(0.8, 0.8, CLASSES) - generator.normal(0, 1, (images, 1))
    ease = ease - generator.normal(0, 1, (images, CLASSES))
    counts = []
    for gain in gains:
        recall = 1 / (1 + np.exp(-(ease + gain + generator.normal(0, 0.6, (images, CLASSES)))))
        hits = np.round(area * recall)
        taken = share * generator.lognormal(0, 1, (images, CLASSES))
        missed = (area - hits).sum(1, keepdims=True)
        predicted = hits + np.round(missed * taken / taken.sum(1, keepdims=True))
        counts.append(np.stack([hits, area, predicted], 1))
    return np.stack(counts)


def miou(counts: np.ndarray) -> float:
    """mIoU in percent over all images (images, 3, K), by its definition."""
    hits, labelled, predicted = counts.sum(0)
    union = labelled + predicted - hits
    return float(100 * (hits[union > 0] / union[union > 0]).mean())
