"""A whole report, at every stage of a sweep, in three formats."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml

from rein.config import ConfigError, Figure, Report, Table
from rein.config_io import load, shipped
from rein.reports.markup import escape, slug
from rein.reports.write import write
from tests.reports.made_up_sweep import CONTROL, FIGURES, POINTS, TABLES, World

Make = Callable[..., World]
NASTY = r"50 % of a_b & #1, $x$ {y} ~ ^ \ | <script>alert(1)</script> *z* [l](u)"


def documents(world: World) -> dict[str, str]:
    return {suffix: (world.out / f"report.{suffix}").read_text() for suffix in ("md", "tex", "html")}


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_a_finished_sweep(finished: World) -> None:
    names = {str(file.relative_to(finished.out)) for file in finished.files}
    assert {"report.md", "report.tex", "report.html", "results.csv", "runs.csv", "tables/by-class.tex",
            "tables/main.md", "tables/main.csv", "figures/curves.png", "figures/inverted-u.pdf"} <= names  # fmt: skip
    assert names == {str(file.relative_to(finished.out)) for file in finished.out.rglob("*") if file.is_file()}
    for text in documents(finished).values():
        assert "partial:" not in text
        facts = ("rein report demo", "15 done of 15 planned", "15 min", "abc123", "2.14", "rises and then falls")
        assert [part for part in facts if part not in flat(text)] == []
        assert "images" not in flat(text).split("How these numbers were made")[1]
    scores, runs = (pd.read_csv(finished.out / name) for name in ("results.csv", "runs.csv"))
    assert set(scores["point"]) == {*POINTS, *CONTROL} and {"run_id", "role", "value"} <= set(scores)
    assert runs["run_id"].tolist() == [item.id for item in finished.planned]
    assert {"point", "state", "tuning.method", "seconds"} <= set(runs) and set(scores["run_id"]) == set(runs["run_id"])


@pytest.mark.parametrize("number", [0, 4])
def test_a_partial_sweep_is_marked(world: Make, number: int) -> None:
    made = world({name: POINTS[name] for name in ("frozen", "rein")})
    for item in made.planned[:number]:
        made.finish(item)
    if number:
        made.finish(made.planned[number], "failed")
    write(made.report(tables=TABLES, figures=FIGURES), made.runs, made.out)
    others = "1 failed, 1 not started" if number else "6 not started"
    for text in documents(made).values():
        assert f"partial: {number} of 6 runs done ({others})" in text
    assert "Not drawn: no finished run has kept predictions." in documents(made)["md"]


def test_a_picture_does_not_outlive_its_runs(world: Make) -> None:
    made = world(seeds=(0,))
    made.finish_all()
    write(made.report(), made.runs, made.out)
    assert (made.out / "figures/inverted-u.png").is_file()
    shutil.rmtree(made.runs)
    write(made.report(), made.runs, made.out)
    assert not (made.out / "figures/inverted-u.png").exists()


def test_names_cannot_break_a_document(world: Make) -> None:
    made = world({NASTY: ({}, 10, 0.4)}, seeds=(0,))
    made.finish_all()
    tables = (Table(name=NASTY, caption=NASTY),)
    figures = (Figure(name=NASTY, kind="inverted_u", caption=NASTY),)
    changes = {"title": NASTY, "text": NASTY, "tables": tables, "figures": figures}
    write(made.report(**changes), made.runs, made.out, NASTY)
    text = documents(made)
    assert text["html"].count("<script") == 1 and "&lt;script&gt;alert" in text["html"]
    # The command lines stand in code, where Markdown reads no markup.
    assert "<script" not in re.sub(r"`[^`\n]*`", "", text["md"]).replace(r"\<script", "")
    fragment = (made.out / "tables" / f"{slug(NASTY)}.tex").read_text()
    assert r"50 \% of a\_b \& \#1, \$x\$ \{y\}" in fragment
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in text["md"].splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_tables_and_figures_have_one_number_and_title_in_all_formats(world: Make) -> None:
    made = world(seeds=(0,))
    made.finish_all()
    chapter = made.folder / "chapter.yaml"
    chapter.write_text(
        f"title: Chapter\nsweep: {made.sweep}\ntables: [{{name: again, caption: 'At 0.5 e.g. on B. Small print.'}}]\n"
        "figures: [{name: gone, kind: predictions, caption: None kept},"
        "{name: f2, kind: inverted_u, caption: Up. Down.}]"
    )
    figures = (Figure(name="first", kind="curves"),)
    write(made.report(figures=figures, parts=(str(chapter),)), made.runs, made.out)
    text = documents(made)
    titles = ["Table 1. main", "Figure 1. first", "Table 2. At 0.5 e.g. on B", "Figure 2. None kept", "Figure 3. Up"]
    assert re.findall(r"(?m)^## ((?:Table|Figure) .*)$", text["md"]) == titles
    assert re.findall(r"<h3>((?:Table|Figure) .*)</h3>", text["html"]) == titles
    links = dict(re.findall(r'<a href="#([^"]+)">((?:Table|Figure) [^<]+)</a>', text["html"]))
    assert list(links.values()) == titles and all(f'id="{anchor}"' in text["html"] for anchor in links)
    for said in (text["md"], text["html"].split("<main>")[1]):
        assert said.count("At 0.5 e.g. on B") == 1 and "Small print." in said
    assert r"\textbf{At 0.5 e.g. on B.} Small print." in (made.out / "tables/again.tex").read_text()
    assert "At 0.5 e.g. on B. Small print." in (made.out / "tables/again.md").read_text()
    assert r"\refstepcounter{figure}" in text["tex"]  # what is not drawn has a number, too


def test_html_is_one_well_formed_file(finished: World) -> None:
    text = documents(finished)["html"]
    checker = Balance()
    checker.feed(text)
    assert checker.open == []
    assert all(re.match("data:image/(png|jpeg);base64,", source) for source in checker.sources)
    assert len(checker.sources) == 2 + 4 * (2 + 5)  # two figures; of four domains image, label and five variants
    assert not re.search(r"(?:src|href)=\"?https?:", text) and "@import" not in text and "url(" not in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text and 'name="viewport"' in text


class Balance(HTMLParser):
    """Raises where a tag is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)
        self.sources += [value or "" for name, value in attributes if name == "src"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_latex_braces_and_environments_balance(finished: World) -> None:
    for text in (documents(finished)["tex"], (finished.out / "tables/main.tex").read_text()):
        bare = re.sub(r"\\[\\{}%]", "", text)
        assert bare.count("{") == bare.count("}")
        assert sorted(re.findall(r"\\begin{(\w+)}", text)) == sorted(re.findall(r"\\end{(\w+)}", text))
    assert r"\input{figures/curves.tex}" in documents(finished)["tex"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_compiles(world: Make) -> None:
    made = world({NASTY: ({}, 10, 0.4), "rein": ({"tuning.rank": 4}, 20, 0.5)}, seeds=(0,))
    made.finish_all()
    write(made.report(title=NASTY, text=NASTY, tables=(Table(name=NASTY, caption=NASTY),)), made.runs, made.out)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=made.out, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:]


def test_names_that_share_a_file_are_refused(world: Make) -> None:
    made = world()
    with pytest.raises(ConfigError, match="name them apart"):
        write(made.report(tables=(Table(name="a b"), Table(name="a_b"))), made.runs, made.out)


def test_escaping() -> None:
    assert escape("a_b `c_d` <e>", "md") == r"a\_b `c_d` \<e\>"
    assert escape("a_b `c_d` <e>", "html") == "a_b <code>c_d</code> &lt;e&gt;"
    assert escape("a_b `c_d` <e>", "tex") == r"a\_b \texttt{c\_d} \textless{}e\textgreater{}"
    assert escape("1. x\n- y\n2.5", "md") == "1\\. x\n\\- y\n2.5"


@pytest.mark.parametrize("name", sorted(shipped(Report)))
def test_shipped_reports_are_valid(name: str) -> None:
    report = load(Report, name)
    assert report.tables or report.parts
    assert len(report.text.split()) > 15
    assert all(item.caption for item in (*report.tables, *report.figures))


def a_document(world: World, **changes: object) -> Report:
    """Of two chapters of the same sweep."""
    for name in ("one", "two"):
        part = {"title": name, "sweep": str(world.sweep), "tables": [{"name": f"table-{name}"}]}
        (world.folder / f"{name}.yaml").write_text(yaml.safe_dump(part))
    parts = tuple(str(world.folder / f"{name}.yaml") for name in ("one", "two"))
    return Report(**{"title": "Both", "parts": parts, **changes})  # type: ignore[arg-type]


def test_the_rule_of_a_document_is_that_of_its_chapters(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    made.finish_all()
    for rule in ("last", "oracle"):
        write(a_document(made, selection=rule), made.runs, made.out)
        assert documents(made)["md"].count(f"selection rule: `{rule}`") == 1
        for name in ("one", "two"):
            assert f"`{rule}`" in (made.out / f"tables/table-{name}.md").read_text()


def test_a_document_of_parts_has_no_axes(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    with pytest.raises(ConfigError, match=r"`vary`: a document of parts has no axes of its own"):
        write(a_document(made, vary={"seed": [0]}), made.runs, made.out)


def test_a_document_names_the_software_of_its_runs_once(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0, 1))
    made.finish_all()
    (made.runs / made.planned[0].id / "environment.json").write_text('{"packages": {"torch": "2.14"}}')
    write(a_document(made), made.runs, made.out)
    for text in documents(made).values():
        assert text.count("2.14") == 1 and "1 of 2 runs" in text, "a run of two chapters is one"
    assert "\n# Software of the runs\n" in documents(made)["md"]


def test_a_document_says_once_how_its_tables_are_read(finished: World) -> None:
    spread = "± is the sample standard deviation over n seeds."
    for format, text in documents(finished).items():
        assert text.count(spread.replace("±", r"$\pm$") if format == "tex" else spread) == 1
    for name in ("main", "budget"):
        assert spread in (finished.out / f"tables/{name}.md").read_text()
        assert r"$\pm$ is the sample" in (finished.out / f"tables/{name}.tex").read_text()


def test_a_single_table_says_all_by_itself(world: Make) -> None:
    made = world()
    made.finish_all()
    write(made.report(), made.runs, made.out)
    for text in documents(made).values():
        assert "How to read the tables</h2>" not in text and "section*{How to read" not in text
    assert "± is the sample standard deviation" in documents(made)["md"].split("| rein |")[1]


def test_the_verdicts_of_several_panels_are_a_table(world: Make, caplog: pytest.LogCaptureFixture) -> None:
    made = world(POINTS, **{"head.method": ["mask2former", "semfpn"]})
    made.finish_all()
    rows = ("point",)
    figure = Figure(name="u", kind="inverted_u", panels=("head.method",))
    with caplog.at_level("INFO"):
        write(made.report(tables=(Table(name="main", rows=rows),), figures=(figure,)), made.runs, made.out)
    for head in ("Mask2Former", "SemFPN"):
        claim = f"With more trainable parameters average target mIoU ({head}) rises and then falls."
        assert claim in caplog.text
        assert all(claim not in text for text in documents(made).values())
        assert f"| {head} |" in documents(made)["md"] and f'class="name">{head}</th>' in documents(made)["html"]
    assert "## Table 2. Whether average target mIoU rises and then falls" in documents(made)["md"]
    assert {"u-tested.tex", "u-tested.md", "u-tested.csv"} <= {file.name for file in (made.out / "tables").iterdir()}
    with pytest.raises(ConfigError, match="name them apart"):
        write(made.report(tables=(Table(name="u tested"),), figures=(figure,)), made.runs, made.out)
    shutil.rmtree(made.runs)
    write(made.report(tables=(Table(name="main", rows=rows),), figures=(figure,)), made.runs, made.out)
    assert not list((made.out / "tables").glob("u-tested.*")), "no table outlives its runs"


def test_chapters_say_only_what_differs(world: Make) -> None:
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    made.finish_all()
    write(a_document(made), made.runs, made.out)
    for text in documents(made).values():
        assert flat(text).count("toy-day, toy-night, toy-fog") == 1
        assert flat(text).count("1 done of 1 planned") == 2, "a chapter's own"
    assert "# How the numbers of all chapters were made" in documents(made)["md"]


def test_nothing_heavy_is_imported(world: Make) -> None:
    """A report needs no torch; and importing the package draws nothing in that only drawing needs."""
    made = world({"rein": POINTS["rein"]}, seeds=(0,))
    made.finish_all()
    code = f"""
import sys
from pathlib import Path
from rein.reports.write import write
light = [name for name in ("matplotlib", "seaborn", "scipy", "jinja2") if name in sys.modules]
assert not light, light
from rein.config import Figure, Report, Table
figures = (Figure(name="f", kind="curves"),)
report = Report(title="t", sweep={str(made.sweep)!r}, tables=(Table(name="main"),), figures=figures)
write(report, Path({str(made.runs)!r}), Path({str(made.out)!r}))
heavy = [name for name in ("torch", "torchvision", "timm", "ray", "mlflow") if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
