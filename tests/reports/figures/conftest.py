"""A made-up sweep of what the papers' tables are of."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pytest

from rein.reports.study import Study, gather
from tests.reports.made_up_sweep import World

DINO, EVA = "vit_large_patch14_dinov2.lvd142m", "eva02_large_patch14_224.mim_m38m"
TARGETS = ("cityscapes", "bdd100k", "mapillary")
GTA = {"data.sources": [["gta"]]}


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three tunings of two backbones, two seeds each: averages of 38.5, 44.5, 40.5 for both backbones."""
    points = {
        "Freeze": ({"tuning.method": "frozen"}, 0, 0.40),
        "Rein": ({"tuning.method": "rein"}, 2_990_000, 0.46),
        "Full": ({"tuning.method": "full"}, 304_200_000, 0.42),
    }
    made = World(tmp_path_factory.mktemp("paper"), points, (0, 1), TARGETS, **GTA, **{"backbone.name": [DINO, EVA]})
    made.finish_all()
    return gather(made.report(), made.runs)
