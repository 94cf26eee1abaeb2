"""A report's files: Markdown, LaTeX and HTML, each table and figure by itself, and what they are made from.

That is `results.csv`, a row a score or loss, and `runs.csv`, a row a planned run with its state, config and facts;
`run_id` joins them. Of a part they are `results-NAME.csv` and `runs-NAME.csv`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rein.config import ConfigError, Figure, Report
from rein.config_io import load
from rein.reports import said_once
from rein.reports.figures import draw, material
from rein.reports.figures.inverted_u import tested_name
from rein.reports.figures.picture import DPI, Spot
from rein.reports.gallery import BUDGET, Gallery, gallery
from rein.reports.grid import Grid
from rein.reports.latex import figure
from rein.reports.latex_pdf import compile_pdf
from rein.reports.markup import Format, Raw, after, attribute, escape, headline, slug
from rein.reports.missing import hours_to_fill
from rein.reports.notes import files_note
from rein.reports.provenance import altogether, progress, provenance, software
from rein.reports.statistics import Verdict
from rein.reports.study import Study, gather
from rein.reports.tables import table

if TYPE_CHECKING:
    import jinja2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawn:
    """A figure as a document needs it; without files, `caption` says why there is none."""

    name: str
    #: What stands over it; the caption may begin with it.
    title: str
    caption: str
    files: tuple[Path, ...] = ()
    #: Where on the PNG its points lie.
    spots: tuple[Spot, ...] = ()
    #: What the HTML page shows in its place.
    gallery: Gallery | None = None

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def embedded(self) -> str:
        """The PNG as a data URL, so that the HTML page is one file."""
        return "data:image/png;base64," + base64.b64encode(self.files[0].read_bytes()).decode()

    @property
    def width(self) -> int:
        """CSS pixels at which the page shows it: text a little smaller than the page's, sharp on dense screens."""
        return round(self._pixels * 0.6)

    def latex(self) -> str:
        return figure(self.slug, self.caption, self._pixels / DPI, self.title)

    @property
    def _pixels(self) -> int:
        from PIL import Image

        with Image.open(self.files[0]) as image:
            return image.width


@dataclass(frozen=True)
class Chapter:
    """What a document says of one report's sweep."""

    report: Report
    study: Study
    grids: list[Grid]
    figures: list[Drawn]
    #: The sentences that stand above the tables; `claims` are those that tables hold instead, too.
    verdicts: list[Verdict]
    claims: list[str]
    #: How its numbers were made.
    facts: list[tuple[str, str]]

    @property
    def paragraphs(self) -> list[str]:
        return paragraphs(self.report.text)

    @property
    def progress(self) -> str:
        return progress([self.study])


