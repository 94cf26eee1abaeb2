"""The 19 Cityscapes classes that domains are scored on unless `data.classes` names others, and their colours.

Source: cityscapesScripts `labels.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Pixels of this train id are neither trained on nor scored.
VOID = 255

CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip

#: RGB of every train id, in the order of `CLASSES`.
PALETTE = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip


def colours(classes: Sequence[str]) -> list[tuple[int, int, int]]:
    """An RGB colour of its own for every class, in their order: Cityscapes' where it is one of those."""
    known = dict(zip(CLASSES, PALETTE, strict=True))
    others = (colour for index in range(1, 256) if (colour := _colour(index)) not in PALETTE)
    return [known[name] if name in known else next(others) for name in classes]


def _colour(index: int) -> tuple[int, int, int]:
    """The colour of PASCAL VOC's map: the index's bits, spread over the high bits of the three channels."""
    red, green, blue = (
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)
    )
    return red, green, blue
