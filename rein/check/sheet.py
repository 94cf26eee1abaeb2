"""The contact sheet: images under the colours of their labels, since a person sees a shifted label at once.

It shows what no count can tell: a label of another image or off by some pixels, a table that calls a car a bus,
colours in another order.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rein.check.finding import table_name
from rein.check.pair import names_by_value, read_values
from rein.check.survey import Survey, spaced
from rein.data.classes import colours
from rein.data.dataset import check_pair
from rein.data.domain import DataError, Sample
from rein.data.reading import read_image
from rein.panels import overlay

#: Images of a split that are drawn, evenly spaced.
IMAGES = 6
WIDTH, MARGIN, GAP = 1640, 20, 8
OPACITY = 0.6
#: Side of the black and white squares that are drawn where the table does not know the id: no class looks like that.
SQUARE = 6
#: Wider images have a row of the sheet for themselves.
WIDE = 2.4
_INK, _FAINT, _BOX = "black", "#666666", "#eeeeee"


def draw(surveys: Sequence[Survey], path: Path) -> list[Path]:
    """Write a PNG of all splits, or where the path is no PNG a folder with one for each domain; returns the files."""
    domains = {name: list(items) for name, items in groupby(surveys, key=lambda item: item.domain.name)}
    if path.suffix.lower() == ".png":
        sheets = {path: [strip for items in domains.values() for strip in _domain(items)]}
    else:
        sheets = {path / f"{name}.png": _domain(items) for name, items in domains.items()}
    for file, strips in sheets.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        _stacked(strips).save(file)
    return list(sheets)


def _domain(items: Sequence[Survey]) -> list[Image.Image]:
    """The strips of a domain: a title and rows of pairs for each split, then the legend."""
    tables = [table for item in items if item.found for _, table in item.found.layout.labels]
    names = [name for table in tables for name in names_by_value(table).values() if name != "void"]
    painter = _Painter(list(dict.fromkeys(names)))
    strips: list[Image.Image] = []
    for item in items:
        strips.append(_title(item))
        samples = spaced(item.found.samples, IMAGES) if item.found else []
        strips += _rows([painter.pair(sample) for sample in samples])
    return [*strips, painter.legend()]


class _Painter:
    """Draws pairs in the colours of the domain's classes, and keeps in mind which of them were seen."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.seen: set[str] = set()

    def pair(self, sample: Sample) -> tuple[Image.Image, Image.Image, Sample]:
        """The image, and the image under its label; what cannot be read is replaced by the reason."""
        try:
            image = read_image(sample.image).permute(1, 2, 0).numpy()
        except DataError as error:
            return _reason(_short(error, sample.image)), _reason(), sample
        picture = Image.fromarray(image)
        try:
            places, values, unknown = read_values(sample.label, sample.table)
            check_pair((picture.height, picture.width), places.shape, sample)
        except DataError as error:
            return picture, _reason(_short(error, sample.label), picture.width / picture.height), sample
        return picture, self._overlay(image, places, values, bool(unknown), sample), sample

    def _overlay(
        self, image: np.ndarray, places: np.ndarray, values: list[int], unknown: bool, sample: Sample
    ) -> Image.Image:
        names = names_by_value(sample.table)
        ids = np.full(256, 255, np.uint8)
        for place, value in enumerate(values):
            ids[place] = self.classes.index(names[value]) if names[value] != "void" else 255
        shown = {names[values[place]] for place in np.unique(places) if place < len(values)}
        self.seen |= shown | ({"unknown id"} if unknown else set())
        sized = np.asarray(Image.fromarray(places).resize(image.shape[1::-1], Image.Resampling.NEAREST))
        painted = overlay(image, ids[sized], self.classes, OPACITY)
        if unknown:
            painted[sized == 255] = _chequered(*sized.shape)[sized == 255]
        return Image.fromarray(painted)

    def legend(self) -> Image.Image:
        """A swatch and a name of every class that was drawn, in the order of the table."""
        swatches = {name: Image.new("RGB", (18, 18), colour) for name, colour in self._colours()}
        swatches["unknown id"] = Image.fromarray(_chequered(18, 18))
        swatches["void"] = Image.new("RGB", (18, 18), "white")
        font, x, y, places = _font(15), MARGIN, 6, []
        for name in [name for name in swatches if name in self.seen]:
            width = 26 + int(font.getlength(name)) + 22
            if x + width > WIDTH - MARGIN:
                x, y = MARGIN, y + 26
            places.append((x, y, name))
            x += width
        strip, pen = _strip(y + 40)
        for x, y, name in places:
            strip.paste(swatches[name], (x, y))
            pen.rectangle((x - 1, y - 1, x + 18, y + 18), outline=_FAINT)
            pen.text((x + 26, y), name, _INK, font)
        return strip

    def _colours(self) -> Iterable[tuple[str, tuple[int, int, int]]]:
        return zip(self.classes, colours(self.classes), strict=True)


