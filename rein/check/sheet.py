"""The contact sheet: images under the colours of their labels, since a person sees a shifted label at once.

It shows what no count can tell: a label of another image or off by some pixels, a table that calls a car a bus,
colours in another order. Pairs that findings name come first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, groupby, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rein.check.finding import table_name
from rein.check.pair import names_by_value, read_values
from rein.check.survey import Survey, spaced
from rein.config import ConfigError
from rein.data.classes import colours
from rein.data.dataset import check_pair
from rein.data.domain import DataError, Sample
from rein.data.listing import ENDINGS
from rein.data.reading import read_image
from rein.panels import overlay

#: Images of a split that are drawn.
IMAGES = 6
WIDTH, MARGIN, GAP = 1640, 20, 8
#: Low enough to see the image's own edges beside the labels' borders.
OPACITY, BORDER = 0.45, (255, 255, 255)
#: Side of the black and white squares that are drawn where the table does not know the id: no class looks like that.
SQUARE = 6
#: Wider images have a row of the sheet for themselves.
WIDE = 2.4
_INK, _FAINT, _BOX, _WRONG = "black", "#666666", "#eeeeee", "#aa0000"


Row = Mapping[str, Any]


def refuse(path: Path) -> None:
    """Raises ConfigError for a path that is no PNG and looks like another file."""
    if not _is_png(path) and (path.is_file() or path.suffix.lower() in {*ENDINGS, ".gif", ".pdf", ".svg", ".html"}):
        raise ConfigError(f"--sheet {path}: a sheet is a PNG; name a file that ends in .png, or a folder")


def draw(surveys: Sequence[Survey], rows: Sequence[Row], path: Path, images: int = IMAGES) -> list[Path]:
    """Write a PNG of all splits, or where the path is no PNG a folder with one for each domain; returns the files.

    `rows` are those of `check_data`; of each split so many images are drawn, half of them at most for its findings.
    """
    splits = [(item, chosen(item, row, images)) for item, row in zip(surveys, rows, strict=True)]
    domains = {name: list(items) for name, items in groupby(splits, key=lambda split: split[0].domain.name)}
    if _is_png(path):
        sheets = {path: [strip for items in domains.values() for strip in _domain(items)]}
    else:
        sheets = {path / f"{name}.png": _domain(items) for name, items in domains.items()}
    for file, strips in sheets.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        _stacked(strips).save(file)
    return list(sheets)


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png"


def chosen(item: Survey, row: Row, number: int) -> dict[Sample, str]:
    """The pairs to draw, each with what there is to say: some of every finding, then evenly spaced ones."""
    samples = item.found.samples if item.found else []
    by_path = {str(path): sample for sample in samples for path in (sample.image, sample.label)}
    findings = [
        [(by_path[named["file"]], _words(finding, named)) for named in finding["files"] if named["file"] in by_path]
        for finding in (*row["problems"], *row["remarks"])
    ]
    said: dict[Sample, str] = {}
    for entry in filter(None, chain.from_iterable(zip_longest(*findings))):
        if len(said) < number // 2 or entry[0] in said:
            said.setdefault(*entry)
    others = [sample for sample in samples if sample not in said]
    return {**said, **dict.fromkeys(spaced(others, number - len(said)), "")}


def _words(finding: Row, named: Row) -> str:
    what = finding["kind"].replace("_", " ")
    return f"{what}: {named['reason'] or named['other']}" if named["reason"] or named["other"] else what


def _domain(items: Sequence[tuple[Survey, dict[Sample, str]]]) -> list[Image.Image]:
    """The strips of a domain: a title and rows of pairs for each split, then the legend."""
    tables = [table for item, _ in items if item.found for _, table in item.found.layout.labels]
    names = [name for table in tables for name in names_by_value(table).values() if name != "void"]
    painter = _Painter(list(dict.fromkeys(names)))
    strips: list[Image.Image] = []
    for item, pairs in items:
        strips.append(_title(item, pairs))
        strips += _rows([_Pair(*painter.pair(sample), sample, words) for sample, words in pairs.items()])
    return [*strips, painter.legend()]


class _Pair(NamedTuple):
    """An image, the same under its label, and what is said of them."""

    image: Image.Image
    label: Image.Image
    sample: Sample
    words: str


class _Painter:
    """Draws pairs in the colours of the domain's classes, and keeps in mind which of them were seen."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        self.seen: set[str] = set()

    def pair(self, sample: Sample) -> tuple[Image.Image, Image.Image]:
        """The image, and the image under its label; what cannot be read is replaced by the reason."""
        try:
            picture = Image.fromarray(read_image(sample.image).permute(1, 2, 0).numpy())
        except DataError as error:
            return _reason(_short(error, sample.image)), _reason()
        try:
            places, values, unknown = read_values(sample.label, sample.table)
            check_pair((picture.height, picture.width), places.shape, sample)
        except DataError as error:
            return picture, _reason(_short(error, sample.label), picture.width / picture.height)
        # As large as it is shown, so that a border is one pixel wide.
        shown = picture.resize(_shown_size(picture), Image.Resampling.BICUBIC)
        return shown, self._overlay(np.asarray(shown), places, values, bool(unknown), sample)

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
        painted[_borders(ids[sized])] = BORDER
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


