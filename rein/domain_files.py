"""Data sets of one's own, each described by a file `domains/<name>.yaml`.

Files are looked for in `domains` of the working folder, then in the folders of the environment's REIN_DOMAINS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PositiveInt

from rein.config import ConfigError, nearest
from rein.config_io import build, read_yaml
from rein.data import domains
from rein.data.domain import Domain, Layout, Split
from rein.data.label_tables import TABLES, Colour, LabelTable

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class SplitFile:
    """Where a split's images and labels lie below the domain's folder; `*` stands for any part of a name."""

    __pydantic_config__ = _STRICT
    images: str
    #: What `*` stood for in the image's path is put in its place; None where there are no labels.
    labels: str | None = None
    #: List of the images to keep, one a line; a path beside the domain's file.
    names: str | None = None


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _listed(value: Any) -> Any:
    return dict(enumerate(value)) if isinstance(value, list) else value


def _several(value: Any) -> Any:
    return [value] if isinstance(value, list) and value and not isinstance(value[0], list) else value


Name = Annotated[str, BeforeValidator(_one)]
Byte = Annotated[int, Field(ge=0, le=255)]
Colours = Annotated[tuple[tuple[Byte, Byte, Byte], ...], BeforeValidator(_several)]


@dataclass(frozen=True, kw_only=True)
class DomainFile:
    """A domain as its file describes it."""

    __pydantic_config__ = _STRICT
    #: Folder below the data folder; None: the domain's name.
    root: str | None = None
    train: SplitFile | None = None
    val: SplitFile | None = None
    #: Stored id -> class, or the classes in the order of their ids; in the file also the name of a known table.
    ids: Annotated[dict[Annotated[int, Field(ge=0, le=65535)], Name] | None, BeforeValidator(_listed)] = None
    #: Class -> its colour [r, g, b], or several.
    colours: dict[str, Colours] = field(default_factory=dict)
    #: Channel that holds the id in multi-channel labels.
    channel: Annotated[int, Field(ge=0, le=3)] | None = None
    evaluation_size: tuple[PositiveInt, PositiveInt] | None = None
    note: str = "a domain of one's own"


def files() -> dict[str, Path]:
    """Name -> file of every domain of one's own."""
    found = [file for folder in reversed(_folders()) for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: file for file in found}


def find_file(name: str) -> Path | None:
    """The file that describes a domain, if there is one."""
    return next((file for folder in _folders() if (file := folder / f"{name}.yaml").is_file()), None)


def register(name: str) -> None:
    """Make a domain known if a file describes it; it stands before a shipped one. Raises ConfigError for its words."""
    if path := find_file(name):
        stat = path.stat()
        domains.register(_read(path, stat.st_mtime_ns, stat.st_size))


def register_all() -> None:
    """Make every domain of one's own known."""
    for name in files():
        register(name)


def environment() -> dict[str, str]:
    """What a process in another working folder needs in its environment to find the same files."""
    found = [str(folder) for folder in _folders() if folder.is_dir()]
    return {"REIN_DOMAINS": os.pathsep.join(found)} if found else {}


def _folders() -> list[Path]:
    others = filter(None, os.environ.get("REIN_DOMAINS", "").split(os.pathsep))
    return list(dict.fromkeys(Path(folder).absolute() for folder in ("domains", *others)))


@lru_cache(maxsize=256)
def _read(path: Path, _changed: int, _size: int) -> Domain:
    values = read_yaml(path)
    named = _named_table(values.pop("ids"), path) if isinstance(values.get("ids"), str) else None
    rule = build(DomainFile, values, str(path))
    if not _splits(rule):
        raise ConfigError(f"{path}: neither `train` nor `val` says where images lie")
    table = _table(rule, named, path)
    splits = {key: _split(split, table, path, key) for key, split in _splits(rule).items()}
    return Domain(path.stem, (rule.root or path.stem,), splits, evaluation_size=rule.evaluation_size, note=rule.note)


def _named_table(name: str, path: Path) -> LabelTable:
    if name not in TABLES:
        raise ConfigError(f"{path}: `ids`: no table {name!r}{nearest(name, TABLES)}; known: {', '.join(TABLES)}")
    return TABLES[name]


def _splits(rule: DomainFile) -> dict[str, SplitFile]:
    return {name: split for name, split in (("train", rule.train), ("val", rule.val)) if split is not None}


def _table(rule: DomainFile, named: LabelTable | None, path: Path) -> LabelTable | None:
    given = [table for table in (named, rule.ids, rule.colours) if table]
    labelled = any(split.labels for split in _splits(rule).values())
    if len(given) != 1 and (given or labelled):
        raise ConfigError(f"{path}: `ids` or `colours`, and one of them alone, says what the labels' values mean")
    if rule.channel is not None and not rule.ids:
        raise ConfigError(f"{path}: `channel` belongs to `ids` that the file lists")
    if rule.colours:
        return LabelTable(_by_colour(rule.colours, path))
    return LabelTable(rule.ids, rule.channel) if rule.ids else named


def _by_colour(colours: Mapping[str, tuple[Colour, ...]], path: Path) -> dict[Colour, str]:
    names: dict[Colour, str] = {}
    for name, those in colours.items():
        for colour in those:
            if names.setdefault(colour, name) != name:
                raise ConfigError(f"{path}: `colours.{name}` is {list(colour)}, the colour of {names[colour]}")
    return names


def _split(rule: SplitFile, table: LabelTable | None, path: Path, key: str) -> Split:
    labels = ((rule.labels, table),) if rule.labels and table else ()
    if rule.labels and rule.labels.count("*") > rule.images.count("*"):
        raise ConfigError(f"{path}: `{key}.labels` has more `*` than `{key}.images` ({rule.images})")
    names = path.parent / rule.names if rule.names else None
    if names and not names.is_file():
        raise ConfigError(f"{path}: `{key}.names`: {names} is not there")
    return Split((Layout(rule.images, labels),), names=names)
