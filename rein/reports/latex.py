r"""Tables and figures as floats for LaTeX, of widths that papers have: a column of CVPR, the text of CVPR or ICLR.

A table that fits a column is a `table`, a wider one a `table*`, which in one column is the same. What is still too wide
is scaled down to the line, but not below `SMALLEST`: a table that would be has its columns split over several parts
that stand below each other, each with the names of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    widths = [_width(grid, i) for i in range(len(grid.columns))]
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


def _width(grid: Grid, column: int) -> float:
    """A column's width in points, about."""
    texts = [grid.columns[column].title, *(row[column].text for row in grid.rows if column < len(row))]
    return max(len(text.replace("`", "")) for text in texts) * SIZE * _LETTER + _GAP


def _split(grid: Grid, widths: Sequence[float], most: float) -> list[list[int]]:
    """The columns of every part: the leading names in all of them, the others about evenly."""
    names = []
    for i, column in enumerate(grid.columns):
        if not column.name:
            break
        names.append(i)
    others = range(len(names), len(widths))
    room = max(most - sum(widths[i] for i in names), max((widths[i] for i in others), default=0))
    parts = -(-sum(widths[i] for i in others) // room)  # as few as can be, and so the ones to fill evenly
    while True:
        even = sum(widths[i] for i in others) / parts
        found: list[list[int]] = [[]]
        for i in others:
            if found[-1] and sum(widths[j] for j in found[-1]) + widths[i] / 2 > even:
                found.append([])
            found[-1].append(i)
        if all(sum(widths[i] for i in part) <= room for part in found):
            return [[*names, *part] for part in found]
        parts += 1


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
