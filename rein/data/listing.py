"""Finding a domain's files: patterns, walked as fast as the disk lists folders."""

from __future__ import annotations

import codecs
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
    if not found.unlabelled:
        return found.samples
    what = f"{domain.name} ({split})"
    if not found.layout.labels:
        raise DataError(f"{what}: its {len(found.unlabelled)} images in {found.folder} have no labels by design")
    tried = " or ".join(pattern for pattern, _ in found.layout.labels)
    if not found.samples:
        raise DataError(
            f"{what}: none of its {len(found.unlabelled)} images in {found.folder} has a label ({tried}); "
            f"unpack the labels beside them"
        )
    raise DataError(
        f"{found.unlabelled[0]}: has no label ({tried} in {found.folder}), as {len(found.unlabelled)} of "
        f"{len(found.unlabelled) + len(found.samples)} images of {what}; complete the folder, or remove the images; "
        f"`rein check {domain.name}` lists all, data.on_error=skip goes on without them"
    )


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
        images = [(path, stars) for path, stars in images if os.path.basename(path).startswith(rule.prefixes)]
    if rule.names and images:
        images = _named(images, rule.names)
    if not images:
        return None
    listed: dict[str, dict[str, str]] = {}
    labels = [_Labels(str(folder), pattern, listed) for pattern, _ in layout.labels]
    pairs, unlabelled = [], []
    for path, stars in images:
        for label, (_, table) in zip(labels, layout.labels, strict=True):
            if there := label.find(path, stars):
                pairs.append((path, there, table))
                break
        else:
            unlabelled.append(path)
    masks = {label for _, label, _ in pairs}  # in one folder with their images they look like images themselves
    return Found(
        folder,
        layout,
        [
            Sample(Path(image), Path(label), table, layout.halve, domain.corruption)
            for image, label, table in pairs
            if image not in masks
        ],
        [Path(path) for path in unlabelled if path not in masks],
    )


def _named(images: list[tuple[str, tuple[str, ...]]], names: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Those that a file lists, one a line: by the end of their path or by what the last star stands for.

    Of a line that names no image the first word is tried: lists of image and label have both in one line.
    """
    known: dict[str, list[int]] = {}
    for index, (path, stars) in enumerate(images):
        for key in {*_endings_of(os.path.splitext(path)[0]), *stars[-1:]}:
            known.setdefault(key, []).append(index)
    kept: set[int] = set()
    for line in filter(None, map(str.strip, names_in(names))):
        tried = (os.path.splitext(line)[0], line, os.path.splitext(line.split()[0])[0])
        hits = next((known[key] for key in (key.lstrip("./") for key in tried) if key in known), [])
        if len(hits) != 1:
            state = "is no image of the split" if not hits else f"is the name of {len(hits)} images; give their paths"
            raise DataError(f"{names}: {line!r} {state}, for example {images[0][0]}")
        kept.update(hits)
    return [image for index, image in enumerate(images) if index in kept]


def names_in(path: Path) -> list[str]:
    """The lines of a list of names: UTF-8, or UTF-16 with its mark; `\\` between folders is `/`. Raises DataError."""
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        return content.decode(encoding).replace("\\", "/").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a list of names ({error}); save it as UTF-8 text") from None


def _endings_of(path: str) -> Iterator[str]:
    """`c`, `b/c`, `a/b/c` of `/a/b/c`."""
    start = len(path)
    while (start := path.rfind("/", 0, start)) >= 0:
        yield path[start + 1 :]


def _walk(where: str, pattern: str, stars: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(path, what every star stood for) of all files of a pattern below a folder."""
    part, _, rest = pattern.partition("/")
    match = _matcher(part, is_file=not rest)
    hits = [(entry, hit.groups()) for entry in _scan(where) if (hit := match(entry.name))]
    if rest:
        for entry, found in hits:
            if entry.is_dir():
                yield from _walk(entry.path, rest, stars + found)
        return
    best: dict[tuple[str, ...], tuple[int, str]] = {}
    written = os.path.splitext(part)[1].lower()
    for entry, (*found, ending) in hits:
        rank = -1 if ending.lower() == written else ENDINGS.index(ending.lower())
        name = entry.name[: -len(ending)], *found
        # A dangling link stays, so that it is missed; macOS's `._` files are no images.
        if not entry.name.startswith("._") and not entry.is_dir() and (name not in best or rank < best[name][0]):
            best[name] = rank, entry.path
    yield from ((path, (*stars, *found)) for (_, *found), (_, path) in best.items())


def _scan(where: str) -> list[os.DirEntry[str]]:
    """A folder's entries; none where it is not there. Raises DataError where it cannot be read."""
    try:
        with os.scandir(where) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{where}: the folder cannot be read ({error.strerror}); correct its permissions") from None


@cache
def _matcher(part: str, is_file: bool):
    if is_file:
        part = os.path.splitext(part)[0]
    text = re.escape(part).replace(r"\*", "(.*)")
    if is_file:
        text += "(" + "|".join(map(re.escape, ENDINGS)) + ")"
    return re.compile(text, re.IGNORECASE).fullmatch


class _Labels:
    """Finds the labels of one pattern, whatever the case of their names; `listed` keeps what every folder holds."""

    def __init__(self, folder: str, pattern: str, listed: dict[str, dict[str, str]]) -> None:
        *folders, name = (part.split("*") for part in os.path.splitext(pattern)[0].split("/"))
        self.folder, self.folders, self.name = folder, folders, name
        self.listed = listed
        self.reached: dict[tuple[str, ...], str | None] = {}

    def find(self, image: str, stars: tuple[str, ...]) -> str | None:
        """The label file of an image, if there is one."""
        above = sum(len(part) - 1 for part in self.folders)  # stars in the folders' names
        if stars[:above] not in self.reached:
            self.reached[stars[:above]] = self._reach(stars)
        if (where := self.reached[stars[:above]]) is None:
            return None
        names, name = self._names(where), _fill(self.name, stars[above:]).lower()
        for ending in ENDINGS:
            if (entry := names.get(name + ending)) and (path := f"{where}/{entry}") != image:
                return path
        return None

    def _reach(self, stars: tuple[str, ...]) -> str | None:
        where = self.folder
        for part in self.folders:
            entry = self._names(where).get(_fill(part, stars).lower())
            if entry is None:
                return None
            where, stars = f"{where}/{entry}", stars[len(part) - 1 :]
        return where

    def _names(self, where: str) -> dict[str, str]:
        if where not in self.listed:
            self.listed[where] = {entry.name.lower(): entry.name for entry in _scan(where)}
        return self.listed[where]


def _fill(parts: list[str], stars: tuple[str, ...]) -> str:
    """A pattern, split at its stars, with something in the place of each."""
    return "".join(part + star for part, star in zip(parts, (*stars[: len(parts) - 1], ""), strict=True))
