"""A table of the HTML page; titles become buttons that sort in templates/report.js."""

from __future__ import annotations

import re

from rein.reports.grid import MISSING, Cell, Column, Grid, shown
from rein.reports.markup import after, attribute, escape

_MULTIPLES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = re.compile(r"([−-]?\d[\d,]*(?:\.\d+)?)(?: ([kMG])\b)?")


def html(grid: Grid) -> str:
    """A `figure` with the table and what its caption says after the title, which stands above it.

    A row that belongs to the one above has the class `sub` and moves with it; a heading over rows opens a `tbody`, in
    which alone they are sorted.
    """
    classes = [
        " ".join(["name"] * column.name + ["text"] * _wordy(grid, at) + ["start"] * start)
        for at, (column, start) in enumerate(zip(grid.columns, grid.starts(), strict=True))
    ]
    heads, at = [], 0
    for group, size in grid.groups():
        if group:
            start = "start" if at else ""
            heads.append(f'<th colspan="{size}" scope="colgroup" class="{start}">{escape(group, "html")}</th>')
        else:  # cell by cell: those above names stay with them, the others scroll
            heads += [f'<td class="{one}"></td>' for one in classes[at : at + size]]
        at += size
    top = f"<tr class=groups>{''.join(heads)}</tr>\n" if any(column.group for column in grid.columns) else ""
    pairs = list(zip(grid.columns, classes, strict=True))
    titles = "".join(f'<th scope="col" class="{c}">{escape(column.title, "html")}</th>' for column, c in pairs)
    shades = _Shades(grid)
    lines = []
    for row, role in zip(grid.rows, grid.every_role, strict=True):
        if role == "group":
            heading = f'<th colspan="{len(row)}" scope="rowgroup" class="name">{escape(row[0].text, "html")}</th>'
            lines.append(f"</tbody>\n<tbody><tr class=group>{heading}</tr>")
            continue
        shade = None if role else shades
        cells = "".join(_cell(cell, column, c, shade) for cell, (column, c) in zip(row, pairs, strict=True))
        lines.append(f"<tr{' class=sub' if role == 'sub' else ''}>{cells}</tr>")
    body = f"<tbody>\n{chr(10).join(lines)}\n</tbody>".replace("<tbody>\n</tbody>\n", "")
    caption = "<br>".join(filter(None, [escape(after(grid.full_caption, grid.title), "html"), *grid.below("html")]))
    return (
        f'<figure id="{grid.label}">{shades.switch}<div class=scroll tabindex=0 role=region '
        f'aria-label="{attribute(grid.name)}"><table class=sorts>\n<thead>\n{top}<tr>{titles}</tr>\n</thead>\n'
        f"{body}</table></div>\n<figcaption>{caption}</figcaption></figure>\n"
    )


def _wordy(grid: Grid, at: int) -> bool:
    """Whether a column that has no names has words and no number, as the letters of groups."""
    texts = [row[at] for row, role in zip(grid.rows, grid.every_role, strict=True) if role == "" and at < len(row)]
    said = [cell for cell in texts if cell.text not in ("", MISSING)]
    return not grid.columns[at].name and bool(said) and all(sort_value(cell) is None for cell in said)


def sort_value(cell: Cell) -> float | None:
    """The number by which a cell is sorted: its value, else the first number of its text (`1.22 M`, `2 of 3`)."""
    if cell.value is not None:
        return cell.value if cell.value == cell.value else None
    found = _NUMBER.match(cell.text)
    if found is None:
        return None
    return float(found[1].replace("−", "-").replace(",", "")) * _MULTIPLES[found[2] or ""]


class _Shades:
    """How strongly the cells of the shaded columns are coloured, from the table's lowest value to its highest."""

    def __init__(self, grid: Grid) -> None:
        shaded = [i for i, column in enumerate(grid.columns) if column.shaded]
        # What stands below a row may be a difference, on a scale of its own.
        rows = [row for row, role in zip(grid.rows, grid.every_role, strict=True) if role == ""]
        values = [value for row in rows for i in shaded if (value := sort_value(row[i])) is not None]
        self.low, self.high = (min(values), max(values)) if values else (0.0, 0.0)

    @property
    def switch(self) -> str:
        """The box that turns them off; needs no script."""
        if self.low == self.high:
            return ""
        return "<label class=control><input type=checkbox class=shade checked> shade by value</label>"

    def of(self, value: float) -> str:
        return f"--heat:{100 * (value - self.low) / (self.high - self.low or 1):.0f}%"


def _cell(cell: Cell, column: Column, classes: str, shades: _Shades | None) -> str:
    text, value = _linked(cell, shown(cell, "html")), sort_value(cell)
    if column.name:
        return f'<th scope="row" class="{classes}">{text}</th>'
    data = "" if value is None else f' data-value="{value:.10g}"'
    if shades is not None and column.shaded and value is not None:
        classes, data = f"heat {classes}".strip(), f'{data} style="{shades.of(value)}"'
    return f'<td class="{classes}"{data}>{text}</td>'


def _linked(cell: Cell, text: str) -> str:
    """The text as a link; of several links a list that opens on it."""
    links = [f'<a href="{attribute(url)}" rel="noreferrer">{escape(what, "html")}</a>' for what, url in cell.links]
    if len(links) == 1:
        return f'<a href="{attribute(cell.links[0][1])}" rel="noreferrer">{text}</a>'
    return f"<details class=runs><summary>{text}</summary>{''.join(links)}</details>" if links else text
