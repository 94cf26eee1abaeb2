"""The page's gallery: what runs have kept, as far as the budget goes."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from rein.config import Figure
from rein.data.classes import CLASSES, colours
from rein.reports.gallery import BUDGET, SIDE, Gallery, gallery
from rein.reports.study import gather
from tests.reports.made_up_sweep import POINTS, TARGETS, World

ALL = Figure(name="all", kind="predictions", caption="Mine.")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A sweep of two variants that kept three images of each of four domains, larger than the page shows them."""
    points = {name: POINTS[name] for name in ("frozen", "rein")}
    made = World(tmp_path_factory.mktemp("kept"), points, (0, 1), TARGETS)
    made.finish_all()
    noise = np.random.default_rng(0).integers(0, 255, (256, 512, 3), dtype=np.uint8)
    ids = np.repeat(np.array([0, 10, 13, 255], dtype=np.uint8), 64)[:, None].repeat(512, axis=1)
    Image.fromarray(noise).save(made.folder / "image.png", compress_level=0)
    World._mask(ids).save(made.folder / "label.png")
    for item in made.planned:
        for domain in (*TARGETS, "toy-game"):
            folder = made.runs / item.id / "predictions" / domain
            folder.mkdir(parents=True)
            for stem in ("a", "b", "c"):
                for kind in ("image", "label", "prediction"):
                    source = made.folder / ("image.png" if kind == "image" else "label.png")
                    (folder / f"{stem}_{kind}.png").hardlink_to(source)
    return made


def size(found: Gallery) -> int:
    return sum(len(panel.url) for scene in found.scenes for panel in scene.panels)


def test_every_kept_image_is_there(made: World) -> None:
    found = gallery(gather(made.report(), made.runs), ALL)
    assert found.total == 12 and found.left_out == "" and found.points == ["frozen", "rein"]
    assert found.domains == [*TARGETS, "toy-game"]
    assert [scene.stem for scene in found.scenes if scene.first] == ["a"] * 4
    assert {tuple(panel.what for panel in scene.panels) for scene in found.scenes} == {
        ("image", "label", "frozen", "rein")
    }
    names = [name for name, _ in found.legend]
    assert names == ["road", "sky", "car", "void"]


def test_variants_have_the_names_of_the_figures(made: World) -> None:
    renamed = Figure(name="all", kind="predictions", rename={"rein": "Rein", "frozen": "Freeze"})
    found = gallery(gather(made.report(), made.runs), renamed)
    assert found.points == ["Freeze", "Rein"]
    assert [panel.what for panel in found.scenes[0].panels] == ["image", "label", "Freeze", "Rein"]


def test_masks_keep_the_colours_of_the_classes(made: World) -> None:
    label = gallery(gather(made.report(), made.runs), ALL).scenes[0].panels[1]
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", label.url).groups()  # type: ignore[union-attr]
    with Image.open(BytesIO(base64.b64decode(data))) as image:
        assert kind == "png" and max(image.size) == SIDE
        seen = {colour for _, colour in image.convert("RGB").getcolors()}
    assert seen == {(0, 0, 0), *(colours(CLASSES)[id] for id in (0, 10, 13))}


def test_what_does_not_fit_is_left_out_and_said(made: World) -> None:
    study = gather(made.report(), made.runs)
    whole = gallery(study, ALL)
    part = gallery(study, ALL, size(whole) // 2)
    assert size(part) <= size(whole) // 2 and [scene.stem for scene in part.scenes] == ["a"] * 4 + ["b"] * 2
    assert part.caption.startswith("Mine. Of each variant") and "6 of 12 kept images are left out" in part.caption


def test_a_page_of_twelve_chapters_has_room(made: World) -> None:
    """Of the 15 MB that a page may have galleries take less than half; noise is what JPEG is worst at."""
    wanted = Figure(name="one", kind="predictions", points=("rein",))
    found = gallery(gather(made.report(), made.runs), wanted, BUDGET // 12)
    assert BUDGET <= 7_500_000 and len(found.scenes) >= 8
