"""A picture's points lie on the saved PNG where its markers do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from rein.reports.figures.picture import STYLE, Picture, Point

RED, BLUE = (255, 0, 0), (0, 0, 255)


def centre(png: Path, colour: tuple[int, int, int]) -> tuple[float, float]:
    """The middle of all pixels of a colour, in percent of the image from the left and from the top."""
    with Image.open(png) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    rows, columns = np.nonzero(np.abs(pixels - colour).sum(axis=2) < 30)
    return (
        100 * (columns.min() + columns.max() + 1) / 2 / pixels.shape[1],
        100 * (rows.min() + rows.max() + 1) / 2 / pixels.shape[0],
    )


@pytest.mark.parametrize("layout", ["constrained", None])
@pytest.mark.parametrize("projection", [None, "polar"])
def test_a_point_lies_on_its_marker(tmp_path: Path, layout: str | None, projection: str | None) -> None:
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        canvas = plt.figure(figsize=(5, 2.5), layout=layout)
        left, right = canvas.subplots(1, 2, subplot_kw={"projection": projection})
        # Texts that stand out of the canvas make the saved box another one than the canvas.
        left.set(ylabel="a name\nof three\nlines", title="wide " * 12)
        canvas.legend([left.plot([], [])[0]], ["below"], loc="upper center", bbox_to_anchor=(0.5, -0.1))
        left.plot([1.3], [20], "o", color="red", markersize=4, markeredgewidth=0)
        left.plot([0.1, 2.5], [1, 50], color="0.5", linewidth=0.1)
        right.plot([2], [300], "o", color="blue", markersize=4, markeredgewidth=0)
        right.plot([1, 3], [1, 1000], color="0.5", linewidth=0.1)
        if projection is None:
            right.set_yscale("log")
    points = (Point(left, 1.3, 20, "red"), Point(right, 2, 300, "blue"), Point(left, math.nan, 1, "nowhere"),
              Point(right, 2, 1e9, "outside"))  # fmt: skip
    saved = Picture("", canvas, points=points).save(tmp_path / "drawn")
    assert [spot.text for spot in saved.spots] == ["red", "blue"]
    for spot, colour in zip(saved.spots, (RED, BLUE), strict=True):
        # A pixel is 0.1 % of the width and 0.2 % of the height.
        assert (spot.left, spot.top) == pytest.approx(centre(saved.files[0], colour), abs=0.3)


def test_a_closed_picture_leaves_no_canvas(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    canvas = plt.figure()
    Picture("", canvas).save(tmp_path / "drawn")
    assert isinstance(canvas, Figure) and plt.get_fignums() == before
