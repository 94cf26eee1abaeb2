"""What stored values mean, against the data sets' own lists and the reference code's rules."""

from __future__ import annotations

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as cityscapes
from hypothesis import given
from hypothesis import strategies as st

from rein.data.classes import CLASSES, VOID
from rein.data.label_tables import (
    A2D2_COLOURS,
    CAMVID,
    CAMVID_COLOURS,
    CITYSCAPES_COLOURS,
    CITYSCAPES_IDS,
    GTA_IDS,
    IDD_CS_IDS,
    IDD_IDS,
    IDD_LEVEL3_IDS,
    MAPILLARY_V12,
    MAPILLARY_V20,
    PALETTE_COLOURS,
    TABLES,
    TRAIN_IDS,
    UNKNOWN,
    WILDDASH_IDS,
    LabelTable,
    pack,
)

NAMED = [pytest.param(table, id=name) for name, table in TABLES.items()]
BY_ID = [name for name, table in TABLES.items() if not table.coloured]


def train_ids(table: LabelTable) -> dict[object, int]:
    lookup = table.lookup()
    return {value: int(lookup[pack(value) if isinstance(value, tuple) else value]) for value in table.names}


@pytest.mark.parametrize("table", NAMED)
def test_every_name_is_a_class_or_void_and_every_other_value_unknown(table: LabelTable) -> None:
    assert set(table.names.values()) <= {*CLASSES, "void"}
    lookup = table.lookup()
    assert lookup.dtype == np.uint8 and len(lookup) == (2**24 if table.coloured else 2**16)
    assert np.count_nonzero(lookup != UNKNOWN) == len(table.names)
    assert all(lookup[lookup < UNKNOWN] < len(CLASSES))


def test_label_ids_are_those_of_cityscapesscripts() -> None:
    theirs = {label.id: label.trainId for label in cityscapes if label.id >= 0}
    ours = train_ids(CITYSCAPES_IDS)
    assert {id: ours[id] for id in theirs} == {id: VOID if train == 255 else train for id, train in theirs.items()}
    assert set(ours) - set(theirs) == {255}


def test_colours_are_those_of_cityscapesscripts() -> None:
    ours = train_ids(CITYSCAPES_COLOURS)
    # Two void classes are painted like evaluated ones.
    shared = {"polegroup": CLASSES.index("pole"), "license plate": CLASSES.index("car")}
    for label in cityscapes:
        assert ours[label.color] == shared.get(label.name, VOID if label.trainId in (-1, 255) else label.trainId)


def test_gta_counts_its_licence_plates_as_void_and_is_cityscapes_otherwise() -> None:
    assert train_ids(GTA_IDS) == {**train_ids(CITYSCAPES_IDS), 34: VOID}


def test_train_ids_and_the_palette_are_themselves() -> None:
    assert train_ids(TRAIN_IDS) == {**{i: i for i in range(19)}, 255: 255}
    assert train_ids(PALETTE_COLOURS) == {(0, 0, 0): VOID} | {
        label.color: label.trainId for label in cityscapes if 0 <= label.trainId < 255
    }


#: The names of Mapillary Vistas v1.2 in the order of their ids (its config_v1.2.json).
V12 = """
Bird|Ground Animal|Curb|Fence|Guard Rail|Barrier|Wall|Bike Lane|Crosswalk - Plain|Curb Cut|Parking|Pedestrian Area|
Rail Track|Road|Service Lane|Sidewalk|Bridge|Building|Tunnel|Person|Bicyclist|Motorcyclist|Other Rider|
Lane Marking - Crosswalk|Lane Marking - General|Mountain|Sand|Sky|Snow|Terrain|Vegetation|Water|Banner|Bench|Bike Rack|
Billboard|Catch Basin|CCTV Camera|Fire Hydrant|Junction Box|Mailbox|Manhole|Phone Booth|Pothole|Street Light|Pole|
Traffic Sign Frame|Utility Pole|Traffic Light|Traffic Sign (Back)|Traffic Sign (Front)|Trash Can|Bicycle|Boat|Bus|Car|
Caravan|Motorcycle|On Rails|Other Vehicle|Trailer|Truck|Wheeled Slow|Car Mount|Ego Vehicle|Unlabeled"""

