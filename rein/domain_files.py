"""Data sets of one's own, each described by a file `domains/<name>.yaml`.

Files are looked for in `domains` of the working folder, then in the folders of the environment's REIN_DOMAINS. A run
keeps copies of those that it reads, so that it can be read anywhere and is never gone on with by another definition.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, PositiveInt

from rein.config import ConfigError, nearest
from rein.config_io import build, read_yaml
from rein.data import domains
from rein.data.domain import Domain, Layout, Split
from rein.data.label_tables import TABLES, Colour, LabelTable
from rein.data.listing import ENDINGS, names_in

log = logging.getLogger(__name__)

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class SplitFile:
    """Where a split's images and labels lie below the domain's folder; `*` stands for any part of a name."""

    __pydantic_config__ = _STRICT
    #: Pattern of the images' paths.
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
    #: Folder below the data folder, or an absolute one; None: the domain's name.
    root: str | None = None
    #: What is trained on; a domain that is a target alone needs none.
    train: SplitFile | None = None
    #: What is scored.
    val: SplitFile | None = None
    #: Stored id -> class, or the classes in the order of their ids; in the file also the name of a known table.
    ids: Annotated[dict[Annotated[int, Field(ge=0, le=65535)], Name] | None, BeforeValidator(_listed)] = None
    #: Class -> its colour [r, g, b], or several.
    colours: dict[str, Colours] = field(default_factory=dict)
    #: Channel that holds the id in multi-channel labels.
    channel: Annotated[int, Field(ge=0, le=3)] | None = None
    #: [width, height] that test images are resized into; None: their own size.
    evaluation_size: tuple[PositiveInt, PositiveInt] | None = None
    #: What `rein list domains` says of it.
    note: str = "a domain of one's own"


#: What is known through a file; a domain that Python code registered is none of these.
_registered: dict[str, Domain] = {}


def files() -> dict[str, Path]:
    """Name -> file of every domain of one's own."""
    found = [file for folder in reversed(_folders()) for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: file for file in found}


def find_file(name: str) -> Path | None:
    """The file that describes a domain, if there is one."""
    return next((file for folder in _folders() if (file := folder / f"{name}.yaml").is_file()), None)


def register(name: str, kept: Path | None = None) -> None:
    """Make a domain known if a file describes it; it stands before a shipped one. Raises ConfigError for its words.

    A run's folder `kept` of copies is asked where the working folder has no file. Without either, what an earlier file
    described is forgotten.
    """
    if path := find_file(name) or (kept and copy(name, kept)):
        _registered[name] = described(path)
        domains.register(_registered[name])
    elif (former := _registered.pop(name, None)) and domains.DOMAINS.get(name) is former:
        del domains.DOMAINS[name]
        if name in domains.SHIPPED:
            domains.register(domains.SHIPPED[name])


def register_all() -> None:
    """Make every domain of one's own known; a file that cannot be read is left out with a warning."""
    _register_readable(files())


def recall(kept: Path) -> None:
    """Make known what a run's folder of copies describes, but for domains that the working folder describes itself."""
    _register_readable(sorted(file.stem for file in kept.glob("*.yaml")), kept)


def _register_readable(names: Iterable[str], kept: Path | None = None) -> None:
    for name in names:
        try:
            register(name, kept)
        except ConfigError as error:
            log.warning("%s; the file is left out", error)


def described(path: Path) -> Domain:
    """The domain of a file. Raises ConfigError naming file and key."""
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


def copies(name: str) -> dict[str, str]:
    """Name -> content of the files that describe a domain by themselves, its lists of names among them."""
    path = find_file(name)
    if path is None:
        return {}
    described(path)
    values, texts = read_yaml(path), {}
    for key in ("train", "val"):
        if names := (values.get(key) or {}).get("names"):
            values[key]["names"] = f"{name}.{key}.txt"
            texts[f"{name}.{key}.txt"] = "".join(f"{line}\n" for line in names_in(path.parent / names))
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    return {**texts, f"{name}.yaml": text}


def changed(name: str, kept: Path) -> str | None:
    """What describes a domain now, if it means something else than the copy in a run's folder `kept`.

    A run without a copy had the shipped domain, if there is one of that name.
    """
    path = find_file(name)
    now, then = _meaning(described(path) if path else domains.SHIPPED.get(name)), _meaning(_kept(name, kept))
    if now is None or then is None or now == then:
        return None
    return str(path or "the shipped one")


def same(name: str, kept: Path, other: Path) -> bool:
    """Whether a domain meant the same to two runs, by their folders of copies."""
    return _meaning(_kept(name, kept)) == _meaning(_kept(name, other))


def copy(name: str, kept: Path) -> Path | None:
    """A run's copy of the file that describes a domain, if there is one."""
    path = kept.absolute() / f"{name}.yaml"
    return path if path.is_file() else None


def content(name: str, kept: Path) -> tuple[tuple[str, bytes], ...]:
    """A run's copies of the files that describe a domain: runs with the same ones need no comparison of meanings."""
    return tuple((path.name, path.read_bytes()) for path in sorted(kept.glob(f"{name}.*")))


def _kept(name: str, kept: Path) -> Domain | None:
    return described(path) if (path := copy(name, kept)) else domains.SHIPPED.get(name)


def _meaning(domain: Domain | None) -> object:
    """What of a domain can change numbers: equal for two files that say the same in other words."""
    if domain is None:
        return None
    names = [names_in(split.names) if split.names else None for split in domain.splits.values()]
    splits = {key: replace(split, names=None) for key, split in domain.splits.items()}
    return replace(domain, note="", splits=splits), names


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
    root = _root(rule.root or path.stem, path)
    return Domain(path.stem, (root,), splits, evaluation_size=rule.evaluation_size, note=rule.note)


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


def _root(root: str, path: Path) -> str:
    if ".." in root.split("/"):
        raise ConfigError(f"{path}: `root` is {root!r}: a folder below --data, or an absolute one, without `..`")
    return os.path.normpath(root)


def _pattern(pattern: str, path: Path, key: str) -> str:
    """A pattern without `./`; refused where it could match nothing."""
    parts = [part for part in pattern.split("/") if part != "."]
    ending = Path(parts[-1]).suffix.lower() if parts else ""
    wrong = (
        "`**` does not stand for several folders, give each a `*` of its own" if "**" in pattern
        else "it leads out of the domain's folder; `root` says where that is" if pattern[:1] == "/" or ".." in parts
        else f"its last part is no file name with an ending ({' '.join(ENDINGS)})" if ending not in (*ENDINGS, ".*")
        else None
    )  # fmt: skip
    if wrong:
        raise ConfigError(f"{path}: `{key}` is {pattern!r}: {wrong}; for example {key.partition('.')[2]}/*/*.png")
    return "/".join(filter(None, parts))


def _split(rule: SplitFile, table: LabelTable | None, path: Path, key: str) -> Split:
    images = _pattern(rule.images, path, f"{key}.images")
    pattern = _pattern(rule.labels, path, f"{key}.labels") if rule.labels else None
    if pattern and pattern.count("*") > images.count("*"):
        raise ConfigError(f"{path}: `{key}.labels` has more `*` than `{key}.images` ({images})")
    labels = ((pattern, table),) if pattern and table else ()
    names = path.parent / rule.names if rule.names else None
    if names and not names.is_file():
        raise ConfigError(f"{path}: `{key}.names`: {names} is not there")
    return Split((Layout(images, labels),), names=names)
