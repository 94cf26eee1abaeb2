"""The 19 classes and the label tables, against the data sets' own published lists."""

from __future__ import annotations

import pytest

from rein.data.classes import CAMVID, CARLA, CITYSCAPES_IDS, CLASSES, PALETTE, TRAIN_IDS, VOID, LabelTable

#: Cityscapes' labels.py: id -> train id of the evaluated classes.
CITYSCAPES = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip


def test_there_are_19_classes_each_with_a_colour_of_its_own() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 19
    assert len(PALETTE) == len(set(PALETTE)) == 19
    assert CLASSES[0] == "road" and CLASSES[13] == "car" and CLASSES[18] == "bicycle"
    assert PALETTE[0] == (128, 64, 128) and PALETTE[13] == (0, 0, 142)


@pytest.mark.parametrize("table", [TRAIN_IDS, CITYSCAPES_IDS, CAMVID, CARLA])
def test_every_table_maps_bytes_to_train_ids_or_void(table: LabelTable) -> None:
    assert all(0 <= id <= 255 for id in table.ids)
    assert set(table.ids.values()) <= {*range(19), VOID}


def test_cityscapes_ids_are_the_data_sets_own() -> None:
    assert {id: train for id, train in CITYSCAPES_IDS.ids.items() if train != VOID} == CITYSCAPES
    assert {*range(34)} <= set(CITYSCAPES_IDS.ids), "all of the data set's ids are known"


def test_train_ids_are_themselves() -> None:
    assert TRAIN_IDS.ids == {**{i: i for i in range(19)}, 255: 255}


@pytest.mark.parametrize(
    ("table", "id", "name"),
    [
        (CAMVID, 0, "sky"), (CAMVID, 3, "road"), (CAMVID, 8, "car"), (CAMVID, 10, "bicycle"),
        (CARLA, 6, "road"), (CARLA, 7, "road"), (CARLA, 10, "car"), (CARLA, 12, "traffic sign"),
    ],
)  # fmt: skip
def test_the_other_tables_name_the_right_class(table: LabelTable, id: int, name: str) -> None:
    assert CLASSES[table.ids[id]] == name


def test_unlabelled_ids_are_void() -> None:
    assert CAMVID.ids[11] == CARLA.ids[0] == CARLA.ids[3] == CITYSCAPES_IDS.ids[0] == VOID
