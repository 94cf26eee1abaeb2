"""The documentation: its reference is what the code generates, and its links lead to pages and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import pages
from docs.generate.commands import commands
from rein import __all__ as public

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: The tables of the study stand in its report.
PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "tables")]
LINKS = [(page, link) for page in PAGES for link in re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text())]

GENERATED = pages()


@pytest.mark.parametrize("name", GENERATED)
def test_a_reference_page_is_what_the_code_generates(name: str) -> None:
    assert (DOCS / "reference" / name).read_text() == GENERATED[name], "make reference"


def test_no_reference_page_is_left_over() -> None:
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(GENERATED)


def test_the_reference_names_every_variable_that_the_code_reads() -> None:
    read = {name for file in (ROOT / "rein").rglob("*.py") for name in re.findall(r"REIN_[A-Z_]+", file.read_text())}
    assert read and read == set(re.findall(r"`(REIN_[A-Z_]+)`", commands()))


def test_the_reference_names_all_that_rein_exports() -> None:
    assert set(public) <= set(re.findall(r"\brein\.(\w+)", GENERATED["python.md"]))


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda part: getattr(part, "name", part))
def test_what_a_page_links_to_is_there(page: Path, link: str) -> None:
    name, _, heading = link.partition("#")
    target = page.parent / name if name else page
    assert target.is_file()
    assert not heading or heading in anchors(target.read_text())


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    led = {(DOCS / link.partition("#")[0]).resolve() for page, link in LINKS if page == index}
    assert {page.resolve() for page in PAGES if page.is_relative_to(DOCS)} - {index.resolve()} <= led


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
