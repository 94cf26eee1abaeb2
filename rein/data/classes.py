"""The 19 Cityscapes classes that every domain is scored on, and the label tables of the data sets.

Sources: cityscapesScripts `labels.py` for ids, names and colours; the data sets' own documentation for the rest.
A table maps the id stored in a label file to a train id; ids it does not know are an error, not void.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class LabelTable:
    """How a label file is read: which channel of it holds the id, and which train id each id stands for."""

    ids: Mapping[int, int] = field(hash=False)
    #: Channel of a multi-channel label file; None for a single-channel one.
    channel: int | None = None


def _named(ids: Mapping[int, str | None], channel: int | None = None) -> LabelTable:
    return LabelTable({id: VOID if name is None else CLASSES.index(name) for id, name in ids.items()}, channel)


TRAIN_IDS = LabelTable({**{id: id for id in range(len(CLASSES))}, VOID: VOID})

#: Cityscapes "label ids" as drawn by its annotators; 0-6, 9, 10, 14-16, 18, 29 and 30 are not evaluated.
CITYSCAPES_IDS = _named(
    {
        **dict.fromkeys((0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)),
        7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
        20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
        27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle", 255: None,
    }
)  # fmt: skip

#: CamVid in SegNet's 11 classes.
CAMVID = _named(
    {
        0: "sky", 1: "building", 2: "pole", 3: "road", 4: "sidewalk", 5: "vegetation", 6: "traffic sign", 7: "fence",
        8: "car", 9: "person", 10: "bicycle", 11: None,
    }
)  # fmt: skip

#: The CARLA simulator's tags (0.9.5 and before), in the red channel; lane lines count as road, "other" as void.
CARLA = _named(
    {
        0: None, 1: "building", 2: "fence", 3: None, 4: "person", 5: "pole", 6: "road", 7: "road", 8: "sidewalk",
        9: "vegetation", 10: "car", 11: "wall", 12: "traffic sign",
    },
    channel=0,
)  # fmt: skip
