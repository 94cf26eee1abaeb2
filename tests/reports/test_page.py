"""The HTML page as a reader has it: in a browser, with a mouse and a keyboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rein.config import Figure
from rein.reports.grid import Cell, Column, Grid
from rein.reports.write import write
from tests.reports.browser import CHROMIUM, Browser
from tests.reports.made_up_sweep import POINTS, TABLES, TARGETS, World

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

NAMES = "[...document.querySelectorAll('[id=\"tab:main\"] tbody tr')].map(row => row.cells[0].textContent)"
TIP = "document.getElementById('tip').hidden ? null : document.getElementById('tip').textContent"
LORA = "<b>lora</b>"
IN_ORDER = ["frozen", LORA, "rein", "full"]
FIGURES = (Figure(name="inverted u", kind="inverted_u"), Figure(name="predictions", kind="predictions"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a variant of a nasty name, one without runs, and one run that MLflow has."""
    points = {LORA if name == "lora" else name: point for name, point in POINTS.items()}
    points["later"] = ({"tuning.rank": 2}, 1, 0.1)
    made = World(tmp_path_factory.mktemp("page"), points, (0, 1), TARGETS)
    done = [item for item in made.planned if item.point != "later"]
    for item in done:
        made.finish(item)
    made.keep_predictions()
    note = {"uri": "https://tracker.example", "store": "7@1", "run_id": "abc"}
    (made.runs / done[0].id / "mlflow.json").write_text(json.dumps(note))
    write(made.report(tables=TABLES, figures=FIGURES, text="Of a made-up sweep."), made.runs, made.out)
    return made.out / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Browser]:
    browser.resize(1200, 900)
    browser.media()
    browser.said.clear()
    browser.open(page)
    yield browser
    assert [one for one in browser.said if one["method"] != "Network.requestWillBeSent"] == []
    asked = [one["params"]["request"]["url"] for one in browser.said]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def title(column: str) -> str:
    """A selector of a column's title in the main table."""
    number = ["variant", "trainable", "% of backbone", "n", "toy-day", "toy-night", "toy-fog", "Avg."].index(column)
    return f'[id="tab:main"] thead tr:last-child th:nth-child({number + 1}) button'


def test_a_click_on_a_title_sorts(opened: Browser) -> None:
    assert opened.see(NAMES) == [*IN_ORDER, "later"]
    for expected in (["rein", LORA, "full", "frozen"], ["frozen", "full", LORA, "rein"], IN_ORDER):
        opened.click(title("Avg."))
        assert opened.see(NAMES) == [*expected, "later"]  # a row without a value is last, whichever way
    opened.click(title("trainable"))  # 22.0 M, 2.99 M, 786 k: by what they mean
    assert opened.see(NAMES) == ["full", "rein", LORA, "frozen", "later"]
    opened.click(title("variant"))
    assert opened.see(NAMES) == [LORA, "frozen", "full", "later", "rein"]
    sorts = "[...document.querySelectorAll('[aria-sort]')].map(title => title.textContent + title.ariaSort)"
    assert opened.see(sorts) == ["variantascending"]


def test_rows_move_with_what_they_belong_to(browser: Browser, tmp_path: Path) -> None:
    lines = (
        ("group", "DINOv2", ""), ("", "a", "1"), ("sub", "a published", "9"), ("", "b", "3"), ("", "c", "–"),
        ("group", "CLIP", ""), ("", "d", "4"), ("sub", "d published", "0"), ("sub", "d difference", "7"),
        ("", "e", "5"),
    )  # fmt: skip
    rows = tuple((Cell(name), Cell(number)) for _, name, number in lines)
    columns = (Column("method", name=True), Column("mIoU"))
    roles: tuple[Any, ...] = tuple(role for role, *_ in lines)
    script = resources.files("rein.reports").joinpath("templates/report.js").read_text()
    page = (
        f"<!doctype html>{Grid('main', '', columns, rows, pd.DataFrame(), roles=roles).html()}<script>{script}</script>"
    )
    (tmp_path / "page.html").write_text(page)
    browser.open(tmp_path / "page.html")
    order = browser.see(NAMES)
    browser.click("thead th:nth-child(2) button")
    assert browser.see(NAMES) == [
        "DINOv2", "b", "a", "a published", "c", "CLIP", "e", "d", "d published", "d difference"
    ]  # fmt: skip
    browser.click("thead th:nth-child(2) button")
    assert browser.see(NAMES) == [
        "DINOv2", "a", "a published", "b", "c", "CLIP", "d", "d published", "d difference", "e"
    ]  # fmt: skip
    browser.click("thead th:nth-child(2) button")
    assert browser.see(NAMES) == order


