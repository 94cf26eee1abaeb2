"""What the values of a label file mean: a table for every way in which a data set writes its labels.

A table maps a stored value, an id or an exact colour, to a class name or to `void`; a value that it does not know is
an error and never void by itself. Sources: cityscapesScripts `labels.py`; the data sets' own documentation for the
rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from rein.data.classes import CLASSES, VOID

#: In a lookup: a value that its table does not know.
UNKNOWN = 254


@dataclass(frozen=True)
class LabelTable:
    """Value -> class name or `void`. Values are ids, or colours (r, g, b) that a label's three channels show."""

    names: Mapping[int, str] | Mapping[tuple[int, int, int], str] = field(hash=False)
    #: Channel that holds the id in a multi-channel file; None for a single-channel one, and for colours.
    channel: int | None = None

    @property
    def coloured(self) -> bool:
        """Whether values are colours."""
        return isinstance(next(iter(self.names)), tuple)

    def lookup(self, classes: Sequence[str] = CLASSES) -> np.ndarray:
        """Train id of every value that a file can hold: uint8 (65536,) by id, or (2**24,) by 0xRRGGBB.

        A name that is no class is `VOID`, a value that is not in the table `UNKNOWN`.
        """
        return _lookup(tuple(self.names.items()), tuple(classes))


@lru_cache(maxsize=32)
def _lookup(names: tuple[tuple[int | tuple[int, int, int], str], ...], classes: tuple[str, ...]) -> np.ndarray:
    values = {pack(value) if isinstance(value, tuple) else value: name for value, name in names}
    train_ids = np.full(2**24 if isinstance(names[0][0], tuple) else 2**16, UNKNOWN, np.uint8)
    for value, name in values.items():
        train_ids[value] = classes.index(name) if name in classes else VOID
    train_ids.flags.writeable = False  # shared by all that ask for it
    return train_ids


def pack(colour: tuple[int, int, int]) -> int:
    """0xRRGGBB of a colour."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


TRAIN_IDS = LabelTable({**dict(enumerate(CLASSES)), VOID: "void"})

#: Cityscapes "label ids" as drawn by its annotators; 0-6, 9, 10, 14-16, 18, 29 and 30 are not evaluated.
CITYSCAPES_IDS = LabelTable(
    {
        **dict.fromkeys((0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30), "void"),
        7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
        20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
        27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle", 255: "void",
    }
)  # fmt: skip

#: CamVid in SegNet's 11 classes.
CAMVID = LabelTable(
    {
        0: "sky", 1: "building", 2: "pole", 3: "road", 4: "sidewalk", 5: "vegetation", 6: "traffic sign", 7: "fence",
        8: "car", 9: "person", 10: "bicycle", 11: "void",
    }
)  # fmt: skip

#: The CARLA simulator's tags (0.9.5 and before), in the red channel; lane lines count as road, "other" as void.
CARLA = LabelTable(
    {
        0: "void", 1: "building", 2: "fence", 3: "void", 4: "person", 5: "pole", 6: "road", 7: "road", 8: "sidewalk",
        9: "vegetation", 10: "car", 11: "wall", 12: "traffic sign",
    },
    channel=0,
)  # fmt: skip