#: What the reference code takes for a class: its own name, else the first of these words that a name contains.
RULES = {
    "traffic sign": "traffic sign", "on rails": "train", "cyclist": "rider", "rider": "rider", "pole": "pole",
    "street light": "pole", "curb": "sidewalk", "pedestrian area": "sidewalk", "crosswalk - plain": "road",
    "parking": "road", "bike lane": "road", "service lane": "road", "lane marking": "road",
}  # fmt: skip


def by_rule(name: str) -> str:
    return name if name in CLASSES else next((RULES[word] for word in RULES if word in name), "void")


def test_mapillary_v12_follows_the_reference_codes_rules() -> None:
    names = [name.strip().lower() for name in V12.split("|")]
    assert len(names) == 66
    assert dict(sorted(MAPILLARY_V12.names.items())) == {id: by_rule(name) for id, name in enumerate(names)}


#: Ids of v2.0 whose names v1.2 has as well -> the id there.
SAME = {
    0: 0, 1: 1, 4: 2, 5: 3, 6: 4, 7: 5, 12: 6, 13: 7, 14: 8, 15: 9, 17: 10, 19: 11, 20: 12, 21: 13, 23: 14, 24: 15,
    26: 16, 27: 17, 29: 18, 30: 19, 32: 20, 33: 21, 34: 22, 45: 23, 59: 25, 60: 26, 61: 27, 62: 28, 63: 29, 64: 30,
    65: 31, 66: 32, 67: 33, 68: 34, 69: 36, 70: 37, 71: 38, 72: 39, 73: 40, 74: 41, 76: 42, 77: 43, 84: 44, 85: 45,
    87: 46, 88: 47, 97: 49, 100: 50, 104: 51, 105: 52, 106: 53, 107: 54, 108: 55, 109: 56, 110: 57, 111: 58, 112: 59,
    113: 60, 114: 61, 116: 62, 118: 63, 120: 64, 123: 65,
}  # fmt: skip


def test_mapillary_v20_means_the_same_by_the_same_names() -> None:
    assert set(MAPILLARY_V20.names) == set(range(124))
    assert {id: MAPILLARY_V20.names[id] for id in SAME} == {id: MAPILLARY_V12.names[old] for id, old in SAME.items()}
    lights = {MAPILLARY_V20.names[id] for id in range(90, 96)}
    markings = {MAPILLARY_V20.names[id] for id in range(35, 59)}
    assert lights == {"traffic light"} and markings == {"road"}


#: IDD (anue_labels.py): id -> (csId, csTrainId, level3Id).
IDD = {
    0: (7, 0, 0), 1: (9, 255, 1), 2: (255, 255, 1), 3: (8, 1, 2), 4: (10, 255, 3), 5: (255, 9, 3), 6: (24, 11, 4),
    7: (255, 255, 4), 8: (25, 12, 5), 9: (32, 17, 6), 10: (33, 18, 7), 11: (255, 255, 8), 12: (26, 13, 9),
    13: (27, 14, 10), 14: (28, 15, 11), 15: (29, 255, 12), 16: (30, 255, 12), 17: (31, 16, 12), 18: (355, 255, 12),
    19: (255, 255, 13), 20: (12, 3, 14), 21: (13, 4, 15), 22: (14, 255, 16), 23: (255, 255, 17), 24: (20, 7, 18),
    25: (19, 6, 19), 26: (17, 5, 20), 27: (18, 255, 20), 28: (255, 255, 21), 29: (11, 2, 22), 30: (15, 255, 23),
    31: (16, 255, 23), 32: (21, 8, 24), 33: (23, 10, 25), 34: (255, 255, 25), 35: (0, 255, 255), 36: (1, 255, 255),
    37: (2, 255, 255), 38: (3, 255, 255), 39: (255, 255, 255),
}  # fmt: skip


