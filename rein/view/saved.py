"""A sweep as one of the saved views of MLflow's list of runs: its runs and no others, what varies in the columns, and
charts that compare them, where the UI by itself would show a folded line and no chart.

The UI keeps such a view in a tag of the experiment (since MLflow 3.14 or so, with a name; others pay no heed to it).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rein.config import ConfigError, flatten
from rein.ledger import Run
from rein.ledger.tracked import TRAINING

#: The UI's prefix of such tags.
TAG = "mlflow.sharedViewState."
#: So many runs say what varies.
ASKED = 60
#: As many axes as one can read, and as many domains as go into a tag.
AXES, DOMAINS = 6, 24
#: Shown at once in charts; more are a click away.
SHOWN, ALL, FEW = 50, "SHOW_ALL", "FIRST_20_RUNS"
TARGETS, SOURCES, SIZE = "targets/miou", "source_val", "parameters.backbone_trainable"


@dataclass(frozen=True)
class Seen:
    """What of a sweep's runs makes its view."""

    #: Dotted keys in which the runs differ, but the seed.
    varied: list[str]
    #: Those of them that every run has: a line of parallel coordinates needs a value on each axis.
    shared: list[str]
    seeds: int
    runs: int
    #: Of the longest run: when pictures are made.
    steps: int
    #: Domains that were scored so far, targets first.
    domains: list[str]
    #: Pictures that a finished run has kept, the first of each domain: `DOMAIN/STEM`.
    pictures: list[str]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Seen | None:
        """None where no run says what it is."""
        some = runs[:: max(1, len(runs) // ASKED)]
        configs = []
        for run in some:
            with suppress(ConfigError, OSError):  # not there yet, or of other code
                configs.append(flatten(run.experiment()))
        if not configs:
            return None
        keys = list(dict.fromkeys(key for config in configs for key in config))
        values = {key: {json.dumps(config.get(key)) for config in configs} for key in keys}
        varied = [key for key in keys if len(values[key]) > 1 and key != "seed"]
        return cls(
            varied=varied,
            shared=[key for key in varied if all(key in config for config in configs)],
            seeds=len(values["seed"]),
            runs=len(runs),
            steps=max(config["steps"] for config in configs),
            domains=next((found for run in some if (found := _domains(run))), [])[:DOMAINS],
            pictures=next((found for run in some if (found := _pictures(run))), []),
        )


@dataclass(frozen=True)
class View:
    """A saved view: its title in the UI's menu, the tag of the experiment that holds it, and the tag's value."""

    title: str
    tag: str
    value: str

    @property
    def query(self) -> str:
        """What of an address opens it on its charts."""
        return _query(self.tag.removeprefix(TAG))


def runs_query(name: str) -> str:
    """What of an address opens the charts of every run of a sweep."""
    return _query(f"rein-{name}-runs")


def _query(key: str) -> str:
    return f"?viewStateShareKey={quote(key, safe='')}&compareRunsMode=CHART&{TRAINING}"


def views(name: str, seen: Seen) -> list[View]:
    """Every run by itself; and where there are several seeds, variants as means over them, which come first.

    Of groups the UI draws no parallel coordinates and shows no pictures.
    """
    runs = _view(f"{name}, every run", f"rein-{name}-runs", _state(name, seen, False))
    means = _view(f"{name}, means over seeds", f"rein-{name}-means", _state(name, seen, True))
    return [means, runs] if seen.seeds > 1 else [runs]


def _view(title: str, key: str, state: dict[str, Any]) -> View:
    moment = int(1000 * time.time())
    value = {"name": title, "createdAt": moment, "updatedAt": moment, "state": json.dumps(state)}
    return View(title, TAG + key, json.dumps(value))


def _state(name: str, seen: Seen, grouped: bool) -> dict[str, Any]:
    charts, sections = _charts(seen, grouped)
    by_point = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "point"}]}
    return {
        "searchFilter": f"tags.`rein.sweep` = {quoted(name)} and tags.`rein.kind` = 'run'",
        "orderByKey": f"metrics.`{TARGETS}`",
        "orderByAsc": False,
        "selectedColumns": [
            *_column("metrics", TARGETS, *(f"{domain}/miou" for domain in seen.domains), SIZE),
            *_column("params", *seen.varied),
            *_column("tags", "rein.state"),
        ],
        "groupBy": by_point if grouped else None,
        "runsHiddenMode": ALL if seen.runs <= SHOWN else FEW,
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,  # else the sections are sorted by name
    }


def quoted(text: str) -> str:
    """Text in a filter of MLflow, which knows no escape: in the quotes that it does not hold."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _column(kind: str, *names: str) -> list[str]:
    return [f"{kind}.`{name}`" for name in names]


def _charts(seen: Seen, grouped: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """In short; by domain; pictures; folded, what the UI adds by itself: a chart a class."""
    short = [
        _chart("BAR", "short", f"{TARGETS}, last", metricKey=TARGETS),
        _chart("SCATTER", "short", f"{TARGETS} over {SIZE}", xaxis=_axis(SIZE), yaxis=_axis(TARGETS)),
        *(_chart("LINE", "short", f"{name} over steps", metricKey=name) for name in (TARGETS, SOURCES, "loss")),
    ]
    domains = [_chart("LINE", "domains", f"{name}/miou", metricKey=f"{name}/miou") for name in seen.domains]
    sections, pictures = [_section("short", "In short"), _section("domains", "Domains")], []
    if not grouped:
        axes = {"selectedParams": seen.shared[:AXES], "selectedMetrics": [SIZE, SOURCES, TARGETS]}
        short.insert(0, _chart("PARALLEL", "short", "what varies", **axes))
        if seen.pictures:
            shown = {"imageKeys": seen.pictures, "step": seen.steps, "showRunParams": False}
            pictures = [_chart("IMAGE", "pictures", "", **shown)]
            wide = {"columns": 1, "cardHeight": 720}  # a column a run, a row a picture
            sections.append(_section("pictures", "Pictures: image, label, prediction") | wide)
    folded = [_section(f"{name}/iou", f"{name}/iou", is_folded=True) for name in seen.domains]
    rest = _section("rest", "Model metrics", is_folded=True)
    return [*short, *domains, *pictures], [*sections, *folded, rest]


def _chart(type: str, section: str, title: str, **more: Any) -> dict[str, Any]:
    return {
        "type": type, "uuid": f"{section}-{type}-{title}", "metricSectionId": section, "runsCountToCompare": SHOWN,
        "deleted": False, "isGenerated": False, **({"displayName": title} if title else {}), **more,
    }  # fmt: skip


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _section(id: str, name: str, is_folded: bool = False) -> dict[str, Any]:
    """A folded one is as the UI would make it for the charts that it adds."""
    state = {"display": not is_folded, "isGenerated": is_folded, "isReordered": False, "deleted": False}
    return {"uuid": id, "name": name, **state}


def _domains(run: Run) -> list[str]:
    rows = sorted(run.score_rows(), key=lambda row: row["role"] != "target")
    return list(dict.fromkeys(row["domain"] for row in rows))


def _pictures(run: Run) -> list[str]:
    found: dict[str, str] = {}
    for file in sorted((run.path / "predictions").glob("*/*_image.png")):
        found.setdefault(file.parent.name, f"{file.parent.name}/{file.name.removesuffix('_image.png')}")
    return list(found.values())
