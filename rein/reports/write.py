"""A report's files: Markdown, LaTeX and HTML, each table and figure by itself, and the results they are made from."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rein.config import ConfigError, Report
from rein.reports.figures import draw
from rein.reports.grid import Grid
from rein.reports.markup import Format, Raw, escape, slug
from rein.reports.notes import files_mark, files_note
from rein.reports.study import Study, environments, gather
from rein.reports.tables import SELECTION, table
from rein.sweeps.plan import final

if TYPE_CHECKING:
    import jinja2


#: The settings that every report prints; all others are in results.csv.
_PRINTED = (
    "backbone.name", "backbone.weights", "data.sources", "data.targets", "data.batch_size",
    "data.crop_size", "steps", "seed",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A figure as a document needs it; without files, `caption` says why there is none."""

    name: str
    caption: str
    files: tuple[Path, ...] = ()

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
        from PIL import Image

        with Image.open(self.files[0]) as image:
            return round(image.width * 0.6)


def write(report: Report, runs_root: Path, out: Path, name: str = "") -> list[Path]:
    """Write a report of the runs that are there into `out` and return its files, the documents first.

    `name` is what `rein report` was given, for the command lines in the text. Works at any stage of a sweep, from no
    run to all; what is not done is marked. Raises ConfigError where the report names what does not exist.
    """
    _check_names(report)
    study = gather(report, runs_root)
    for folder in ("tables", "figures"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    grids = [table(study, wanted) for wanted in report.tables]
    files = [file for grid in grids for file in _write_table(grid, out / "tables")]
    figures, verdicts = [], []
    for wanted in report.figures:
        picture = draw(study, wanted)
        stem = out / "figures" / slug(wanted.name)
        if isinstance(picture, str):
            # A picture of an earlier state must not outlive the runs it showed.
            for suffix in (".png", ".pdf"):
                stem.with_suffix(suffix).unlink(missing_ok=True)
            figures.append(Drawn(wanted.name, f"Not drawn: {picture}."))
            continue
        said = files_note(study) if wanted.kind != "predictions" else ""
        figures.append(Drawn(wanted.name, f"{picture.caption} {said}".strip(), tuple(picture.save(stem))))
        files += figures[-1].files
        verdicts += [picture.verdict] if picture.verdict is not None else []
    study.results.to_csv(out / "results.csv", index=False)
    context = {
        "report": report, "grids": grids, "figures": figures, "verdicts": verdicts, "progress": progress(study),
        "facts": provenance(study, name), "paragraphs": [part for part in report.text.split("\n\n") if part.strip()],
    }  # fmt: skip
    documents = []
    for format in ("md", "tex", "html"):
        documents.append(out / f"report.{format}")
        documents[-1].write_text(
            _environment(format).get_template(f"report.{format}.j2").render(context), encoding="utf-8"
        )
    return [*documents, out / "results.csv", *files]


def progress(study: Study) -> str:
    """`partial: 7 of 12 runs done (1 failed, 4 not started); files were skipped in 2 of 7 runs`; empty once all are
    done and have read all files."""
    states, ends = study.runs["state"], final(study.sweep)  # a search is through with what it has stopped
    done, planned = states.isin(ends).sum(), len(study.runs)
    others = Counter(state for state in states if state not in ends)
    counts = ", ".join(f"{number} {state}" for state, number in others.items())
    partial = f"partial: {done} of {planned} runs done ({counts})" if done < planned else ""
    return "; ".join(filter(None, (partial, files_mark(study))))


def provenance(study: Study, name: str = "") -> list[tuple[str, str]]:
    """(what, value) pairs that say how the numbers were made and let a reader make them again."""
    runs = study.runs
    vary = "" if study.report.vary is None else f" 'vary={json.dumps(study.report.vary)}'"
    commands = f"`rein sweep {study.report.sweep}{vary}`, then `rein report {name or 'REPORT.yaml'}{vary}`"
    facts = [("commands", commands), ("runs", f"{len(study.done)} done of {len(runs)} planned")]
    facts += [(f"`{key}`", "; ".join(dict.fromkeys(_plain(value) for value in runs[key]))) for key in _PRINTED]
    subsets = {str(value) for value in runs["evaluation.images"] if pd.notna(value)}
    if subsets:
        facts.append(
            ("`evaluation.images`", f"{', '.join(sorted(subsets))}: a part of every domain's images is scored")
        )
    facts.append(("selection rule", f"`{study.report.selection}`. {SELECTION[study.report.selection]}"))
    facts.append(("significance", "no test is made but the two-lines test, where a sentence above names it"))
    facts.append(
        (
            "total run time",
            duration(runs["seconds"].sum()) if runs["seconds"].notna().any() else "not recorded",
        )
    )
    memory = runs["peak_memory_mib"].max()
    if memory == memory:
        facts.append(("peak memory of a run", f"{memory:,.0f} MiB"))
    wait = runs["data_wait"].max()
    if wait == wait:
        facts.append(("waiting for data", f"at most {100 * wait:.0f} % of a run's time"))
    return facts + _software(environments(study), len(runs))


def duration(seconds: float) -> str:
    """`42 s`, `12 min`, `3 h 12 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _software(found: list[dict[str, Any]], runs: int) -> list[tuple[str, str]]:
    """Commit, device and package versions of the runs; where runs differ, every value with its number of runs."""
    if not found:
        return [("software", "no run has recorded its environment")]
    lines = []
    for key in dict.fromkeys(key for one in found for key in one):
        short = key.removeprefix("packages.").removeprefix("versions.")
        # Data digests and the like are for the machine; a reader wants versions, commit and device.
        if short == key and not any(word in key for word in ("commit", "dirty", "python", "device")):
            continue
        values = Counter(_plain(one[key]) for one in found if key in one)
        one = len(values) == 1
        lines.append(
            (
                short,
                next(iter(values))
                if one
                else ", ".join(f"{value} ({number} runs)" for value, number in values.items()),
            )
        )
    if len(found) < runs:
        lines.append(("environments recorded", f"{len(found)} of {runs} runs"))
    return lines


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _write_table(grid: Grid, folder: Path) -> list[Path]:
    files = [folder / f"{slug(grid.name)}.{suffix}" for suffix in ("tex", "md", "csv")]
    files[0].write_text(grid.latex(), encoding="utf-8")
    files[1].write_text(grid.markdown(), encoding="utf-8")
    grid.values.to_csv(files[2], index=False)
    return files


def _check_names(report: Report) -> None:
    for kind, items in (("tables", report.tables), ("figures", report.figures)):
        slugs = [slug(item.name) for item in items]
        for item, one in zip(items, slugs, strict=True):
            if slugs.count(one) > 1:
                raise ConfigError(
                    f"`{kind}`: {item.name!r} and another would both be written to {one}.*; name them apart"
                )


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
    # Inside an attribute there is no place for <code>.
    environment.filters["plain"] = lambda text: str(text).replace("`", "")
    return environment
