r"""Tables and figures as floats for LaTeX, of widths that papers have: a column of CVPR, the text of CVPR or ICLR.

A table that fits a column is a `table`, a wider one a `table*`, which in one column is the same. What is still too wide
is scaled down to the line, but not below `SMALLEST`: a table that would be has its columns split over several parts
that stand below each other, each with the names of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, takewhile
from math import ceil

from rein.reports.grid import Cell, Grid, shown
from rein.reports.markup import after, escape

#: Inches. A column of CVPR; the text of ICLR, the narrowest that a wide table must be readable in.
COLUMN, PAGE = 3.25, 5.5
#: Points of the letters as they are set, and of the smallest to which they may be scaled.
SIZE, SMALLEST = 9.0, 7.0
#: Points between two columns.
_GAP = 8.0
_POINTS_PER_INCH = 72.27
#: Widths of letters in their size, a little more than Computer Modern's: the guess should err on the safe side.
_EMS = {"`": 0.0, "m": 0.85, "w": 0.75, "W": 1.05, "M": 0.95, "±": 0.85, "%": 0.85, "−": 0.8, "–": 0.5} | dict.fromkeys(
    "fijlrst .,:;!'|()[]-/", 0.4
)
#: Lines of a page, beside the caption and the notes; and those of a table's titles and rules.
LINES, _HEAD = 42, 4


#: Scaled down to the line where it is wider, never up.
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def figure(slug: str, caption: str, inches: float, title: str = "") -> str:
    r"""A float with the figure of the file figures/SLUG.pdf, `inches` wide; needs graphicx."""
    # In a column a picture may shrink by a seventh: its letters have seven or eight points.
    kind = "figure" if inches <= COLUMN * 7 / 6 else "figure*"
    return (
        rf"\begin{{{kind}}}[htbp]" + "\n"
        r"\centering" + "\n"
        f"{_FIT}\n"
        rf"\includegraphics{{figures/{slug}.pdf}}}}" + "\n"
        f"{_caption(caption, title)}\n"
        rf"\label{{fig:{slug}}}" + "\n"
        rf"\end{{{kind}}}" + "\n"
    )


def _caption(text: str, title: str) -> str:
    """The caption, the title in bold where it begins with that."""
    rest = after(text, title)
    if title and rest != text:
        return rf"\caption{{\textbf{{{escape(title, 'tex')}.}} {escape(rest, 'tex')}}}"
    return rf"\caption{{{escape(text, 'tex')}}}"


def table(grid: Grid) -> str:
    r"""The table as a float, or as several where it is longer than a page; needs booktabs and graphicx."""
    widths = _widths(grid)
    scale = SIZE / SMALLEST
    fits = sum(widths) <= COLUMN * _POINTS_PER_INCH * scale
    parts = [list(range(len(widths)))] if fits else _split(grid, widths, PAGE * _POINTS_PER_INCH * scale)
    pieces = [(part, rows) for rows in _pages(grid) for part in parts]
    floats: list[list[str]] = [[]]
    lines = 0
    for part, rows in pieces:
        lines += len(rows) + _HEAD
        if lines > LINES and floats[-1]:  # the rest of a float that is longer than a page would be lost
            floats.append([])
            lines = len(rows) + _HEAD
        floats[-1].append(_part(grid, part, rows))
    kind = "table" if fits else "table*"
    notes = "".join(rf"\par\smallskip\footnotesize\raggedright {note}" + "\n" for note in grid.below("tex"))
    texts = []
    for number, tabulars in enumerate(floats):
        caption = rf"\par Table~\ref{{{grid.label}}}, continued"
        if number == 0:
            caption = _caption(grid.full_caption, grid.title) + "\n" + rf"\label{{{grid.label}}}"
        body = (r"\par\medskip" + "\n").join(tabulars) + notes * (number == len(floats) - 1)
        texts.append(
            rf"\begin{{{kind}}}[htbp]" + "\n"
            r"\centering" + "\n"
            f"{caption}\n"
            r"\par\medskip\small" + "\n"
            r"\setlength{\tabcolsep}{4pt}" + "\n"
            f"{body}"
            rf"\end{{{kind}}}" + "\n"
        )
    return "\n".join(texts)


def _pages(grid: Grid) -> list[range]:
    """The rows in runs that fit a page, all in one as a rule; a row stays with those that belong to it."""
    starts, begin = [0], 0
    for row, role in enumerate(grid.every_role):
        if role != "sub":
            begin = row
        if row + 1 - starts[-1] > LINES - _HEAD and begin > starts[-1]:
            starts.append(begin)
    return [range(*pair) for pair in pairwise([*starts, len(grid.rows)])]


def _widths(grid: Grid) -> list[float]:
    """The columns' widths in points, about; those under the title of a group are together as wide as that."""
    texts = [
        [column.title, *(row[i].text for row in grid.rows if i < len(row))] for i, column in enumerate(grid.columns)
    ]
    widths = [max(map(_width, column)) for column in texts]
    at = 0
    for group, size in grid.groups():
        lacking = _width(group) - sum(widths[at : at + size])
        widths[at : at + size] = [width + max(lacking, 0) / size for width in widths[at : at + size]]
        at += size
    return widths


