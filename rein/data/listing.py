"""Finding a domain's files: patterns, walked as fast as the disk lists folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rein.data.domain import DataError, Domain, Layout, Sample, Split

#: Endings of images and labels, in the order of preference where one name has several.
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Found:
    """What there is of a split: where, in which layout, its samples, and the images that have no label."""

    folder: Path
    layout: Layout
    samples: list[Sample]
    unlabelled: list[Path]


def samples(domain: Domain, split: str, root: Path) -> list[Sample]:
    """The images and labels of a split in the order of their paths.

    Raises DataError where the folder is not there, holds no such image, or images have no label.
    """
    found = look(domain, split, root)
    if found.unlabelled:
        tried = " or ".join(pattern for pattern, _ in found.layout.labels)
        raise DataError(
            f"{found.unlabelled[0]}: has no label ({tried} in {found.folder}), as {len(found.unlabelled)} of "
            f"{len(found.unlabelled) + len(found.samples)} images of {domain.name} ({split}); complete the folder, or "
            f"remove the images"
        )
    return found.samples


def look(domain: Domain, split: str, root: Path) -> Found:
    """What there is of a split; images without a label are listed apart. Raises DataError where there is no image."""
    rule = domain.splits[split]
    if domain.toy_style:
        from rein.data import toy

        toy.ensure(root / "toy", domain.toy_style)
    folders = [folder for name in domain.folders if (folder := _below(root, name)) is not None]
    for folder in folders:
        for layout in rule.layouts:
            if found := _find(folder, layout, rule, domain):
                return found
    places = " or ".join(str(root / name) for name in domain.folders)
    tried = " or ".join(layout.images for layout in rule.layouts)
    state = "holds no such file" if folders else "is not there"
    raise DataError(
        f"{domain.name} ({split}): looked for {tried} in {places}, which {state}; complete it, "
        f"or point --data (or REIN_DATA) at the folder that holds `{domain.folders[0]}`"
    )


def _below(root: Path, name: str) -> Path | None:
    """A folder by its path below another, whatever its case."""
    if (root / name).is_dir():
        return root / name
    where = root
    for part in name.split("/"):
        try:
            same = [entry.name for entry in os.scandir(where) if entry.name.lower() == part.lower() and entry.is_dir()]
        except OSError:
            return None
        if not same:
            return None
        where /= sorted(same)[0]
    return where


def _find(folder: Path, layout: Layout, rule: Split, domain: Domain) -> Found | None:
    images = sorted(_walk(str(folder), layout.images))
    if rule.prefixes:
        images = [(path, parts) for path, parts in images if os.path.basename(path).startswith(rule.prefixes)]
    if not images:
        return None
    pairs, unlabelled = [], []
    labels = _Labels(folder)
    for path, parts in images:
        for pattern, table in layout.labels:
            if label := labels.find(pattern, parts):
                pairs.append(Sample(Path(path), Path(label), table, layout.halve, domain.corruption))
                break
        else:
            unlabelled.append(Path(path))
    return Found(folder, layout, pairs, unlabelled)


def _walk(where: str, pattern: str, parts: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(path, what every star stood for) of all files of a pattern below a folder."""
    part, _, rest = pattern.partition("/")
    match = _matcher(part, is_file=not rest)
    try:
        entries = list(os.scandir(where))
    except OSError:
        return
    hits = [(entry, hit.groups()) for entry in entries if (hit := match(entry.name))]
    if not rest:
        written = os.path.splitext(part)[1].lower()
        exact = [hit for hit in hits if hit[0].name.lower().endswith(written)] if written != ".*" else hits
        yield from ((entry.path, parts + stars) for entry, stars in exact or hits if entry.is_file())
        return
    for entry, stars in hits:
        if entry.is_dir():
            yield from _walk(entry.path, rest, parts + stars)


@cache
def _matcher(part: str, is_file: bool):
    if is_file:
        part = os.path.splitext(part)[0]
    text = re.escape(part).replace(r"\*", "(.*)")
    if is_file:
        text += "(?:" + "|".join(map(re.escape, ENDINGS)) + ")"
    return re.compile(text, re.IGNORECASE).fullmatch


class _Labels:
    """Which labels there are: every folder is listed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.listed: dict[str, dict[str, str]] = {}

    def find(self, pattern: str, parts: tuple[str, ...]) -> str | None:
        """The file that a label's pattern stands for."""
        stars = iter(parts)
        *folders, name = re.sub(r"\*", lambda _: next(stars, "*"), os.path.splitext(pattern)[0]).split("/")
        where = self.folder
        for part in folders:
            entry = self._names(where).get(part.lower())
            if entry is None:
                return None
            where = os.path.join(where, entry)
        names = self._names(where)
        for ending in ENDINGS:
            if entry := names.get(name.lower() + ending):
                return os.path.join(where, entry)
        return None

    def _names(self, where: str) -> dict[str, str]:
        if where not in self.listed:
            try:
                self.listed[where] = {name.lower(): name for name in os.listdir(where)}
            except OSError:
                self.listed[where] = {}
        return self.listed[where]
