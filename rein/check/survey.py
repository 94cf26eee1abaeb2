"""Which splits there are to check, and which files they have: names and folders alone, nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from rein.config_io import check_domain
from rein.data.domain import DataError, Domain, Layout, Split
from rein.data.domains import DOMAINS, find
from rein.data.listing import Found, look

_Any = TypeVar("_Any")


@dataclass(frozen=True)
class Survey:
    """One split of a domain: what was found, or why nothing was."""

    domain: Domain
    split: str
    found: Found | None = None
    #: Why there is nothing.
    missing: str = ""
    #: Whether another split of the domain is there.
    partial: bool = False
    #: Label files that belong to no image.
    orphans: list[Path] = field(default_factory=list)


def survey(names: Sequence[str], root: Path) -> list[Survey]:
    """Every split of the named domains; without names, of all whose folder is there.

    Raises ConfigError for an unknown name.
    """
    surveys = [_survey(domain, split, root) for domain in _domains(names or there(root)) for split in domain.splits]
    some = {item.domain.name for item in surveys if item.found}
    return [replace(item, partial=item.domain.name in some) for item in surveys]


def there(root: Path) -> list[str]:
    """The domains that have a folder below `root`; one that others' files are read for (Cityscapes-C) is none."""
    return [
        name
        for name, domain in DOMAINS.items()
        if domain.corruption is None and any(_is_there(root, folder) for folder in domain.folders)
    ]


def spaced(items: Sequence[_Any], number: int) -> list[_Any]:
    """At most so many, evenly spaced over all."""
    if number >= len(items):
        return list(items)
    return [items[i * len(items) // number] for i in range(number)]


def _domains(names: Iterable[str]) -> list[Domain]:
    """The domains that names stand for; the corruptions of a family are of the same files and count once."""
    chosen: dict[str, Domain] = {}
    for name in names:
        check_domain(name)
        domain = find(name)
        chosen.setdefault(name, replace(domain, name=name, corruption=None))
    return list(chosen.values())


def _is_there(root: Path, folder: str) -> bool:
    places = [root]
    for part in folder.lower().split("/"):
        places = [
            child for place in places if place.is_dir() for child in place.iterdir() if child.name.lower() == part
        ]
    return any(place.is_dir() for place in places)


def _survey(domain: Domain, split: str, root: Path) -> Survey:
    try:
        found = look(domain, split, root)
    except DataError as error:
        return Survey(domain, split, missing=str(error))
    # As the files are: no corruption is read from the disk.
    found = replace(found, samples=[replace(sample, corruption=None) for sample in found.samples])
    return Survey(domain, split, found, orphans=_orphans(found))


def _orphans(found: Found) -> list[Path]:
    """Labels in the places that the layout names which are no image's, whatever prefixes the split keeps to."""
    labels: set[Path] = set()
    claimed: set[Path] = set()
    for pattern, table in found.layout.labels:
        labels |= set(_listed(found.folder, pattern))
        pairs = _look(found.folder, Layout(found.layout.images, ((pattern, table),)))
        claimed |= {sample.label for sample in pairs.samples} if pairs else set()
    return sorted(labels - claimed)


def _listed(folder: Path, pattern: str) -> list[Path]:
    """All files of a pattern: as images without labels."""
    found = _look(folder, Layout(pattern, ()))
    return found.unlabelled if found else []


def _look(folder: Path, layout: Layout) -> Found | None:
    try:
        return look(Domain("", (str(folder),), {"": Split((layout,))}), "", folder)
    except DataError:
        return None
