"""What can be named, for `rein list`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from rein import config, domain_files
from rein.config_io import shipped
from rein.data.domains import CORRUPTIONS, DOMAINS, FAMILIES, SEVERITIES, expand
from rein.data.street_scenes import CITYSCAPES_FOLDERS
from rein.ledger import runs

log = logging.getLogger(__name__)


def entries(kind: str, runs_root: Path) -> list[dict[str, Any]]:
    """Rows of one kind: experiments, sweeps, reports, runs, domains, tunings, heads or backbones."""
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "experiments": lambda: _files(config.Experiment),
        "sweeps": lambda: _files(config.Sweep),
        "reports": lambda: _files(config.Report),
        "runs": lambda: _runs(runs_root),
        "domains": _domains,
        "tunings": lambda: _methods(config.Tuning),
        "heads": lambda: _methods(config.Head),
        "backbones": _backbones,
    }
    return makers[kind]()


def _files(kind: type) -> list[dict[str, Any]]:
    return [{"name": name, "about": _first_comment(path)} for name, path in sorted(shipped(kind).items())]


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""


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
    rows = [
        {"name": d.name, "folder": d.folders[0], "splits": ",".join(d.splits), "about": d.note}
        for d in DOMAINS.values()
        if d.name not in members
    ]
    corrupted = f"Cityscapes val with {len(CORRUPTIONS)} corruptions of severity 1 to {max(SEVERITIES)}"
    family = {"name": "cityscapes-c", "folder": CITYSCAPES_FOLDERS[0], "splits": "val"}
    return [*rows, {**family, "about": f"{corrupted}; also cityscapes-c-fog (5) and cityscapes-c-fog-3 (1)"}]


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