def _width(text: str) -> float:
    return sum(_EMS.get(letter, 0.72 if letter.isupper() else 0.52) for letter in text) * SIZE + _GAP


def _split(grid: Grid, widths: Sequence[float], most: float) -> list[list[int]]:
    """The columns of every part: the leading names in all of them, the others about evenly."""
    names = [i for i, _ in takewhile(lambda pair: pair[1].name, enumerate(grid.columns))]
    room = max(most - sum(widths[i] for i in names), most / 2)  # names that take more than half cost legibility
    units = _units(grid, widths, len(names), room / 2)
    sizes = [sum(widths[i] for i in unit) for unit in units]
    for parts in range(max(ceil(sum(sizes) / max(room, 1)), 1), len(units) + 1):
        found: list[list[int]] = [[]]
        spent = 0.0
        for unit, size in zip(units, sizes, strict=True):
            if spent + size / 2 > sum(sizes) / parts * len(found):
                found.append([])
            found[-1] += unit
            spent += size
        found = [part for part in found if part]
        if all(sum(widths[i] for i in part) <= room for part in found):
            break
    else:
        found = units  # wider than they should be, each by itself
    return [[*names, *part] for part in found]


def _units(grid: Grid, widths: Sequence[float], first: int, most: float) -> list[list[int]]:
    """Columns that should stay together: those of one group, if they are not too wide for that."""
    units, at = [], 0
    for group, size in grid.groups():
        members = [i for i in range(at, at + size) if i >= first]
        together = group and sum(widths[i] for i in members) <= most
        units += [members] if together else [[i] for i in members]
        at += size
    return units


def _part(grid: Grid, part: Sequence[int], rows: range) -> str:
    columns, starts = [grid.columns[i] for i in part], grid.starts()
    # A rule between groups would fight with booktabs; a wider gap sets the source apart.
    spec = "".join(
        (r"@{\hspace{1.8em}}" if starts[i] and at else "") + ("l" if grid.columns[i].name else "r")
        for at, i in enumerate(part)
    )
    heads, rules, at = [], [], 1
    for group, size in grid.groups(columns):
        heads.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(group, 'tex', cell=True)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{at}-{at + size - 1}}}")
        at += size
    lines = [rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}", r"\toprule"]
    if rules:
        lines += [" & ".join(heads) + r" \\", " ".join(rules)]
    lines += [" & ".join(_cell(Cell(column.title)) for column in columns) + r" \\", r"\midrule"]
    for number in rows:
        row, role = grid.rows[number], grid.every_role[number]
        if role == "group":
            lines += [r"\addlinespace"] if number > rows.start else []
            lines.append(rf"\multicolumn{{{len(part)}}}{{@{{}}l}}{{\emph{{{_cell(row[0])}}}}} \\")
        else:
            if not role and number > rows.start and grid.every_role[number - 1] == "sub":
                lines.append(r"\addlinespace[2pt]")
            indent = r"\quad " if role == "sub" else ""
            lines.append(indent + " & ".join(_cell(row[i]) for i in part) + r" \\")
    return "\n".join([_FIT, *lines, r"\bottomrule", r"\end{tabular}}", ""])


def _cell(cell: Cell) -> str:
    # A bracket after a row's end would be read as its argument.
    text = shown(cell, "tex")
    return f"{{{text}}}" if text.startswith(("[", "*")) else text
