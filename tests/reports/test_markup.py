"""Any text comes out of Markdown and HTML as it went in, and runs nothing there."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rein.reports.grid import Cell, Column, Grid
from rein.reports.markup import attribute, escape

MARKDOWN = MarkdownIt("commonmark").enable("table")
#: Mostly what means something to one of the formats.
TEXTS = st.text(
    st.sampled_from("_%&$#<>\"'\\{}~^|*[]()!`+-=.:;/1a b\n\tü中") | st.characters(codec="utf-8"), max_size=40
)


class Reader(HTMLParser):
    """What a browser shows of HTML, and the tags that are in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [value or "" for _, value in attributes]
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] += data


def shown(text: str) -> str:
    """A text as a reader should see it: code without its backticks, no control characters, white space as one space."""
    bare = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "", text.replace("\r", "\n"))
    return squeezed(re.sub(r"`([^`]+)`", r"\1", bare))


def squeezed(text: str) -> str:
    return " ".join(text.split())


@given(TEXTS)
@example("<script>alert(1)</script>")
@example("a\n===\n- b\n1. c\n    d")
@example("` a ` `b|c\\`")
def test_html_shows_the_text(text: str) -> None:
    read = Reader(f"<p>{escape(text, 'html')}</p>")
    assert squeezed(read.text) == shown(text) and set(read.tags) <= {"p", "code"}


@given(TEXTS)
def test_an_attribute_holds_the_text(text: str) -> None:
    read = Reader(f'<p title="{attribute(text)}">x</p>')
    assert read.tags == ["p"] and squeezed(read.attributes[0]) == squeezed(text.replace("`", ""))


@given(TEXTS.filter(lambda text: "\n\n" not in text))
@example("a\n===")
@example("    code")
@example("\x1b\t0")
@example("a\n\x1b\n    b")
@example("+\n-\n1)\n2.")
@example("&lt; &#60; <b>")
@example("``")
def test_markdown_shows_the_text(text: str) -> None:
    read = Reader(MARKDOWN.render(escape(text.strip(), "md")))
    assert squeezed(read.text) == shown(text) and set(read.tags) <= {"p", "code"}


@given(TEXTS, TEXTS)
@example("`a|b`", r"`a\|b` \| |")
@example("---", ":-:")
@example("a\n| b |", "")
def test_a_markdown_table_keeps_its_cells(name: str, title: str) -> None:
    grid = Grid(
        "t", "", (Column("n" + title, name=True), Column("c")), ((Cell(name), Cell("1", "best")),), pd.DataFrame()
    )
    html = MARKDOWN.render(grid.markdown())
    read = Reader(html.partition("</table>")[0])
    assert [squeezed(cell) for cell in read.cells] == [shown("n" + title), "c", shown(name), "1"]
    assert set(read.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "code", "strong"}


@given(TEXTS, TEXTS)
def test_an_html_table_keeps_its_cells(name: str, link: str) -> None:
    cells = (Cell(name, links=(("run", link),)), Cell(name, "second"), Cell(name))
    grid = Grid(name, "", (Column(name, name=True), Column(name, name), Column("c")), (cells,), pd.DataFrame())
    read = Reader(grid.html())
    assert [squeezed(cell) for cell in read.cells[-5:-1]] == [shown(name), "c", shown(name), shown(name)]
    known = {"figure", "div", "table", "thead", "tbody", "tr", "th", "td", "code", "u", "a", "figcaption"}
    assert set(read.tags) <= known


@given(TEXTS)
def test_latex_has_no_bare_special_character(text: str) -> None:
    tex = escape(text, "tex")
    bare = re.sub(r"\\[a-zA-Z]+(?=[{}$\\ ]|$)|\\[{}$&#%_]|\$\\?[\^a-zA-Z\\23-]+\$|\{\}", "", tex)
    assert not re.search(r"[\\#%&_^\"|<>]", bare), tex
    assert "\n\n" not in tex
    assert all(letter <= "\u017f" for letter in tex)


def test_a_space_in_front_of_code_stays_in_a_text_of_several_lines() -> None:
    text = "A line,  \nthen `code` and\n`more`."
    assert escape(text, "md") == "A line,\nthen `code` and\n`more`."
