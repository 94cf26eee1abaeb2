"""The 19 classes and their colours, against Cityscapes' own list."""

from __future__ import annotations

from cityscapesscripts.helpers.labels import labels as cityscapes
from hypothesis import given
from hypothesis import strategies as st

from rein.data.classes import CLASSES, PALETTE, colours


def test_classes_and_palette_are_those_of_cityscapesscripts() -> None:
    theirs = sorted((label.trainId, label.name, label.color) for label in cityscapes if 0 <= label.trainId < 255)
    assert [(id, *both) for id, both in enumerate(zip(CLASSES, PALETTE, strict=True))] == theirs


@given(st.lists(st.sampled_from((*CLASSES, *(f"own {i}" for i in range(230)))), unique=True, max_size=240))
def test_every_class_has_a_colour_of_its_own_and_cityscapes_classes_keep_theirs(names: list[str]) -> None:
    given = colours(names)
    assert len(given) == len(set(given)) == len(names)
    assert all(given[names.index(name)] == PALETTE[i] for i, name in enumerate(CLASSES) if name in names)
