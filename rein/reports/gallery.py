"""The kept predictions as small pictures within the HTML page, to be looked through by domain and variant."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rein.config import Figure
from rein.data.classes import VOID, colours
from rein.reports.figures.predictions import common, domains, file_of, kept
from rein.reports.figures.variants import variants
from rein.reports.markup import join
from rein.reports.study import Study

if TYPE_CHECKING:
    from PIL.Image import Image

#: Bytes of pictures, as they stand in the page, that all galleries of a document may have together.
BUDGET = 6_000_000
#: Pixels of a picture's longer side.
SIDE = 360


@dataclass(frozen=True)
class Panel:
    """One picture: the image, its label, or what a variant `predicted`."""

    what: str
    url: str
    predicted: bool = True


@dataclass(frozen=True)
class Scene:
    """One image with its label and predictions; `first` of its domain."""

    domain: str
    stem: str
    first: bool
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Gallery:
    """The scenes that fit the budget, of all `total` that runs have kept."""

    scenes: list[Scene]
    points: list[str]
    total: int
    #: What is said of them in the report.
    said: str = ""
    #: (name, CSS colour) of the classes that occur.
    legend: list[tuple[str, str]] = field(default_factory=list)

    @property
    def domains(self) -> list[str]:
        return list(dict.fromkeys(scene.domain for scene in self.scenes))

    @property
    def caption(self) -> str:
        return join(self.said, "Of each variant the run with the lowest seed.", self.left_out)

    @property
    def left_out(self) -> str:
        left = self.total - len(self.scenes)
        text = f"{left} of {self.total} kept images are left out to keep the page small; all of them lie"
        return f"{text} in the runs' `predictions` folders." if left else ""


def gallery(study: Study, wanted: Figure, budget: int = BUDGET) -> Gallery:
    """What the finished runs have kept: the first image of every domain, then the second, as far as the budget goes."""
    study = study.only(wanted.filter, f"figure {wanted.name!r}")
    folders = kept(study, wanted.points or study.points)
    names = {one.point: one.label for one in variants(study, wanted)}
    scenes, spent, present, total = [], 0, set[int](), 0
    for domain, stem, first in _in_turn({one: common(one, folders) for one in domains(study, folders)}):
        total += 1
        if spent > budget:
            continue
        panels, ids = _panels(folders, names, domain, stem, study.told_apart)
        spent += sum(len(panel.url) for panel in panels)
        if spent <= budget:
            scenes.append(Scene(domain, stem, first, panels))
            present |= ids
    colour = [f"#{bytes(one).hex()}" for one in colours(study.told_apart)]
    named = [*zip(count(), study.told_apart, colour), (VOID, "void", "#000")]
    return Gallery(
        scenes,
        [names[point] for point in folders],
        total,
        wanted.caption,
        [(name, shown) for id, name, shown in named if id in present],
    )


def _in_turn(stems: dict[str, list[str]]) -> Iterator[tuple[str, str, bool]]:
    for number, turn in enumerate(zip_longest(*stems.values())):
        for domain, stem in zip(stems, turn, strict=True):
            if stem is not None:
                yield domain, stem, number == 0


def _panels(
    folders: dict[str, Path], names: dict[str, str], domain: str, stem: str, classes: Sequence[str]
) -> tuple[tuple[Panel, ...], set[int]]:
    """An image's pictures, and the train ids that its masks hold."""
    row = (domain, stem)
    url, present = _mask(file_of(folders, row, "label"), classes)
    panels = [Panel("image", _photo(file_of(folders, row, "image")), False), Panel("label", url, False)]
    for point, folder in folders.items():
        file = folder / domain / f"{stem}_prediction.png"
        if file.is_file():
            url, ids = _mask(file, classes)
            panels.append(Panel(names[point], url))
            present |= ids
    return tuple(panels), present


def _photo(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as image:
        image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    return _url(image, "JPEG", quality=80)


def _mask(file: Path, classes: Sequence[str]) -> tuple[str, set[int]]:
    from PIL import Image

    with Image.open(file) as opened:
        ids = np.asarray(opened)
    mask = Image.fromarray(ids, mode="P")
    mask.putpalette(np.array(colours(classes), np.uint8).tobytes().ljust(768, b"\0"))
    mask.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    return _url(mask, "PNG", optimize=True), set(np.unique(ids).tolist())


def _url(image: Image, format: str, **options: object) -> str:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
