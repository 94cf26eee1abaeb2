"""Published numbers, each with the table and the paper that it stands in; never printed without their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rein.config import ConfigError, nearest
from rein.config_io import LOADER

FILE = Path(__file__).parent / "assets" / "published.yaml"

#: What a metric is called there -> the domain that it is the mIoU of.
DOMAINS = {
    "citys": "cityscapes", "bdd": "bdd100k", "map": "mapillary", "acdc_all": "acdc", "acdc_fog": "acdc-fog",
    "acdc_night": "acdc-night", "acdc_rain": "acdc-rain", "acdc_snow": "acdc-snow", "citys_c": "cityscapes-c",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Published:
    """One row of a published table; numbers as printed, mIoU in percent."""

    table: str
    #: Domains as `GTAV->Citys+BDD+Map`.
    setting: str
    method: str
    backbone: str | None = None
    head: str | None = None
    #: Millions of trainable parameters, the head's not counted.
    trainable_params_m: float | None = None
    metrics: Mapping[str, Any]
    token_length: int | None = None
    rank: int | None = None
    venue: str | None = None
    note: str = ""
    source: str
    #: `verified`: two independent sources agree; `single-source`: seen once.
    confidence: str

    @property
    def miou(self) -> dict[str, float]:
        """Domain -> mIoU; the mean over them as `avg` where it is printed."""
        named = {**DOMAINS, "avg": "avg"}
        return {named[key]: value for key, value in self.metrics.items() if key in named}

    @property
    def classes(self) -> dict[str, float]:
        """Class, as the file names it -> IoU; empty where none is printed."""
        return dict(self.metrics.get("per_class", {}))


@cache
def tables() -> dict[str, tuple[Published, ...]]:
    """Every table by its name (`Rein T2`), its rows in the printed order."""
    known = {field.name for field in fields(Published)}
    found: dict[str, list[Published]] = {}
    for entry in yaml.load(FILE.read_text(encoding="utf-8"), LOADER):
        row = Published(**{key: value for key, value in entry.items() if key in known})
        found.setdefault(row.table, []).append(row)
    return {name: tuple(rows) for name, rows in found.items()}


def rows(table: str) -> tuple[Published, ...]:
    """The rows of one table. Raises ConfigError for a table that there is not."""
    if table not in tables():
        raise ConfigError(f"`published`: no table {table!r}{nearest(table, tables())}; known: {', '.join(tables())}")
    return tables()[table]
