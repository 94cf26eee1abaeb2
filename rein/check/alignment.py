"""Whether labels lie on their images: where classes meet, an image has edges more often than beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

#: (right, down) in pixels of the image that a label is tried to have been moved by.
SHIFTS = tuple((d * x, d * y) for d in (8, 16, 40) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)))
#: Points on the borders that are looked at: enough for a steady mean.
POINTS = 2_000
#: Fewer points, or fewer files, say nothing.
FEW_POINTS, FEW_FILES = 100, 10
#: Edges stronger than this count the same: a few outlines against the sky would decide alone.
STRONG = 60.0
#: A file speaks for a shift where its edges are so much stronger; of labels in their place next to none does.
CLEARLY = 1.1

Shift = tuple[int, int]


def agreement(image: np.ndarray, ids: np.ndarray) -> tuple[float, ...]:
    """Mean edge strength of an image (H, W, 3) under the borders of a label (h, w): in place, then for every shift.

    A shift that is too large for the image has 0; nothing is returned where there are too few borders.
    """
    height, width = image.shape[:2]
    most = min(height, width) // 4
    tried = [(0, 0), *SHIFTS]
    margin = 1 + max((abs(x) + abs(y) for x, y in tried if abs(x) + abs(y) <= most), default=0)
    rows, columns = _borders(ids, (height, width), margin)
    if len(rows) < FEW_POINTS:
        return ()
    green = image[..., 1]
    # A label that was moved right lies on its image's edges where it is moved back.
    return tuple(_edges(green, rows - y, columns - x) if abs(x) + abs(y) < margin else 0.0 for x, y in tried)


def common_shift(scores: Sequence[tuple[float, ...]]) -> tuple[Shift | None, list[int]]:
    """The mean shift of those that speak for one direction, where most do, and their places in the list."""
    asked = sum(map(bool, scores))
    spoken = {place: shift for place, mine in enumerate(scores) if mine and (shift := _spoken(mine))}
    votes = Counter(_direction(shift) for shift in spoken.values())
    direction, number = votes.most_common(1)[0] if votes else ((0, 0), 0)
    if asked < FEW_FILES or 2 * number <= asked:
        return None, []
    places = [place for place, shift in spoken.items() if _direction(shift) == direction]
    right, down = np.mean([spoken[place] for place in places], axis=0).round().astype(int).tolist()
    return (right, down), places


def _spoken(scores: tuple[float, ...]) -> Shift | None:
    place, *shifted = scores
    best = int(np.argmax(shifted))
    return SHIFTS[best] if shifted[best] > CLEARLY * place else None


def _direction(shift: Shift) -> Shift:
    right, down = np.sign(shift).tolist()
    return right, down


def _borders(ids: np.ndarray, size: tuple[int, int], margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, in an image of that size, of points where two classes meet."""
    differ = np.zeros(ids.shape, bool)
    differ[:, :-1] = ids[:, 1:] != ids[:, :-1]
    differ[:-1] |= ids[1:] != ids[:-1]
    height, width = size
    rows, columns = np.divmod(np.flatnonzero(differ), ids.shape[1])
    rows, columns = rows * height // ids.shape[0], columns * width // ids.shape[1]
    inside = (rows >= margin) & (rows < height - margin) & (columns >= margin) & (columns < width - margin)
    step = max(1, int(inside.sum()) // POINTS)
    return rows[inside][::step], columns[inside][::step]


def _edges(grey: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    across = grey[rows, columns + 1].astype(np.float32) - grey[rows, columns - 1]
    down = grey[rows + 1, columns].astype(np.float32) - grey[rows - 1, columns]
    return float(np.minimum(np.hypot(across, down), STRONG).mean())
