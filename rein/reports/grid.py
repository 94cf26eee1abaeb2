"""A table as text cells, and its three renderings; what the cells say is decided in `tables`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from rein.reports.markup import Format, after, emphasise, escape, join, raised, slug

MISSING = "–"
Role = Literal["", "sub", "group"]


@dataclass(frozen=True)
class Cell:
    """One cell; `mark` is `best`, `second`, `told` (a published number among counted ones) or nothing."""

    text: str
    mark: str = ""
    #: The number that the text rounds; None where there is none.
    value: float | None = None
    #: The marks of the notes that the cell has below the table.
    notes: str = ""
    #: Pages about what the cell rests on, as (what, URL): runs in MLflow.
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Column:
    """A column's title, and the group that it stands under (`targets`, `source val`)."""

    title: str
    group: str = ""
    #: Names are left-aligned, numbers right.
    name: bool = False
    #: Whether the HTML page colours its cells by their value, as a heat map does.
    shaded: bool = False


@dataclass(frozen=True)
class Grid:
    """A finished table."""

    name: str
    #: What it alone has to say, its title first.
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: The numbers behind the cells, unrounded, for the CSV file.
    values: pd.DataFrame
    #: What stands below the table: (mark, text), without a mark where it is about all of it.
    notes: tuple[tuple[str, str], ...] = ()
    #: What every row is: a row of its own (empty), `sub` to the row above, or a `group`, the heading of those below in
    #: its first cell. Empty where all are rows of their own.
    roles: tuple[Role, ...] = ()
    #: What stands over it in a document; the name where nothing else is given. A caption may begin with it.
    title: str = ""
    #: How it is to be read, a sentence or two each: what its signs and columns mean, wherever such a table stands.
    conventions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)

    @property
    def label(self) -> str:
        """The LaTeX label, `tab:main`."""
        return f"tab:{slug(self.name)}"

    @property
    def full_caption(self) -> str:
        """Its own words, then its conventions."""
        return join(self.caption, *self.conventions)

    @property
    def every_role(self) -> tuple[Role, ...]:
        return self.roles or ("",) * len(self.rows)

    def groups(self, columns: Sequence[Column] | None = None) -> list[tuple[str, int]]:
        """Runs of neighbouring columns, of all or of these, of one group: (group, number of columns)."""
        runs: list[tuple[str, int]] = []
        for column in columns or self.columns:
            if runs and runs[-1][0] == column.group:
                runs[-1] = (column.group, runs[-1][1] + 1)
            else:
                runs.append((column.group, 1))
        return runs

    def starts(self) -> list[bool]:
        """For every column whether a new group begins with it (never the first)."""
        return [i > 0 and self.columns[i - 1].group != column.group for i, column in enumerate(self.columns)]

    def markdown(self, whole: bool = True) -> str:
        """A pipe table, the group behind the title, and the caption below, `whole` or without the title."""
        titles = [escape(f"{c.title} ({c.group})" if c.group else c.title, "md", cell=True) for c in self.columns]
        rules = [":--" if column.name else "--:" for column in self.columns]
        lines = [titles, rules, *([shown(cell, "md") for cell in row] for row in self.rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        caption = self.full_caption if whole else after(self.full_caption, self.title)
        return "\n\n".join(filter(None, (table, escape(caption, "md"), *self.below("md")))) + "\n"

    def latex(self) -> str:
        r"""One or more floats with the table, to \input; needs booktabs and graphicx."""
        from rein.reports.latex import table

        return table(self)

    def html(self) -> str:
        """A `figure` with a table and its caption."""
        from rein.reports.html_table import html

        return html(self)

    def below(self, format: Format) -> list[str]:
        """The notes, as they stand below the table."""
        return [" ".join(filter(None, (raised(mark, format), escape(text, format)))) for mark, text in self.notes]


def shown(cell: Cell, format: Format) -> str:
    """A cell with its mark and the marks of its notes."""
    return emphasise(escape(cell.text, format, cell=True), cell.mark, format) + raised(cell.notes, format)
