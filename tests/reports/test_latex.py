"""The LaTeX files in the columns of CVPR and ICLR: nothing stands out, nothing is lost, nothing too small to read."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from rein.config import Table
from rein.data.classes import CLASSES
from rein.reports import latex_pdf
from rein.reports.grid import Cell, Column, Grid
from rein.reports.latex import SIZE, SMALLEST, figure
from rein.reports.latex_pdf import compile_pdf
from rein.reports.statistics import inverted_u
from rein.reports.tables.verdicts import verdicts
from rein.reports.write import write
from tests.processes import alive, ends
from tests.reports.made_up_sweep import FIGURES, TABLES, World
from tests.waiting import comes

Make = Callable[..., World]
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
needs_reader = pytest.mark.skipif(
    shutil.which("pdftotext") is None
    or shutil.which("kpsewhich") is None
    or subprocess.run(["kpsewhich", "lmodern.sty"], capture_output=True).returncode != 0,
    reason="no pdftotext or no Latin Modern on this machine",
)
needs_latexmk = pytest.mark.skipif(shutil.which("latexmk") is None, reason="no latexmk on this machine")

#: Text and columns in inches.
STYLES = {
    "cvpr": (r"\documentclass[10pt,twocolumn]{article}", "textwidth=6.875in,textheight=8.875in,columnsep=0.3125in"),
    "iclr": (r"\documentclass[10pt]{article}", "textwidth=5.5in,textheight=9in"),
}
#: Every character that means something to TeX, in all positions; ligatures; what pdflatex has no letter for.
NASTY = [
    r"50 % of a_b & #1, $x$ {y} ~ ^ \ | <b> \"z\" 'q'", "[1.5ex] after a row", "*starred", "--double --- dash", "a,,b",
    "`code_with_a_name.that_is-long/enough=to_break`", "`unpaired", "ümlaut é ß ł ő", "µ α Ω ± −1 × ≥ …", "中 and 🙂",
    r"\input{/etc/passwd}", "two\n\nparagraphs", "\ttab\x00", "^^41", "fi ffl", "?` !`", "<script>alert(1)</script>",
    "",
]  # fmt: skip


def grid(rows: int = 3, columns: int = 6, title: str = "Cityscapes", name: str = "made up") -> Grid:
    heads = [Column("variant", name=True), *(Column(f"{title} {i}", "targets") for i in range(columns))]
    lines = [(Cell(f"variant {r}"), *(Cell(f"{10 + i}.{r} ± 0.4") for i in range(columns))) for r in range(rows)]
    return Grid(
        name, "Caption of `vit_large_patch14_dinov2.lvd142m` numbers.", tuple(heads), tuple(lines), pd.DataFrame()
    )


def compiled(folder: Path, style: str, inputs: list[str], fonts: str = "") -> str:
    """The log of a document of these lines in the style's widths, in Computer Modern or other `fonts`."""
    head, sizes = STYLES[style]
    packages = rf"\usepackage[{sizes}]{{geometry}}\usepackage{{booktabs,graphicx}}\usepackage[utf8]{{inputenc}}{fonts}"
    lines = [head, packages, r"\begin{document}", "Text. ", *inputs, r"\end{document}"]
    (folder / "paper.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def kind(text: str) -> str:
    return re.findall(r"\\begin{(table\*?)}", text)[0]


@needs_latex
@pytest.mark.parametrize("style", STYLES)
def test_a_report_fits_the_columns_of_a_paper(finished: World, style: str, tmp_path: Path) -> None:
    for folder in ("tables", "figures"):
        (tmp_path / folder).symlink_to(finished.out / folder)
    names = sorted(file.relative_to(finished.out) for file in finished.out.glob("*/*.tex"))
    assert len(names) == len(TABLES) + len(FIGURES)
    log = compiled(tmp_path, style, [rf"\input{{{name}}}" for name in names])
    assert "Overfull" not in log and "Too wide" not in log
    assert not re.search(r"^! |Float too large", log, re.MULTILINE)


@needs_latex
@pytest.mark.parametrize("style", STYLES)
def test_tables_of_all_sizes_fit(style: str, tmp_path: Path) -> None:
    grids = [grid(columns=number, name=f"of {number}") for number in (1, 2, 3, 5, 8, 13, 21)]
    classes = Grid(
        "classes", "Per class.", (Column("variant", name=True), Column("n"), *map(Column, CLASSES)),
        (tuple(Cell(text) for text in ("rein, link add", "3", *["45.3"] * 19)),), pd.DataFrame(),
    )  # fmt: skip
    titled = Grid("titled", "", (Column("variant", name=True), *[Column("Δ", "a domain with a long name")] * 2,
                                *[Column("Δ", "another domain with a long name")] * 2),
                  ((Cell("frozen"), *[Cell("+0.1")] * 4),), pd.DataFrame())  # fmt: skip
    log = compiled(tmp_path, style, [one.latex() for one in (*grids, classes, titled)])
    assert "Overfull" not in log


@needs_latex
@pytest.mark.parametrize("columns", [1, 2, 4, 7, 12, 20])
@pytest.mark.parametrize("style", STYLES)
def test_no_table_is_set_too_small(style: str, columns: int, tmp_path: Path) -> None:
    """TeX itself says how wide the parts of a table are before they are scaled to the line."""
    text = grid(columns=columns).latex()
    lines = [rf"\typeout{{LINE \the\{'textwidth' if kind(text) == 'table*' else 'columnwidth'}}}"]
    for part in re.findall(r"\\begin{tabular}.*?\\end{tabular}", text, re.DOTALL):
        lines.append(rf"{{\small\setlength{{\tabcolsep}}{{4pt}}\setbox0\hbox{{{part}}}\typeout{{WIDE \the\wd0}}}}")
    log = compiled(tmp_path, style, lines)
    line, widths = (list(map(float, re.findall(rf"{what} ([\d.]+)pt", log))) for what in ("LINE", "WIDE"))
    assert SIZE * min(line[0] / max(widths), 1) >= SMALLEST


@needs_latex
@pytest.mark.parametrize("style", STYLES)
def test_the_verdicts_of_ten_panels_fit(style: str, tmp_path: Path) -> None:
    x = np.repeat(np.arange(9.0), 3)
    found = inverted_u(x, 50 - (x - 4) ** 2 + np.tile([0.0, 0.1, 0.2], 9))
    assert found.claimed and found.peak
    panels = {f"a backbone {i}, Mask2Former": found for i in range(10)}
    log = compiled(tmp_path, style, [verdicts("v", "average target mIoU", panels, "A caveat.").latex()])
    assert "Overfull" not in log and "Float too large" not in log


def test_a_narrow_table_stays_in_its_column() -> None:
    assert [kind(grid(columns=number).latex()) for number in (1, 2, 6)] == ["table", "table", "table*"]
    assert r"\begin{figure}" in figure("x", "", 3.2) and r"\begin{figure*}" in figure("x", "", 5.0)


def test_a_table_too_wide_for_the_page_is_split() -> None:
    text = grid(columns=20).latex()
    parts = re.findall(r"\\begin{tabular}.*?\\end{tabular}", text, re.DOTALL)
    assert len(parts) > 1 and all("variant 2" in part for part in parts)
    found = [int(number) for part in parts for number in re.findall(r"Cityscapes (\d+)", part)]
    assert found == list(range(20))
    assert len({part.count("&") for part in parts}) <= 2  # about evenly
    assert text.count(r"\caption") == text.count(r"\label") == 1


@needs_latex
@pytest.mark.parametrize("style", STYLES)
def test_a_table_longer_than_a_page_goes_on_in_another(style: str, tmp_path: Path) -> None:
    grids = [grid(rows=100, columns=1, name="long"), grid(rows=30, columns=24, name="long and wide")]
    texts = [one.latex() for one in grids]
    log = compiled(tmp_path, style, texts)
    assert "Float too large" not in log and "Overfull" not in log
    for text, one in zip(texts, grids, strict=True):
        assert text.count(r"\caption") == 1 and text.count("continued") >= 1
        found = re.findall(r"(\d+)\.(\d+) \$", text)
        assert sorted(found) == sorted(
            (str(10 + c), str(r)) for r in range(len(one.rows)) for c in range(len(one.columns) - 1)
        )


def test_a_split_leaves_groups_whole() -> None:
    heads = [Column("variant", name=True)]
    heads += [Column(title, f"a long domain name {i}") for i in range(7) for title in ("measured", "published", "Δ")]
    row = (Cell("frozen"), *[Cell("45.3 ± 0.4"), Cell("45.3"), Cell("+0.1")] * 7)
    text = Grid("pairs", "", tuple(heads), (row,), pd.DataFrame()).latex()
    sizes = re.findall(r"\\multicolumn{(\d)}{c}{a long", text)
    assert sizes == ["3"] * 7 and text.count(r"\begin{tabular}") > 1


def test_headings_and_rows_below_rows() -> None:
    made = grid(rows=4, columns=2)
    rows = ((Cell("DINOv2"), Cell(""), Cell("")), *made.rows[1:])
    text = Grid(made.name, "", made.columns, rows, made.values, roles=("group", "", "sub", "")).latex()
    assert r"\multicolumn{3}{@{}l}{\emph{DINOv2}} \\" in text and r"\quad variant 2 &" in text


@needs_latex
@needs_reader
def test_nasty_text_is_read_back(tmp_path: Path) -> None:
    rows = tuple((Cell(text or "–"), Cell(text, "best" if i % 2 else "second")) for i, text in enumerate(NASTY))
    made = Grid("nasty", " / ".join(NASTY), (Column("name", name=True), Column("a_b %", "g & h")), rows, pd.DataFrame())
    compiled(tmp_path, "cvpr", [made.latex()])  # in TeX's own encoding nothing fails, at least
    log = compiled(tmp_path, "iclr", [made.latex()], r"\usepackage{lmodern}\usepackage[T1]{fontenc}")
    assert "Missing character" not in log and "root:" not in log
    subprocess.run(["pdftotext", "-layout", "paper.pdf"], cwd=tmp_path, check=True)
    seen = " ".join((tmp_path / "paper.txt").read_text().split())
    expected = (
        "50 % of a_b & #1, $x$ {y} ~ ^ \\ | <b>", "[1.5ex] after a row", "*starred", "a,,b", "`unpaired",
        "ümlaut é ß ł ő", "[U+4E2D] and [U+1F642]", r"\input{/etc/passwd}", "two paragraphs", "^^41",
        "<script>alert(1)</script>",
        "code_with_a_name.that_is-long/enough=to_break",
    )  # fmt: skip
    assert [text for text in expected if text not in seen] == []


@needs_latexmk
def test_a_pdf_is_made(world: Make) -> None:
    made = world(seeds=(0, 1))
    made.finish_all()
    files = write(made.report(tables=TABLES), made.runs, made.out, pdf=True)
    assert made.out / "report.pdf" in files and (made.out / "report.pdf").read_bytes().startswith(b"%PDF")
    assert {file.suffix for file in made.out.iterdir() if file.is_file()} == {".md", ".tex", ".html", ".csv", ".pdf"}


@needs_latexmk
@needs_reader
def test_no_float_leaves_its_chapter(world: Make) -> None:
    made = world(seeds=(0,))
    made.finish_all()
    tables = tuple(Table(name=f"t{i}", caption=f"What is seen {i}. And more.") for i in range(9))
    write(made.report(title="100 % & more", tables=tables, figures=FIGURES[:2]), made.runs, made.out, pdf=True)
    info = subprocess.run(["pdfinfo", "report.pdf"], cwd=made.out, capture_output=True, text=True, check=True).stdout
    assert re.search(r"Title: +100 % & more", info)
    subprocess.run(["pdftotext", "report.pdf"], cwd=made.out, check=True)
    before, after = (made.out / "report.txt").read_text().split("How these numbers were made")
    for number in range(9):
        assert f"Table {number + 1}: What is seen {number}. And more" in " ".join(before.split())
    assert "Figure 2:" in before and "Table" not in after and "Figure" not in after


@needs_latexmk
def test_a_document_that_does_not_compile_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    document = tmp_path / "report.tex"
    document.write_text(r"\documentclass{article}\begin{document}\undefined\end{document}")
    document.with_suffix(".pdf").write_bytes(b"of an earlier state")
    with caplog.at_level(logging.WARNING):
        assert compile_pdf(document) is None
    assert str(tmp_path / "report.log") in caplog.text
    assert "Undefined control sequence" in (tmp_path / "report.log").read_text()
    assert not document.with_suffix(".pdf").exists()


@needs_latexmk
def test_a_document_that_never_ends_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latex_pdf, "PATIENCE", 5)
    document = tmp_path / "report.tex"
    document.write_text(r"\documentclass{article}\begin{document}\loop\iftrue\repeat\end{document}")
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor() as pool:
        made = pool.submit(compile_pdf, document)
        found: list[psutil.Process] = []
        assert comes(lambda: found.extend(started("pdflatex")) or found or made.done()) and found
        assert made.result() is None
    assert "more than 5 s" in caplog.text
    assert all(map(ends, found))  # what latexmk has started, too


def started(name: str) -> list[psutil.Process]:
    """Those that descend from this process and have that name."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if alive(one) and one.name() == name]


def test_without_latexmk_there_is_no_pdf(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert compile_pdf(tmp_path / "report.tex") is None
    assert "latexmk is not installed" in caplog.text
