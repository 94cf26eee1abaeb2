"""Predictions beside image and label: a few rows a domain, a column a variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rein.config import Figure
from rein.data.classes import CLASSES, VOID, colours
from rein.reports.figures.picture import TEXT, Picture, columns, folded
from rein.reports.figures.variants import variants
from rein.reports.markup import join
from rein.reports.names import written
from rein.reports.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


#: Rows that a page holds.
MOST = 9


def colourise(ids: np.ndarray, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """(h, w) train ids -> (h, w, 3) RGB in the classes' colours; void, and ids without a class, are black."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(classes)] = colours(classes)
    return palette[ids]


def predictions(study: Study, wanted: Figure) -> Picture | str:
    """A few images of every domain: image, label and every variant's prediction, with a legend of what occurs."""
    points = list(wanted.points) or study.points
    folders = kept(study, points)
    names = domains(study, folders)
    each = max(1, min(3, MOST // max(len(names), 1)))
    rows = [(domain, stem) for domain in names for stem in common(domain, folders)[:each]]
    if not rows:
        return "no finished run has kept predictions"
    drawn = (
        f"{'One image' if each == 1 else f'Up to {each} images'} a domain, the first in the order of names that most "
        f"variants have kept; of each variant the run with the lowest seed."
    )
    labels = {one.point: one.label for one in variants(study, wanted)}
    return Picture(join(wanted.caption, drawn), _panel(labels, folders, rows, study.classes, wanted.rename))


def _panel(
    names: dict[str, str], folders: dict[str, Path], rows: list[tuple[str, str]], classes: list[str],
    rename: Mapping[str, str],
) -> Canvas:  # fmt: skip
    """Draw the rows; sizes are inches, so that every image keeps its aspect without gaps between the rows."""
    import matplotlib.pyplot as plt

    titles = ["image", "label", *names.values()]
    margin, above, below = 0.3, 0.4, 0.6  # the domains' names, the titles, the legend
    side = (TEXT - margin) / len(titles)
    images = [_image(file_of(folders, row, "image")) for row in rows]
    heights = [side * image.shape[0] / image.shape[1] for image in images]
    total = sum(heights) + above + below
    places = {"left": margin / TEXT, "right": 1, "top": 1 - above / total, "bottom": below / total}
    spaces = {"wspace": 0.03, "hspace": 0.04, "height_ratios": heights}
    canvas, grid = plt.subplots(
        len(rows), len(titles), figsize=(TEXT, total), squeeze=False, gridspec_kw={**places, **spaces}
    )
    present: set[int] = set()
    named: set[str] = set()
    for line, (domain, stem), image, height in zip(grid, rows, images, heights, strict=True):
        line[0].imshow(image)
        if domain not in named:  # once for its rows
            line[0].set_ylabel(folded(written(domain, rename), round(height * 15)), fontsize=7)
        named.add(domain)
        present |= _show(line[1], file_of(folders, (domain, stem), "label"), classes)
        for axes, point in zip(line[2:], names, strict=True):
            file = folders[point] / domain / f"{stem}_prediction.png" if point in folders else None
            present |= _show(axes, file, classes)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(folded(title, round(side * 15)), fontsize=7, pad=3)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    _legend(canvas, present, classes, (below - 0.05) / total)
    return canvas


def _show(axes: Axes, file: Path | None, classes: list[str]) -> set[int]:
    """Show a mask, or a dash for none; returns the train ids in it."""
    if file is None or not file.is_file():
        axes.text(0.5, 0.5, "–", ha="center", va="center", transform=axes.transAxes)
        return set()
    ids = _image(file)
    axes.imshow(colourise(ids, classes), interpolation="nearest")
    return set(np.unique(ids).tolist())


def _legend(canvas: Canvas, present: set[int], classes: list[str], top: float) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=to_rgb(f"#{bytes(colour).hex()}"), edgecolor="0.5", linewidth=0.3, label=name)
        for id, name, colour in [*zip(count(), classes, colours(classes)), (VOID, "void", (0, 0, 0))]
        if id in present
    ]
    canvas.legend(
        handles=patches, loc="upper center", bbox_to_anchor=(0.5, top), ncols=columns(len(patches), 7),
        handlelength=1, handleheight=1, columnspacing=1.2,
    )  # fmt: skip


def kept(study: Study, points: Sequence[str]) -> dict[str, Path]:
    """Of every finished variant the folder of its predictions. The lowest seed stands for it: a fixed choice cannot be
    the prettiest one."""
    runs = study.done.sort_values("seed").drop_duplicates("point")
    paths: dict[str, Path] = dict(zip(runs["point"], runs["path"], strict=True))
    return {point: paths[point] / "predictions" for point in points if point in paths}


def domains(study: Study, folders: dict[str, Path]) -> list[str]:
    """Targets first, then sources, where any variant has kept a prediction."""
    names = dict.fromkeys([*study.targets, *study.sources])
    return [name for name in names if any((folder / name).is_dir() for folder in folders.values())]


def common(domain: str, folders: dict[str, Path]) -> list[str]:
    """The images that most variants have predicted (all of them, as a rule), in the order of names."""
    found: dict[str, int] = {}
    for folder in folders.values():
        for file in (folder / domain).glob("*_prediction.png"):
            stem = file.name.removesuffix("_prediction.png")
            if all((file.parent / f"{stem}_{kind}.png").is_file() for kind in ("image", "label")):
                found[stem] = found.get(stem, 0) + 1
    return sorted(stem for stem, number in found.items() if number == max(found.values()))


def file_of(folders: dict[str, Path], row: tuple[str, str], kind: str) -> Path:
    """An image or label from any variant that has it; it is the same in all."""
    files = (folder / row[0] / f"{row[1]}_{kind}.png" for folder in folders.values())
    return next(file for file in files if file.is_file())


def _image(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