def _borders(ids: np.ndarray) -> np.ndarray:
    """Where a pixel (H, W) has another class than the next one to the right or below."""
    differ = np.zeros(ids.shape, bool)
    differ[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    differ[:-1] |= ids[1:] != ids[:-1]
    return differ


def _chequered(height: int, width: int) -> np.ndarray:
    """Black and white squares (height, width, 3)."""
    rows, columns = np.ogrid[:height, :width]
    return np.where((rows // SQUARE + columns // SQUARE) % 2, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=2)


def _title(item: Survey, pairs: Mapping[Sample, str]) -> Image.Image:
    strip, pen = _strip(64)
    pen.text((MARGIN, 10), f"{item.domain.name}  {item.split}", _INK, _font(24, bold=True))
    found = item.found
    if found is None:
        text = "no images found"
    else:
        tables = dict.fromkeys(table_name(sample.table) for sample in found.samples)
        number, named = len(found.samples), sum(map(bool, pairs.values()))
        drawn = f"{len(pairs)} of {number:,} images" if number > len(pairs) else f"{number} images"
        drawn += f", the first {named} named by findings" if named else ""
        text = f"{drawn}, labels read as {' and '.join(tables)}; {found.folder}/{found.layout.images}"
    pen.text((MARGIN, 42), _cut(text, _font(15), WIDTH - 2 * MARGIN), _FAINT, _font(15))
    return strip


def _rows(pairs: Sequence[_Pair]) -> list[Image.Image]:
    """Two pairs a row; wide images have one."""
    columns = max(map(_columns, (pair.image for pair in pairs)), default=1)
    return [_row(pairs[first : first + columns], columns) for first in range(0, len(pairs), columns)]


def _columns(image: Image.Image) -> int:
    return 1 if image.width > WIDE * image.height else 2


def _width(columns: int) -> int:
    """Of a picture, where so many pairs stand in a row; pairs stand further apart than an image and its label."""
    return (WIDTH - 2 * MARGIN - (columns - 1) * 3 * GAP - columns * GAP) // (2 * columns)


def _shown_size(image: Image.Image) -> tuple[int, int]:
    width = _width(_columns(image))
    return width, max(1, round(width * image.height / image.width))


def _row(pairs: Sequence[_Pair], columns: int) -> Image.Image:
    width, font = _width(columns), _font(13)
    heights = [round(width * picture.height / picture.width) for pair in pairs for picture in pair[:2]]
    strip, pen = _strip(max(heights) + 34 + 20 * any(pair.words for pair in pairs))
    for column, pair in enumerate(pairs):
        x = MARGIN + column * (2 * width + 4 * GAP)
        height = max(round(width * picture.height / picture.width) for picture in pair[:2])
        pen.text((x, height + 22), _cut(pair.words, font, 2 * width), _WRONG, font)
        for picture, file in ((pair.image, pair.sample.image), (pair.label, pair.sample.label)):
            size = (width, round(width * picture.height / picture.width))
            strip.paste(picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC), (x, 0))
            pen.text((x, height + 4), _cut(file.name, font, width), _INK, font)
            x += width + GAP
    return strip


def _short(error: Exception, path: Path) -> str:
    return str(error).replace(f"{path.parent}/", "")


def _reason(text: str = "", aspect: float = 2.0) -> Image.Image:
    """A grey box of the image's shape with what is wrong."""
    box = Image.new("RGB", (400, round(400 / aspect)), _BOX)
    ImageDraw.Draw(box).text((14, 14), "\n".join(textwrap.wrap(drawable(text), 50)), _WRONG, _font(13))
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


def drawable(text: str) -> str:
    """Characters that the font lacks, escaped: they would all be the same box."""
    known = _characters()
    return "".join(letter if ord(letter) in known else letter.encode("unicode_escape").decode() for letter in text)


@cache
def _characters() -> set[int]:
    import matplotlib.ft2font

    return set(matplotlib.ft2font.FT2Font(_font(13).path).get_charmap())


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: file names have letters that PIL's own font lacks."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Text that fits, its middle left out where it is too long: names differ at their ends."""
    text = drawable(text)
    kept, whole = len(text), text
    while font.getlength(text) > width and kept > 8:
        kept -= 1
        text = f"{whole[: kept // 2]}…{whole[len(whole) - kept // 2 :]}"
    return text
