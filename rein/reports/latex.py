r"""Tables and figures as floats for LaTeX, of widths that papers have: a column of CVPR, the text of CVPR or ICLR.

A table that fits a column is a `table`, a wider one a `table*`, which in one column is the same. What is still too wide
is scaled down to the line, but not below `SMALLEST`: a table that would be has its columns split over several parts
that stand below each other, each with the names of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from math import ceil

from rein.reports.grid import Cell, Grid, shown
from rein.reports.markup import escape

#: Inches. A column of CVPR; the text of ICLR, the narrowest that a wide table must be readable in.
COLUMN, PAGE = 3.25, 5.5
#: Points of the letters as they are set, and of the smallest to which they may be scaled.
SIZE, SMALLEST = 9.0, 7.0
#: Points between two columns.
_GAP = 8.0
_POINTS_PER_INCH = 72.27
#: A letter's mean width, in its size: a little more than Computer Modern's, so that the guess errs on the safe side.
_LETTER = 0.52


#: Scaled down to the line where it is wider, never up.
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def figure(slug: str, caption: str, inches: float) -> str:
    r"""A float with the figure of the file figures/SLUG.pdf, `inches` wide; needs graphicx."""
    # In a column a picture may shrink by a seventh: its letters have seven or eight points.
    kind = "figure" if inches <= COLUMN * 7 / 6 else "figure*"
    return (
        rf"\begin{{{kind}}}[htbp]" + "\n"
        r"\centering" + "\n"
        f"{_FIT}\n"
        rf"\includegraphics{{figures/{slug}.pdf}}}}" + "\n"
        rf"\caption{{{escape(caption, 'tex')}}}" + "\n"
        rf"\label{{fig:{slug}}}" + "\n"
        rf"\end{{{kind}}}" + "\n"
    )


def table(grid: Grid) -> str:
    r"""One float with the table in one or several parts; needs booktabs and graphicx."""
    widths = _widths(grid)
    scale = SIZE / SMALLEST
    fits = sum(widths) <= COLUMN * _POINTS_PER_INCH * scale
    parts = [list(range(len(widths)))] if fits else _split(grid, widths, PAGE * _POINTS_PER_INCH * scale)
    kind = "table" if fits else "table*"
    gap = r"\par\medskip" + "\n"
    notes = "".join(rf"\par\smallskip\footnotesize\raggedright {note}" + "\n" for note in grid.below("tex"))
    return (
        rf"\begin{{{kind}}}[htbp]" + "\n"
        r"\centering" + "\n"
        rf"\caption{{{escape(grid.caption, 'tex')}}}" + "\n"
        rf"\label{{{grid.label}}}" + "\n"
        r"\par\medskip\small" + "\n"
        r"\setlength{\tabcolsep}{4pt}" + "\n"
        f"{gap.join(_part(grid, part) for part in parts)}{notes}"
        rf"\end{{{kind}}}" + "\n"
    )


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
    return len(text.replace("`", "")) * SIZE * _LETTER + _GAP


def _split(grid: Grid, widths: Sequence[float], most: float) -> list[list[int]]:
    """The columns of every part: the leading names in all of them, the others about evenly."""
    names = [i for i, _ in takewhile(lambda pair: pair[1].name, enumerate(grid.columns))]
    room = most - sum(widths[i] for i in names)
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


def _part(grid: Grid, part: Sequence[int]) -> str:
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
    for number, (row, role) in enumerate(zip(grid.rows, grid.every_role, strict=True)):
        if role == "group":
            lines += [r"\addlinespace"] if number else []
            lines.append(rf"\multicolumn{{{len(part)}}}{{@{{}}l}}{{\emph{{{_cell(row[0])}}}}} \\")
        else:
            indent = r"\quad " if role == "sub" else ""
            lines.append(indent + " & ".join(_cell(row[i]) for i in part) + r" \\")
    return "\n".join([_FIT, *lines, r"\bottomrule", r"\end{tabular}}", ""])


def _cell(cell: Cell) -> str:
    # A bracket after a row's end would be read as its argument.
    text = shown(cell, "tex")
    return f"{{{text}}}" if text.startswith(("[", "*")) else text
