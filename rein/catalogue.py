"""What can be named, for `rein list`."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from rein import config, domain_files
from rein.config_io import shipped
from rein.data.domain import Domain
from rein.data.domains import CORRUPTIONS, DOMAINS, FAMILIES, SEVERITIES, TOY_CORRUPTIONS, TOY_SEVERITIES, expand
from rein.ledger import runs

log = logging.getLogger(__name__)

#: Letters of a domain's note that are shown.
ABOUT = 41


def entries(kind: str, runs_root: Path) -> list[dict[str, Any]]:
    """Rows of one kind: experiments, sweeps, reports, runs, domains, tunings, heads or backbones."""
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "experiments": lambda: _files(config.Experiment),
        "sweeps": lambda: _files(config.Sweep),
        "reports": lambda: _files(config.Report),
        "worlds": lambda: _files(config.World),
        "runs": lambda: _runs(runs_root),
        "domains": _domains,
        "tunings": lambda: _methods(config.Tuning),
        "heads": lambda: _methods(config.Head),
        "backbones": _backbones,
    }
    return makers[kind]()


def shown(kind: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as a terminal of a hundred columns shows them."""
    return [_short(row) for row in rows] if kind == "domains" else rows


def _short(row: dict[str, Any]) -> dict[str, Any]:
    size, folder = row["evaluation_size"], row["folders"][0]
    return {
        "name": row["name"],
        "folder": folder if len(folder) <= 16 else f"…{folder[-15:]}",
        "splits": ", ".join(row["splits"]),
        "scored": f"{size[0]}x{size[1]}" if size else "own size",
        "about": textwrap.shorten(row["about"], ABOUT, placeholder="…"),
    }


def _files(kind: type) -> list[dict[str, Any]]:
    return [{"name": name, "about": _about(path)} for name, path in sorted(shipped(kind).items())]


def _about(path: Path) -> str:
    """The first comment, unless it is a command; then, as where there is none, the title of a report."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[0].lstrip("# ") if lines and lines[0].startswith("#") else ""
    if first and not first.startswith("rein "):
        return first
    return next((line.removeprefix("title:").strip() for line in lines if line.startswith("title:")), first)


def _runs(root: Path) -> list[dict[str, Any]]:
    rows = []
    for run in runs(root):
        status = run.status()
        try:
            experiment = run.experiment()
        except config.ConfigError as error:
            log.warning("%s is left out: %s", run.path, error)
            continue
        rows.append(
            {
                "run": run.id,
                "state": status.get("state", "to do"),
                "step": f"{status.get('step', 0)}/{experiment.steps}",
                "backbone": experiment.backbone.name,
                "tuning": experiment.tuning.method,
                "sources": ",".join(experiment.data.sources),
                "seed": experiment.seed,
            }
        )
    return rows


def _domains() -> list[dict[str, Any]]:
    domain_files.register_all()
    members = {name for family in FAMILIES for name in expand(family)}
    rows = [_domain(domain) for domain in DOMAINS.values() if domain.name not in members]
    return [
        *rows,
        _family("cityscapes-c", f"{len(CORRUPTIONS)} corruptions x {len(SEVERITIES)}; also cityscapes-c-fog"),
        _family("toy-c", f"{len(TOY_CORRUPTIONS)} corruptions x {len(TOY_SEVERITIES)} of toy-day"),
    ]


def _family(name: str, note: str) -> dict[str, Any]:
    return _domain(replace(DOMAINS[expand(name)[0]], name=name, note=note))


def _domain(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "folders": domain.folders,
        "splits": list(domain.splits),
        "evaluation_size": domain.evaluation_size,
        "about": domain.note,
    }


def _methods(union: Any) -> list[dict[str, Any]]:
    return [
        {"method": kind.method, "about": kind.__doc__.splitlines()[0], "keys": ", ".join(_keys(kind))}
        for kind in get_args(get_args(union)[0])
    ]


def _keys(kind: type) -> list[str]:
    return [f"{key}={value}" for key, value in config.flatten(kind()).items() if key != "method"]


def _backbones() -> list[dict[str, Any]]:
    from rein.models.vfm import known_backbones

    return known_backbones()