def test_the_keyboard_sorts(opened: Browser) -> None:
    opened.see(f"document.querySelector({json.dumps(title('toy-day'))}).focus()")
    opened.press("Enter", 13, "\r")
    assert opened.see(NAMES)[0] == "rein"


def test_a_point_says_its_value_to_the_mouse(opened: Browser) -> None:
    x, y = opened.place(".spot:nth-of-type(3)")
    assert opened.see(TIP) is None
    opened.hover(x + 5, y - 4)
    said = opened.see(TIP)  # seeds 0 and 1 of rein have an average of 45 and 46
    assert said.startswith("rein: mIoU 45.5 ± 0.7") and "2.99 M" in said
    # What is said lies in the window and not on the point.
    box = opened.see("document.getElementById('tip').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0 and box["right"] <= 1200 and box["top"] >= 0 and box["bottom"] < y
    opened.hover(x + 5, y + 300)
    assert opened.see(TIP) is None


def test_a_point_says_its_value_to_the_keyboard(opened: Browser) -> None:
    opened.see("document.querySelector('.spot').focus()")
    assert opened.see(TIP).startswith("frozen: ")
    opened.press("ArrowRight", 39)
    assert opened.see(TIP).startswith(LORA)  # text, never markup
    assert opened.see("document.querySelectorAll('.spot[tabindex=\"0\"]').length") == 1
    opened.press("Escape", 27)
    assert opened.see(TIP) is None


def test_the_gallery_shows_what_is_chosen(opened: Browser) -> None:
    seen = """[...document.querySelectorAll('.scene > div')].filter(one => one.checkVisibility())
        .map(one => one.parentNode.dataset.domain + ' ' + one.textContent)"""
    assert len(opened.see(seen)) == 4 * (2 + 4)  # domains x (image, label, variants)
    for number, value in enumerate(("toy-fog", LORA)):
        opened.see(f"""{{const select = document.querySelectorAll('.gallery select')[{number}];
            select.value = '{value}'; select.dispatchEvent(new Event('change', {{bubbles: true}}))}}""")
    assert opened.see(seen) == ["toy-fog image", "toy-fog label", f"toy-fog {LORA}"]
    sizes = """Promise.all([...document.images].map(async image => {
        await image.decode();
        return image.naturalWidth;
    }))"""
    assert min(opened.see(sizes)) >= 128


def test_rows_link_to_their_runs(opened: Browser) -> None:
    links = "[...document.querySelectorAll('[id=\"tab:main\"] a')].map(link => link.href)"
    assert opened.see(links) == ["https://tracker.example/#/experiments/7/runs/abc?workflowType=machine_learning"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shaded_numbers_can_be_read(opened: Browser, scheme: str) -> None:
    opened.media(scheme=scheme)
    contrasts = opened.see("""[...document.querySelectorAll('.heat')].map(cell => {
        const light = colour => {
            const draw = document.createElement('canvas').getContext('2d');
            draw.fillStyle = colour;
            draw.fillRect(0, 0, 1, 1);
            return [...draw.getImageData(0, 0, 1, 1).data].slice(0, 3).map(part => part / 255)
                .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
                .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
        };
        const style = getComputedStyle(cell);
        const [a, b] = [light(style.color), light(style.backgroundColor)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    })""")
    assert len(contrasts) == 4 * 3 and min(contrasts) >= 4.5  # WCAG AA
    assert max(contrasts) - min(contrasts) > 2  # they differ: it is a heat map
    background = "getComputedStyle(document.querySelector('.heat')).backgroundColor"
    opened.click(".shade")
    assert opened.see(background) == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("width", [375, 768, 1600])
def test_nothing_is_wider_than_the_window(opened: Browser, width: int) -> None:
    opened.resize(width, 800)
    assert opened.see("document.documentElement.scrollWidth") <= width


def test_paper_has_no_controls(opened: Browser) -> None:
    opened.media("print")
    shown = "[...document.querySelectorAll('.control, .spot, #tip')].filter(one => one.checkVisibility()).length"
    assert opened.see(shown) == 0


needs_poppler = pytest.mark.skipif(shutil.which("pdfimages") is None, reason="no poppler on this machine")


@needs_poppler
def test_paper_has_all_pictures(browser: Browser, page: Path, tmp_path: Path) -> None:
    # So far down that a browser would not yet load what it may load late.
    far = page.read_text().replace("</style>", "@media screen { main { padding-top: 20000px } }\n</style>")
    (tmp_path / "page.html").write_text(far)
    browser.resize(1200, 900)
    browser.media()
    browser.open(tmp_path / "page.html")
    assert browser.see("[...document.images].every(image => image.complete && image.naturalWidth)")
    browser.print(tmp_path / "page.pdf")
    said = subprocess.run(["pdfimages", "-list", tmp_path / "page.pdf"], capture_output=True, text=True, check=True)
    kinds = [line.split()[2] for line in said.stdout.splitlines()[2:]]
    assert kinds.count("image") == 1 + 4 * (2 + 4)  # the inverted u; of four domains image, label and variants


def wide(browser: Browser, folder: Path) -> None:
    """Open a page with a table of two names and twenty classes."""
    columns = [Column("backbone", name=True), Column("method", name=True), Column("n"), Column("letter")]
    columns += [Column(f"motorcycle {i}", f"domain {i // 2}") for i in range(20)]
    rows = tuple(
        (Cell("CLIP-L"), Cell(method), Cell("3"), Cell("a b"), *[Cell("45.3", value=45.3)] * 20)
        for method in ("Full", "Freeze", "Rein")
    )
    css, script = (
        resources.files("rein.reports").joinpath(f"templates/report.{end}").read_text() for end in ("css", "js")
    )
    table = Grid("main", "", tuple(columns), rows, pd.DataFrame()).html()
    page = folder / "page.html"
    page.write_text(
        f"<!doctype html><style>{css}</style><body><div class='wide dense'>{table}</div><script>{script}</script>"
    )
    browser.open(page)


@needs_poppler
def test_paper_cuts_no_wide_table(browser: Browser, tmp_path: Path) -> None:
    browser.resize(1200, 900)
    wide(browser, tmp_path)
    browser.print(tmp_path / "page.pdf")
    subprocess.run(["pdftotext", "-bbox", tmp_path / "page.pdf"], check=True)
    text = (tmp_path / "page.html").read_text()
    width, height = map(float, re.findall(r'<page width="([\d.]+)" height="([\d.]+)"', text)[0])
    right = [float(one) for one in re.findall(r'xMax="([\d.]+)"', text)]
    assert width > height and len(right) > 60 and max(right) < width - 20


@pytest.mark.parametrize("width", [375, 1000])
def test_names_stay_in_sight_and_cover_no_heading(browser: Browser, width: int, tmp_path: Path) -> None:
    browser.resize(width, 700)
    wide(browser, tmp_path)
    box = "document.querySelector('.scroll')"
    assert browser.see(f"{box}.classList.contains('more')")
    browser.see(f"new Promise(done => {{ {box}.scrollLeft = 300; requestAnimationFrame(done); }})")
    seen = """[...document.querySelectorAll('tbody tr')].map(row => {
        const cell = row.cells[COLUMN].getBoundingClientRect();
        return document.elementFromPoint(cell.x + cell.width / 2, cell.y + cell.height / 2)?.textContent;
    })"""
    assert browser.see(seen.replace("COLUMN", "1")) == ["Full", "Freeze", "Rein"]
    assert browser.see(seen.replace("COLUMN", "0")) == ["CLIP-L"] * 3
    names = "Math.max(...[...document.querySelectorAll('tbody .name')].map(cell => cell.getBoundingClientRect().right))"
    heading = (
        f"document.elementFromPoint({names} + 30, document.querySelector('.groups').getBoundingClientRect().y + 8)"
    )
    assert browser.see(f"{heading}.textContent").startswith("domain")
    browser.see(f"new Promise(done => {{ {box}.scrollLeft = 9999; setTimeout(done, 200); }})")
    assert not browser.see(f"{box}.classList.contains('more')")


def test_words_stand_left(browser: Browser, tmp_path: Path) -> None:
    wide(browser, tmp_path)
    sides = (
        "[...document.querySelectorAll('tbody tr')[0].cells].slice(0, 5).map(cell => getComputedStyle(cell).textAlign)"
    )
    assert browser.see(sides) == ["left", "left", "right", "left", "right"]


def test_the_sticky_names_are_shaded_with_their_row(browser: Browser, tmp_path: Path) -> None:
    wide(browser, tmp_path)
    browser.hover(*browser.place("tbody tr:nth-child(2) td"))
    shades = """[...document.querySelectorAll('tbody tr:nth-child(2) > *')]
        .map(cell => getComputedStyle(cell).backgroundColor)"""
    assert len(set(browser.see(shades))) == 1