def write(
    report: Report, runs_root: Path, out: Path, name: str = "", world: str | None = None, pdf: bool = False
) -> list[Path]:
    """Write a report of the runs that are there into `out` and return its files, the documents first.

    `name` is what `rein report` was given, for the command lines in the text; `world` is that of the sweeps; with `pdf`
    latexmk makes report.pdf, where it is installed. Works at any stage of a sweep, from no run to all; what is not done
    is marked. Raises ConfigError where the report names what does not exist.
    """
    parts = {part: load(Report, part) for part in report.parts}
    if report.selection != "last":  # which is what a part says that says nothing
        parts = {part: replace(one, selection=report.selection) for part, one in parts.items()}
    if report.classes:
        parts = {part: replace(one, classes=report.classes) for part, one in parts.items()}
    if nested := [part for part, one in parts.items() if one.parts]:
        raise ConfigError(f"`parts`: {nested[0]} has parts itself; name those here")
    if not report.sweep and (report.tables or report.figures or not parts):
        raise ConfigError("`sweep` is missing: it says what runs the tables and figures are about")
    if report.vary is not None and not report.sweep:
        raise ConfigError("`vary`: a document of parts has no axes of its own; give them to the report of one part")
    reports = {**({name: report} if report.sweep else {}), **parts}
    _check_names(list(reports.values()))
    for folder in ("tables", "figures"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    chapters, files = [], []
    galleries = sum(wanted.kind == "predictions" for one in reports.values() for wanted in one.figures)
    budget = BUDGET // max(galleries, 1)
    for given, one in reports.items():
        earlier = tuple(dict.fromkeys(domain for chapter in chapters for domain in chapter.study.targets))
        study = replace(gather(one, runs_root, world), earlier=earlier)
        chapters.append(_chapter(study, out, given, world, files, budget))
        of = "" if one is report else f"-{slug(given)}"
        chapters[-1].study.results.to_csv(out / f"results{of}.csv", index=False)
        chapters[-1].study.runs.drop(columns="path").to_csv(out / f"runs{of}.csv", index=False)
        files[:0] = [out / f"results{of}.csv", out / f"runs{of}.csv"]
    studies = [chapter.study for chapter in chapters]
    conventions = said_once.conventions([grid for chapter in chapters for grid in chapter.grids])
    facts = said_once.facts([chapter.facts for chapter in chapters])
    chapters = [_without(chapter, conventions, facts) for chapter in chapters]
    said = studies[0].moved.world
    context = {
        "report": report, "chapters": chapters,
        "progress": "; ".join(filter(None, (progress(studies), hours_to_fill(studies)))),
        "paragraphs": paragraphs(report.text) if parts else [], "world": paragraphs(said.text) if said else [],
        "conventions": conventions, "facts": [*facts, *altogether(studies)], "software": software(studies),
    }  # fmt: skip
    _say(chapters, str(context["progress"]))
    documents = []
    for format in ("md", "tex", "html"):
        documents.append(out / f"report.{format}")
        documents[-1].write_text(
            _environment(format).get_template(f"report.{format}.j2").render(context), encoding="utf-8"
        )
    (out / "report.pdf").unlink(missing_ok=True)  # nor may a PDF outlive what it was made from
    if pdf and (made := compile_pdf(out / "report.tex")) is not None:
        documents.append(made)
    return [*documents, *files]


def _say(chapters: Sequence[Chapter], state: str) -> None:
    """What a reader should know before the documents are opened."""
    if state:
        log.info("%s", state)
    for drawn in (drawn for chapter in chapters for drawn in chapter.figures if not drawn.files):
        log.info("figure %s: %s", drawn.name, drawn.caption)
    for chapter in chapters:
        where = f"{chapter.report.title}: " if len(chapters) > 1 else ""
        for claim in chapter.claims:
            log.info("%s%s", where, claim)


def _without(chapter: Chapter, conventions: Sequence[str], facts: Sequence[tuple[str, str]]) -> Chapter:
    """The chapter in a document that says these once for all."""
    grids = [said_once.without(grid, conventions) for grid in chapter.grids]
    return replace(chapter, grids=grids, facts=[fact for fact in chapter.facts if fact not in facts])


def _chapter(study: Study, out: Path, name: str, world: str | None, files: list[Path], budget: int) -> Chapter:
    """Draw a report's tables and figures; their files go into `out`, and are added to `files`. `budget`: bytes of a
    gallery."""
    report = study.report
    there = study.moved.world.caption if study.moved.world else ""
    grids = [replace(table(study, wanted), title=headline(wanted.caption, wanted.name)) for wanted in report.tables]
    figures, verdicts, claims = [], [], []
    for wanted in report.figures:
        picture, title = draw(study, wanted), headline(wanted.caption, wanted.name)
        stem, tested = out / "figures" / slug(wanted.name), out / "tables" / slug(tested_name(wanted))
        # What shows an earlier state must not outlive the runs it showed.
        if _is_tested(wanted) and (isinstance(picture, str) or picture.tested is None):
            _remove(tested, "tex", "md", "csv")
        if isinstance(picture, str):
            _remove(stem, "png", "pdf", "tex")
            figures.append(Drawn(wanted.name, title, f"Not drawn: {picture}."))
            continue
        said = files_note(study) if wanted.kind != "predictions" else ""
        saved = picture.save(stem)
        looked_through = gallery(material(study, wanted), wanted, budget) if wanted.kind == "predictions" else None
        caption = " ".join(filter(None, (picture.caption, there, said)))
        figures.append(Drawn(wanted.name, title, caption, saved.files, saved.spots, looked_through))
        stem.with_suffix(".tex").write_text(figures[-1].latex(), encoding="utf-8")
        files += [*saved.files, stem.with_suffix(".tex")]
        claims += [verdict.claim for verdict in picture.verdicts]
        if picture.tested is None:
            verdicts += picture.verdicts
        else:
            grids.append(picture.tested)
    grids = [replace(grid, conventions=tuple(filter(None, (*grid.conventions, there)))) for grid in grids]
    files += [file for grid in grids for file in _write_table(grid, out / "tables")]
    return Chapter(report, study, grids, figures, verdicts, claims, provenance(study, name, world))


def paragraphs(text: str) -> list[str]:
    """A text's parts between blank lines."""
    return [part for part in text.split("\n\n") if part.strip()]


def _remove(stem: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        stem.with_suffix(f".{suffix}").unlink(missing_ok=True)


def _write_table(grid: Grid, folder: Path) -> list[Path]:
    files = [folder / f"{slug(grid.name)}.{suffix}" for suffix in ("tex", "md", "csv")]
    files[0].write_text(grid.latex(), encoding="utf-8")
    files[1].write_text(grid.markdown(), encoding="utf-8")
    grid.values.to_csv(files[2], index=False)
    return files


def _is_tested(wanted: Figure) -> bool:
    """Whether the figure's verdicts may be a table, one for every panel."""
    return wanted.kind == "inverted_u" and bool(wanted.panels)


def _check_names(reports: Sequence[Report]) -> None:
    for kind in ("tables", "figures"):
        names = [item.name for report in reports for item in getattr(report, kind)]
        if kind == "tables":  # a figure with panels makes one too
            names += [tested_name(one) for report in reports for one in report.figures if _is_tested(one)]
        slugs = [slug(name) for name in names]
        for name, one in zip(names, slugs, strict=True):
            if slugs.count(one) > 1:
                raise ConfigError(f"`{kind}`: {name!r} and another would both be written to {one}.*; name them apart")


def _environment(format: Format) -> jinja2.Environment:
    """Templates in which every value is escaped unless it is `Raw`: nobody can forget a filter."""
    import jinja2

    # {{ and {% mean something to LaTeX.
    ends = {"variable": ("<<", ">>"), "block": ("<%", "%>"), "comment": ("<#", "#>")}
    tex: dict[str, Any] = {
        f"{kind}_{end}_string": text
        for kind, pair in ends.items()
        for end, text in zip(("start", "end"), pair, strict=True)
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rein.reports"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: escape(value, format),
        **(tex if format == "tex" else {}),
    )
    environment.filters["raw"] = Raw
    environment.filters["after"] = after
    environment.filters["line"] = lambda text: " ".join(str(text).split())
    environment.filters["plain"] = lambda text: Raw(attribute(text))
    return environment
