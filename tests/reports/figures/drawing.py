"""A figure of a made-up sweep, and what can be read in it."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure as Canvas

from rein.config import Figure
from rein.reports.figures import draw
from rein.reports.figures.picture import Picture
from rein.reports.study import Study


def picture(study: Study, kind: str, **changes: Any) -> Picture:
    drawn = draw(study, Figure(name="f", kind=kind, **changes))
    assert isinstance(drawn, Picture), drawn
    return drawn


def texts(canvas: Canvas) -> list[str]:
    return [text.get_text() for axes in canvas.axes for text in axes.texts]


def legend(canvas: Canvas) -> list[str]:
    return [text.get_text() for text in canvas.legends[0].get_texts()]


def said(drawn: Picture) -> dict[str, tuple[float, float]]:
    """What is said of every point -> its place."""
    return {point.text: (point.x, point.y) for point in drawn.points}
