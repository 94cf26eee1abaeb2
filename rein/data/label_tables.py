"""What the values of a label file mean: a table for every way in which a data set writes its labels.

A table maps a stored value, an id or an exact colour, to a class name or to `void`; a value that it does not know is
an error and never void by itself. Sources stand at each table; where they differ, the reference code's choice counts
(w1oves/Rein, tools/convert_datasets).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from rein.data.classes import CLASSES, PALETTE, VOID

#: In a lookup: a value that its table does not know.
UNKNOWN = 254

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelTable:
    """Value -> class name or `void`. Values are ids, or colours (r, g, b) that a label's three channels show."""

    names: Mapping[int, str] | Mapping[Colour, str] = field(hash=False)
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
def _lookup(names: tuple[tuple[int | Colour, str], ...], classes: tuple[str, ...]) -> np.ndarray:
    values = {pack(value) if isinstance(value, tuple) else value: name for value, name in names}
    train_ids = np.full(2**24 if isinstance(names[0][0], tuple) else 2**16, UNKNOWN, np.uint8)
    for value, name in values.items():
        train_ids[value] = classes.index(name) if name in classes else VOID
    train_ids.flags.writeable = False  # shared by all that ask for it
    return train_ids


def pack(colour: Colour) -> int:
    """0xRRGGBB of a colour."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _by_class(values: Mapping[str, Iterable[int]], void: Iterable[int], channel: int | None = None) -> LabelTable:
    """A table from the values of each class; what else is known is void."""
    named = {value: name for name, those in values.items() for value in those}
    return LabelTable({**dict.fromkeys(void, "void"), **named}, channel)


# -------------------------------------------------------------------------------------------------------- Cityscapes

_TRAIN_IDS = {**dict(enumerate(CLASSES)), VOID: "void"}
TRAIN_IDS = LabelTable(_TRAIN_IDS)

#: Cityscapes "label ids" as drawn by its annotators (cityscapesScripts, labels.py); 0-6, 9, 10, 14-16, 18, 29 and 30
#: are not evaluated.
_LABEL_IDS = {
    **dict.fromkeys((0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30), "void"),
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle", 255: "void",
}  # fmt: skip
CITYSCAPES_IDS = LabelTable(_LABEL_IDS)

#: The 19 classes' colours; black is void.
_PALETTE: dict[Colour, str] = {(0, 0, 0): "void", **dict(zip(PALETTE, CLASSES, strict=True))}
PALETTE_COLOURS = LabelTable(_PALETTE)

#: Cityscapes' `*_gtFine_color.png`. Its polegroup has the colour of pole and its licence plate that of car, so these
#: two count as pole and car here, where label ids have them void.
CITYSCAPES_COLOURS = LabelTable(
    {
        # dynamic, ground, parking, rail track, guard rail, bridge, tunnel, caravan, trailer
        **dict.fromkeys(
            ((111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180), (150, 100, 100),
             (150, 120, 90), (0, 0, 90), (0, 0, 110)), "void",
        ),
        **_PALETTE,
    }
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------- rendered

#: GTAV's palette index is Cityscapes' label id, and 34 its licence plate.
GTA_IDS = LabelTable({**_LABEL_IDS, 34: "void"})

#: SYNTHIA-RAND-CITYSCAPES: the first of three 16-bit channels (lhoyer/DAFormer, tools/convert_datasets/synthia.py).
#: Parking slots, road works and lane markings are void there; terrain, truck and train never occur.
SYNTHIA = _by_class(
    {
        "road": (3,), "sidewalk": (4,), "building": (2,), "wall": (21,), "fence": (5,), "pole": (7,),
        "traffic light": (15,), "traffic sign": (9,), "vegetation": (6,), "terrain": (16,), "sky": (1,),
        "person": (10,), "rider": (17,), "car": (8,), "truck": (18,), "bus": (19,), "train": (20,),
        "motorcycle": (12,), "bicycle": (11,),
    },
    void=range(23),
    channel=0,
)  # fmt: skip

#: UrbanSyn's `ss`: train ids, and 19 for what is unlabelled (the data set's card).
URBANSYN = LabelTable({**_TRAIN_IDS, 19: "void"}, channel=0)

#: The CARLA simulator's tags (0.9.5 and before), in the red channel; lane lines count as road, "other" as void.
CARLA = LabelTable(
    {
        0: "void", 1: "building", 2: "fence", 3: "void", 4: "person", 5: "pole", 6: "road", 7: "road", 8: "sidewalk",
        9: "vegetation", 10: "car", 11: "wall", 12: "traffic sign",
    },
    channel=0,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------ photographed

#: Mapillary Vistas v1.2, 66 classes, by the rules of the reference code (mapillary2cityscape.py): kerbs and pedestrian
#: areas are sidewalk, street lights pole, sign frames and backs traffic sign, parking lanes and markings road; rail
#: tracks, guard rails, bridges and tunnels void. Others call bridges building and kerbs void.
MAPILLARY_V12 = _by_class(
    {
        "road": (7, 8, 10, 13, 14, 23, 24), "sidewalk": (2, 9, 11, 15), "building": (17,), "wall": (6,), "fence": (3,),
        "pole": (44, 45, 47), "traffic light": (48,), "traffic sign": (46, 49, 50), "vegetation": (30,),
        "terrain": (29,), "sky": (27,), "person": (19,), "rider": (20, 21, 22), "car": (55,), "truck": (61,),
        "bus": (54,), "train": (58,), "motorcycle": (57,), "bicycle": (52,),
    },
    void=range(66),
)  # fmt: skip

#: Mapillary Vistas v2.0, 124 classes. The reference code's rules are for v1.2 and go by words (a light for cyclists
#: would be a rider), so every class counts as the class of v1.2 that it was split from. By its name road shoulder (22)
#: or a group of vehicles (115) comes from none, and is void.
MAPILLARY_V20 = _by_class(
    {
        "road": (13, 14, 17, 18, 21, 23, *range(35, 59)), "sidewalk": (4, 15, 19, 24), "building": (27,),
        "wall": (12,), "fence": (5,), "pole": (84, 85, 86, 88), "traffic light": range(90, 96),
        "traffic sign": (87, *range(96, 104)), "vegetation": (64,), "terrain": (63,), "sky": (61,),
        "person": (30, 31), "rider": (32, 33, 34), "car": (108,), "truck": (114,), "bus": (107,), "train": (111,),
        "motorcycle": (110,), "bicycle": (105,),
    },
    void=range(124),
)  # fmt: skip

#: IDD's own ids, by the `csTrainId` of its labels (AutoNUE/public-code, anue_labels.py): autorickshaw, caravan,
#: billboard, kerb and guard rail are void, "non-drivable fallback" is terrain.
IDD_IDS = _by_class(
    {
        "road": (0,), "sidewalk": (3,), "terrain": (5,), "person": (6,), "rider": (8,), "motorcycle": (9,),
        "bicycle": (10,), "car": (12,), "truck": (13,), "bus": (14,), "train": (17,), "wall": (20,), "fence": (21,),
        "traffic sign": (24,), "traffic light": (25,), "pole": (26,), "building": (29,), "vegetation": (32,),
        "sky": (33,),
    },
    void=(*range(40), 255),
)  # fmt: skip

#: IDD in Cityscapes' label ids, which have no place for "non-drivable fallback": terrain is void here. Its vehicle
#: fallback is 355, which a byte holds as 255 or 99.
IDD_CS_IDS = LabelTable({**_LABEL_IDS, 99: "void"})

#: IDD's level 3 ids, which cannot be told apart as finely: rail track counts as terrain, animal as person, polegroup
#: as pole and "fallback background" as sky; train is void among caravans and trailers.
IDD_LEVEL3_IDS = _by_class(
    {
        "road": (0,), "sidewalk": (2,), "terrain": (3,), "person": (4,), "rider": (5,), "motorcycle": (6,),
        "bicycle": (7,), "car": (9,), "truck": (10,), "bus": (11,), "wall": (14,), "fence": (15,),
        "traffic sign": (18,), "traffic light": (19,), "pole": (20,), "building": (22,), "vegetation": (24,),
        "sky": (25,),
    },
    void=(*range(26), 255),
)  # fmt: skip

#: WildDash 2, by its policy for Cityscapes (ozendelait/wilddash_scripts, wd2_unified_label_policy.json): van is car,
#: pickup truck, autorickshaw motorcycle. Others call a pickup a car.
WILDDASH_IDS = _by_class(
    {
        "road": (7, 38, 41, 43, 61, 64, 70, 74, 75, 76, 79), "sidewalk": (8, 52, 65, 77, 80), "building": (11,),
        "wall": (12, 56), "fence": (13,), "pole": (17, 45, 46), "traffic light": (19,), "traffic sign": (20,),
        "vegetation": (21,), "terrain": (22, 78), "sky": (23,), "person": (24,), "rider": (25, 47, 48, 49),
        "car": (26, 35), "truck": (27, 34), "bus": (28,), "train": (31,), "motorcycle": (32, 58), "bicycle": (33,),
    },
    void=(*range(81), 255),
)  # fmt: skip

#: A2D2's colours (its class_list.json). It has no mapping of its own: a class is what most of three public conversions
#: take it for (adwersbad's label map, two loaders with Cityscapes-like classes), else void. No riders.
A2D2_COLOURS = LabelTable(
    {
        (0, 0, 0): "void",
        # RD normal street, drivable cobblestone, slow drive area, RD restricted area, speed bumper, zebra crossing,
        # solid line, dashed line, painted driving instructions
        **dict.fromkeys(
            ((255, 0, 255), (180, 50, 180), (238, 233, 191), (150, 0, 150), (110, 110, 0), (210, 50, 115),
             (255, 193, 37), (128, 0, 255), (200, 125, 210)), "road",
        ),
        # Sidewalk, kerbstone, non-drivable street
        **dict.fromkeys(((180, 150, 200), (128, 128, 0), (139, 99, 108)), "sidewalk"),
        (241, 230, 255): "building",
        (238, 162, 173): "fence",  # grid structure
        (255, 246, 143): "pole",
        # Traffic signal 1-3 and signal corpus
        **dict.fromkeys(((0, 128, 255), (30, 28, 158), (60, 28, 100), (33, 44, 177)), "traffic light"),
        **dict.fromkeys(((0, 255, 255), (30, 220, 220), (60, 157, 199)), "traffic sign"),
        (147, 253, 194): "vegetation",
        (135, 206, 255): "sky",
        **dict.fromkeys(((204, 153, 255), (189, 73, 155), (239, 89, 191)), "person"),
        **dict.fromkeys(((255, 0, 0), (200, 0, 0), (150, 0, 0), (128, 0, 0)), "car"),
        # Trucks and utility vehicles
        **dict.fromkeys(((255, 128, 0), (200, 128, 0), (150, 128, 0), (255, 255, 0), (255, 255, 200)), "truck"),
        **dict.fromkeys(((0, 255, 0), (0, 200, 0), (0, 150, 0)), "motorcycle"),  # small vehicles
        **dict.fromkeys(((182, 89, 6), (150, 50, 4), (90, 30, 1), (90, 30, 30)), "bicycle"),
        # Sidebars, irrelevant signs, road blocks, tractor, obstacles, animals, electronic traffic, parking area,
        # ego car, traffic guide objects, blurred area, rain dirt
        **dict.fromkeys(
            ((233, 100, 0), (64, 0, 64), (185, 122, 87), (0, 0, 100), (255, 0, 128), (204, 255, 153), (255, 70, 185),
             (150, 150, 200), (72, 209, 204), (159, 121, 238), (96, 69, 143), (53, 46, 82)), "void",
        ),
    }
)  # fmt: skip

#: CamVid in SegNet's 11 classes.
CAMVID = LabelTable(
    {
        0: "sky", 1: "building", 2: "pole", 3: "road", 4: "sidewalk", 5: "vegetation", 6: "traffic sign", 7: "fence",
        8: "car", 9: "person", 10: "bicycle", 11: "void",
    }
)  # fmt: skip

#: CamVid's 32 classes (its label_colors.txt): SegNet's 11 as above, and of the others those with an evident class.
CAMVID_COLOURS = LabelTable(
    {
        (128, 128, 128): "sky", (128, 0, 0): "building", (192, 192, 128): "pole", (128, 64, 128): "road",
        (0, 0, 192): "sidewalk", (128, 128, 0): "vegetation", (192, 128, 128): "traffic sign", (64, 64, 128): "fence",
        (64, 0, 128): "car", (64, 64, 0): "person", (0, 128, 192): "bicycle", (0, 0, 0): "void",
        # Drivable and other lane markings, wall, traffic light, miscellaneous vegetation, child, pickup, train, scooter
        (128, 0, 192): "road", (192, 0, 64): "road", (64, 192, 0): "wall", (0, 64, 64): "traffic light",
        (192, 192, 0): "vegetation", (192, 128, 64): "person", (64, 128, 192): "car", (192, 64, 128): "train",
        (192, 0, 192): "motorcycle",
        # Animal, archway, bridge, cart, text, other moving, parking block, road shoulder, traffic cone, truck or bus,
        # tunnel
        **dict.fromkeys(
            ((64, 128, 64), (192, 0, 128), (0, 128, 64), (64, 0, 192), (128, 128, 64), (128, 64, 64), (64, 192, 128),
             (128, 128, 192), (0, 0, 64), (192, 128, 192), (64, 0, 64)), "void",
        ),
    }
)  # fmt: skip

#: The tables that a domain file may name.
TABLES: dict[str, LabelTable] = {
    "train_ids": TRAIN_IDS,
    "label_ids": CITYSCAPES_IDS,
    "label_colours": CITYSCAPES_COLOURS,
    "palette": PALETTE_COLOURS,
    "gta_ids": GTA_IDS,
    "synthia": SYNTHIA,
    "urbansyn": URBANSYN,
    "carla": CARLA,
    "mapillary_v1.2": MAPILLARY_V12,
    "mapillary_v2.0": MAPILLARY_V20,
    "idd_ids": IDD_IDS,
    "idd_cs_ids": IDD_CS_IDS,
    "idd_level3_ids": IDD_LEVEL3_IDS,
    "wilddash_ids": WILDDASH_IDS,
    "a2d2_colours": A2D2_COLOURS,
    "camvid": CAMVID,
    "camvid_colours": CAMVID_COLOURS,
}
