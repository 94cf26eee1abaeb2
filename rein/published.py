"""Published numbers, each with the table and the paper that it stands in; never printed without their source."""

from __future__ import annotations

import re
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

#: What a domain is called in a setting -> the domain.
SETTING = {
    "GTAV": "gta", "Synthia": "synthia", "UrbanSyn": "urbansyn", "Citys": "cityscapes", "BDD": "bdd100k",
    "Map": "mapillary", "ACDC": "acdc", "Citys-C": "cityscapes-c",
}  # fmt: skip

#: A backbone as some table names it -> its short name in all others.
BACKBONES = {
    "ResNet50": "ResNet-50", "ResNet50 (ImageNet-1k)": "ResNet-50", "ResNet101": "ResNet-101",
    "ResNet101 (ImageNet-1k)": "ResNet-101", "ConvNeXt-L (ImageNet-21k)": "ConvNeXt-L", "ViT-S (DINOv2)": "DINOv2-S",
    "ViT-B (DINOv2)": "DINOv2-B", "CLIP-L (OpenAI ViT-L-14)": "CLIP-L", "EVA02-L (m38m p14to16)": "EVA02-L",
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
    #: The metric that the note is about; empty: the whole row.
    note_on: str = ""
    #: Whether a difference to it says something; where not, the note says why, and the number stands without one.
    compares: bool = True
    #: The side of the training crops where tables have rows that differ in nothing else.
    crop: int | None = None
    source: str
    #: `verified`: two independent sources agree; `single-source`: seen once.
    confidence: str

    @property
    def short_backbone(self) -> str | None:
        """The backbone by its short name, `DINOv2-L`."""
        return BACKBONES.get(self.backbone, self.backbone) if self.backbone else None

    @property
    def sources(self) -> tuple[str, ...]:
        """The domains that were trained on; what is none of ours stays as it is printed."""
        setting = self.setting.split(",")[0]
        return _domains(setting.rpartition("->")[0] or setting)

    @property
    def targets(self) -> tuple[str, ...]:
        """The domains that were scored, over which the mean is, though only some may be printed."""
        return _domains(self.setting.rpartition("->")[2])

    @property
    def domains(self) -> list[str]:
        """The domains that an mIoU is printed of."""
        return [name for name in self.miou if name != "avg"]

    @property
    def miou(self) -> dict[str, float]:
        """Domain -> mIoU; the mean over them as `avg` where it is printed."""
        named = {**DOMAINS, "avg": "avg"}
        return {named[key]: value for key, value in self.metrics.items() if key in named}

    @property
    def classes(self) -> dict[str, float]:
        """Class -> IoU; empty where none is printed."""
        printed: dict[str, float] = self.metrics.get("per_class", {})
        return {_CLASSES.get(name, name): value for name, value in printed.items()}

    def note_of(self, domain: str) -> str:
        """The note on the mIoU of a domain, on `avg`, or on another metric; empty where there is none."""
        crop = f"crops of {self.crop}" if self.crop else ""
        return "; ".join(filter(None, (self.note if self._noted(domain) else "", crop)))

    def compares_on(self, domain: str) -> bool:
        """Whether a difference to that number says something."""
        return self.compares or not self._noted(domain)

    def _noted(self, domain: str) -> bool:
        return not self.note_on or DOMAINS.get(self.note_on, self.note_on) == domain


def _domains(side: str) -> tuple[str, ...]:
    """One side of a setting, `UrbanSyn+GTAV+1/16 Citys train`."""
    names = (re.sub(r"^1/16 | train$| test$", "", part.strip()) for part in re.split(r"->|\+", side))
    return tuple(SETTING.get(name, name) for name in names)


#: A class as tables shorten it -> its name.
_CLASSES = {"light": "traffic light", "sign": "traffic sign"}


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
