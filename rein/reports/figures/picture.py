"""What every figure of a report is made of: the picture with its caption, sizes, style, and colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from rein.reports.grid import Grid
from rein.reports.statistics import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.transforms import Bbox

#: Widths of a paper in inches: one of two columns, and the text.
COLUMN, TEXT = 3.25, 6.9
#: Of a saved PNG.
DPI = 200

STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "legend.frameon": False, "axes.linewidth": 0.6, "lines.linewidth": 1.2, "grid.linewidth": 0.4,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.bbox": "tight", "savefig.pad_inches": 0.03,
    "pdf.fonttype": 42, "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a $ in a variant's name is a $
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A place in a figure, in the data's coordinates, and what is said of it where a page can be pointed at."""

    axes: Axes
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Spot:
    """A point's place on the saved PNG, in percent of its width from the left and of its height from the top."""

    left: float
    top: float
    text: str


@dataclass(frozen=True)
class Saved:
    """A picture's files, the PNG first, and where on the PNG its points lie."""

    files: tuple[Path, ...]
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class Picture:
    """A drawn figure: its caption in full, and the sentences that it supports where it supports any.

    `tested` has what they say, and more, as a table, where there are several.
    """

    caption: str
    canvas: Canvas
    verdicts: tuple[Verdict, ...] = ()
    points: tuple[Point, ...] = ()
    tested: Grid | None = None

    def save(self, stem: Path) -> Saved:
        """Write PNG (200 dpi) and PDF (fonts as TrueType, which publishers ask for); closes the canvas."""
        import matplotlib.pyplot as plt

        files = (stem.with_suffix(".png"), stem.with_suffix(".pdf"))
        with plt.rc_context(STYLE):
            # The box that is saved is measured here, not in savefig: the points' places are relative to it.
            self.canvas.set_dpi(DPI)
            self.canvas.draw_without_rendering()
            self.canvas.set_layout_engine("none")  # measured and laid out once: a second layout could move the axes
            box = self.canvas.get_tightbbox().padded(plt.rcParams["savefig.pad_inches"])
            spots = self._spots(box)
            self.canvas.savefig(files[0], dpi=DPI, bbox_inches=box)
            # No creation date: the same results give the same bytes.
            self.canvas.savefig(files[1], metadata={"CreationDate": None})
        plt.close(self.canvas)
        return Saved(files, spots)

    def _spots(self, box: Bbox) -> tuple[Spot, ...]:
        """The points within their axes; `box` is the saved part of the canvas in inches."""
        spots = []
        for point in self.points:
            x, y = point.axes.transData.transform((point.x, point.y))
            if not point.axes.bbox.padded(1).contains(x, y):  # nan, or outside of what is drawn
                continue
            left, top = (x / DPI - box.x0) / box.width, (box.y1 - y / DPI) / box.height
            spots.append(Spot(round(100 * left, 2), round(100 * top, 2), point.text))
        return tuple(spots)


#: As many hues can be told apart by every eye.
HUES = 10


def colours(number: int) -> list[tuple[float, float, float]]:
    import seaborn as sns

    # Beyond that only a ramp is honest.
    return list(sns.color_palette("colorblind", number) if number <= HUES else sns.color_palette("viridis", number))


#: Lines beside the solid one.
_DASHES = ((4, 1.5), (1, 1), (4, 1.5, 1, 1.5), (7, 1.5), (4, 1, 1, 1, 1, 1))


class Look(NamedTuple):
    """How one of several lines or points is told from the others, in colour and in grey."""

    colour: tuple[float, float, float]
    marker: str
    #: As matplotlib has it, `-` or (0, (on, off, …)).
    line: Any


def looks(number: int) -> list[Look]:
    """As many looks; colours differ in all of them, markers in a dozen, lines in half a dozen."""
    markers = islice(cycle("os^DvPX*<>ph"), number)
    lines = islice(cycle(("-", *((0, dashes) for dashes in _DASHES))), number)
    return [Look(*look) for look in zip(colours(number), markers, lines, strict=True)]


def flat(wide: pd.DataFrame) -> pd.DataFrame:
    """Columns (role, domain) as `role domain`."""
    return wide.set_axis([f"{role} {domain}" for role, domain in wide.columns], axis=1)


def columns(number: int, most: int) -> int:
    """Columns of a legend with that many entries, so that its rows are about equally long."""
    return math.ceil(number / math.ceil(number / most))


def folded(text: str, width: int) -> str:
    """In lines of that many characters, at words."""
    import textwrap

    return "\n".join(textwrap.wrap(text, max(width, 6)))
