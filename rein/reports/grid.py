"""A table as text cells, and its three renderings; what the cells say is decided in `tables`."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from rein.reports.markup import Format, emphasise, escape, raised, slug

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """One cell; `mark` is `best`, `second` or nothing."""

    text: str
    mark: str = ""
    #: The number that the text rounds; None where there is none.
    value: float | None = None
    #: The marks of the notes that the cell has below the table.
    notes: str = ""


@dataclass(frozen=True)
class Column:
    """A column's title, and the group that it stands under (`targets`, `source val`)."""

    title: str
    group: str = ""
    #: Names are left-aligned, numbers right.
    name: bool = False


@dataclass(frozen=True)
class Grid:
    """A finished table."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: The numbers behind the cells, unrounded, for the CSV file.
    values: pd.DataFrame
    #: What stands below the table: (mark, text), without a mark where it is about all of it.
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The LaTeX label, `tab:main`."""
        return f"tab:{slug(self.name)}"

    def groups(self) -> list[tuple[str, int]]:
        """Runs of neighbouring columns of one group: (group, number of columns)."""
        runs: list[tuple[str, int]] = []
        for column in self.columns:
            if runs and runs[-1][0] == column.group:
                runs[-1] = (column.group, runs[-1][1] + 1)
            else:
                runs.append((column.group, 1))
        return runs

    def starts(self) -> list[bool]:
        """For every column whether a new group begins with it (never the first)."""
        return [i > 0 and self.columns[i - 1].group != column.group for i, column in enumerate(self.columns)]

    def markdown(self) -> str:
        """A pipe table, the group behind the title, and the caption in italics below."""
        titles = [escape(f"{c.title} ({c.group})" if c.group else c.title, "md") for c in self.columns]
        rules = [":--" if column.name else "--:" for column in self.columns]
        lines = [titles, rules, *([_text(cell, "md") for cell in row] for row in self.rows)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        notes = "".join(f"\n{note}\n" for note in self._notes("md"))
        return f"{table}\n\n{escape(self.caption, 'md')}\n{notes}"

    def latex(self) -> str:
        r"""A `table` environment to \input, with caption and label; needs booktabs and graphicx."""
        # A rule between groups would fight with booktabs; a wider gap sets the source apart.
        gaps = [r"@{\hspace{1.8em}}" if start else "" for start in self.starts()]
        spec = "".join(gap + ("l" if column.name else "r") for gap, column in zip(gaps, self.columns, strict=True))
        heads, rules, at = [], [], 1
        for group, size in self.groups():
            heads.append(rf"\multicolumn{{{size}}}{{c}}{{{escape(group, 'tex')}}}")
            if group:
                rules.append(rf"\cmidrule(lr){{{at}-{at + size - 1}}}")
            at += size
        lines = [
            r"\begin{table}[htbp]", r"\centering",
            rf"\caption{{{escape(self.caption, 'tex')}}}", rf"\label{{{self.label}}}",
            r"\par\medskip\small", r"\setlength{\tabcolsep}{4pt}",
        ]  # fmt: skip
        body = [rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}", r"\toprule"]
        if rules:
            body += [" & ".join(heads) + r" \\", " ".join(rules)]
        body += [" & ".join(escape(column.title, "tex") for column in self.columns) + r" \\", r"\midrule"]
        body += [" & ".join(_text(cell, "tex") for cell in row) + r" \\" for row in self.rows]
        # Scaled down to the text's width where it is wider, never up.
        fit = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
        notes = [rf"\par\smallskip\footnotesize\raggedright {note}" for note in self._notes("tex")]
        return "\n".join([*lines, fit, *body, r"\bottomrule", r"\end{tabular}}", *notes, r"\end{table}", ""])

    def html(self) -> str:
        """A `figure` with a table and its caption."""
        classes = [
            " ".join(["name"] * column.name + ["start"] * start)
            for column, start in zip(self.columns, self.starts(), strict=True)
        ]
        heads, at = [], 0
        for group, size in self.groups():
            heads.append(f'<th colspan="{size}" scope="colgroup" class="{classes[at]}">{escape(group, "html")}</th>')
            at += size
        top = f"<tr class=groups>{''.join(heads)}</tr>\n" if any(column.group for column in self.columns) else ""
        pairs = list(zip(self.columns, classes, strict=True))
        titles = "".join(f'<th scope="col" class="{c}">{escape(column.title, "html")}</th>' for column, c in pairs)
        rows = []
        for row in self.rows:
            cells = []
            for cell, (column, c) in zip(row, pairs, strict=True):
                tag = 'th scope="row"' if column.name else "td"
                cells.append(f'<{tag} class="{c}">{_text(cell, "html")}</{tag[:2]}>')
            rows.append(f"<tr>{''.join(cells)}</tr>")
        return (
            f'<figure id="{self.label}"><div class=scroll><table>\n<thead>\n{top}<tr>{titles}</tr>\n</thead>\n'
            f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>\n"
            f"<figcaption>{'<br>'.join([escape(self.caption, 'html'), *self._notes('html')])}</figcaption></figure>\n"
        )

    def _notes(self, format: Format) -> list[str]:
        return [" ".join(filter(None, (raised(mark, format), escape(text, format)))) for mark, text in self.notes]


def _text(cell: Cell, format: Format) -> str:
    return emphasise(escape(cell.text, format), cell.mark, format) + raised(cell.notes, format)