def test_idd_follows_its_own_cs_train_ids() -> None:
    ids, cs_ids, level3 = IDD_IDS.lookup(), IDD_CS_IDS.lookup(), IDD_LEVEL3_IDS.lookup()
    for id, (cs_id, train, level) in IDD.items():
        assert ids[id] == train
        assert cs_ids[cs_id if cs_id < 256 else 255] == (VOID if id == 5 else train)
        # A level 3 id is its only evaluated class; a train shares its with caravans and trailers, and is void.
        others = {other for _, other, its_level in IDD.values() if its_level == level} - {VOID}
        assert level3[level] == (VOID if level == 12 else next(iter(others), VOID))


@pytest.mark.parametrize(
    ("id", "name"),
    [(7, "road"), (34, "truck"), (35, "car"), (36, "void"), (37, "void"), (38, "road"), (18, "void"), (46, "pole"),
     (52, "sidewalk"), (58, "motorcycle"), (78, "terrain"), (80, "sidewalk"), (0, "void"), (73, "void")],
)  # fmt: skip
def test_wilddash_follows_its_policy_for_cityscapes(id: int, name: str) -> None:
    assert WILDDASH_IDS.names[id] == name


def test_wilddash_begins_as_cityscapes() -> None:
    assert {id: WILDDASH_IDS.names[id] for id in range(34)} == {id: CITYSCAPES_IDS.names[id] for id in range(34)}


#: SegNet's 11 classes in the colours of CamVid's own list.
SEGNET = [
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0), (192, 128, 128),
    (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
]  # fmt: skip


def test_camvids_colours_and_ids_agree() -> None:
    assert [CAMVID_COLOURS.names[colour] for colour in SEGNET] == [CAMVID.names[id] for id in range(12)]
    assert len(CAMVID_COLOURS.names) == 32


def test_a2d2_has_its_55_colours_and_black() -> None:
    assert len(A2D2_COLOURS.names) == 56
    assert A2D2_COLOURS.names[255, 0, 255] == "road" and A2D2_COLOURS.names[147, 253, 194] == "vegetation"


@given(st.sampled_from(BY_ID), st.permutations(CLASSES))
def test_permuting_the_classes_permutes_the_ids(name: str, order: list[str]) -> None:
    table = TABLES[name]
    values = list(table.names)
    usual, other = table.lookup()[values], table.lookup(order)[values]
    assert [CLASSES[id] if id != VOID else "" for id in usual] == [order[id] if id != VOID else "" for id in other]


@given(st.sampled_from(BY_ID), st.sets(st.sampled_from(CLASSES), min_size=2).map(sorted))
def test_fewer_classes_make_the_others_void(name: str, classes: list[str]) -> None:
    table = TABLES[name]
    lookup = table.lookup(classes)
    for value, called in table.names.items():
        assert lookup[value] == (classes.index(called) if called in classes else VOID)


def test_permuting_the_classes_permutes_a_colours_id() -> None:
    assert PALETTE_COLOURS.lookup(CLASSES[::-1])[[0x804080, 0x770B20, 0x000000, 0x010203]].tolist() == [18, 0, 255, 254]


def test_classes_of_ones_own_count_by_name() -> None:
    table = LabelTable({3: "lane", 4: "kerb", 5: "road", 9: "void"})
    assert table.lookup(("kerb", "lane"))[[3, 4, 5, 9, 10]].tolist() == [1, 0, VOID, VOID, UNKNOWN]


def test_a_lookup_cannot_be_spoilt_for_others() -> None:
    with pytest.raises(ValueError, match="read-only"):
        TRAIN_IDS.lookup()[0] = 3