def _chequered(height: int, width: int) -> np.ndarray:
    """Black and white squares (height, width, 3)."""
    rows, columns = np.ogrid[:height, :width]
    return np.where((rows // SQUARE + columns // SQUARE) % 2, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=2)


def _title(item: Survey) -> Image.Image:
    strip, pen = _strip(64)
    pen.text((MARGIN, 10), f"{item.domain.name}  {item.split}", _INK, _font(24, bold=True))
    found = item.found
    if found is None:
        text = "no images found"
    else:
        tables = dict.fromkeys(table_name(sample.table) for sample in found.samples)
        number = len(found.samples)
        drawn = f"{IMAGES} of {number:,} images, evenly spaced" if number > IMAGES else f"{number} images"
        text = f"{drawn}, labels read as {' and '.join(tables)}; {found.folder}/{found.layout.images}"
    pen.text((MARGIN, 42), _cut(text, _font(15), WIDTH - 2 * MARGIN), _FAINT, _font(15))
    return strip


def _rows(pairs: Sequence[tuple[Image.Image, Image.Image, Sample]]) -> list[Image.Image]:
    """Two pairs a row; wide images have one."""
    wide = any(image.width > WIDE * image.height for image, _, _ in pairs)
    columns = 1 if wide else 2
    return [_row(pairs[first : first + columns], columns) for first in range(0, len(pairs), columns)]


def _row(pairs: Sequence[tuple[Image.Image, Image.Image, Sample]], columns: int) -> Image.Image:
    between = 3 * GAP  # pairs stand further apart than an image and its label
    width = (WIDTH - 2 * MARGIN - (columns - 1) * between - columns * GAP) // (2 * columns)
    heights = [round(width * picture.height / picture.width) for pair in pairs for picture in pair[:2]]
    strip, pen = _strip(max(heights) + 34)
    font = _font(13)
    for column, (image, label, sample) in enumerate(pairs):
        x = MARGIN + column * (2 * width + GAP + between)
        for picture, file in ((image, sample.image), (label, sample.label)):
            height = round(width * picture.height / picture.width)
            strip.paste(picture.resize((width, height), Image.Resampling.BICUBIC), (x, 0))
            pen.text((x, height + 4), _cut(file.name, font, width), _INK, font)
            x += width + GAP
    return strip


def _short(error: Exception, path: Path) -> str:
    return str(error).replace(f"{path.parent}/", "")


def _reason(text: str = "", aspect: float = 2.0) -> Image.Image:
    """A grey box of the image's shape with what is wrong."""
    box = Image.new("RGB", (400, round(400 / aspect)), _BOX)
    ImageDraw.Draw(box).text((14, 14), "\n".join(textwrap.wrap(text, 50)), "#aa0000", _font(13))
    return box


def _strip(height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    strip = Image.new("RGB", (WIDTH, height), "white")
    return strip, ImageDraw.Draw(strip)


def _stacked(strips: Iterable[Image.Image]) -> Image.Image:
    strips = list(strips)
    sheet = Image.new("RGB", (WIDTH, sum(strip.height for strip in strips) or 1), "white")
    y = 0
    for strip in strips:
        sheet.paste(strip, (0, y))
        y += strip.height
    return sheet


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: file names have letters that PIL's own font lacks."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Text that fits, its middle left out where it is too long: names differ at their ends."""
    kept, whole = len(text), text
    while font.getlength(text) > width and kept > 8:
        kept -= 1
        text = f"{whole[: kept // 2]}…{whole[len(whole) - kept // 2 :]}"
    return text
