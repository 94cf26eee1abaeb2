"""Finding a domain's files: patterns, walked as fast as the disk lists folders."""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from rein.data.domain import DataError, Domain, Layout, Sample, Split
from rein.data.domains import DOMAINS
from rein.data.folders import below, caseless, holds, not_known, reached
from rein.data.label_tables import LabelTable

#: Endings of images and labels, in the order of preference where one name has several.
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


#: A path, and what every star of the pattern stood for.
_Image = tuple[str, tuple[str, ...]]
_Match = Callable[[str], re.Match[str] | None]


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
    patterns = [pattern for pattern, _ in found.layout.labels]
    tried = alternatives(patterns)
    if not found.samples:
        place = reached(found.folder, patterns)
        raise DataError(
            f"{what}: none of its {len(found.unlabelled)} images in {found.folder} has a label ({tried}; {place} "
            f"holds {holds(place)}); unpack the labels beside them"
        )
    raise DataError(
        f"{found.unlabelled[0]}: has no label ({tried} in {found.folder}), as {len(found.unlabelled)} of "
        f"{len(found.unlabelled) + len(found.samples)} images of {what}; complete the folder, or remove the images; "
        f"`rein check {domain.name}` lists all, data.on_error=skip goes on without them"
    )


def look(domain: Domain, split: str, root: Path) -> Found:
    """What there is of a split; images without a label are listed apart. Raises DataError where there is no image."""
    if domain.toy_style:
        from rein.data import toy

        toy.ensure(root / "toy", domain.toy_style)
    rule = domain.splits[split]
    folders = [folder for name in domain.folders for folder in below(root, name)]
    bare: Found | None = None
    for folder in folders:
        for layout in rule.layouts:
            found = _find(folder, layout, rule, domain)
            if found and found.samples:
                return found
            bare = bare or found
    if bare:
        return bare
    tried = alternatives([layout.images for layout in rule.layouts])
    raise DataError(
        f"{domain.name} ({split}): looked for {tried} in {_state(domain, rule, root, folders)}; complete it, "
        f"or point --data (or REIN_DATA) at the folder that holds `{domain.folders[0]}`"
    )


def alternatives(patterns: Iterable[str]) -> str:
    """`a or b`, or of many patterns the first and how many others there are."""
    first, *others = dict.fromkeys(patterns)
    return " or ".join([first, *others]) if len(others) < 3 else f"{first} or {len(others)} other patterns"


def _state(domain: Domain, rule: Split, root: Path, folders: list[Path]) -> str:
    """Where a domain was looked for in vain, and what lies there instead."""
    if folders:
        places = [reached(folder, [layout.images for layout in rule.layouts]) for folder in dict.fromkeys(folders)]
        there = "; ".join(f"{place} holds {holds(place)}" for place in places)
        return f"{' and '.join(map(str, dict.fromkeys(folders)))}, where there is no such file ({there})"
    first, *others = domain.folders
    place = f"{root / first} (or {', '.join(others)})" if others else str(root / first)
    if not root.is_dir():
        return f"{place}, and {root} does not exist"
    strange = not_known(root, (path for known in (*DOMAINS.values(), domain) for path in known.folders))
    return f"{place}, which is not there{f' ({strange})' if strange else ''}"


def _find(folder: Path, layout: Layout, rule: Split, domain: Domain) -> Found | None:
    images = sorted(_walk(str(folder), layout.images))
    if rule.prefixes:
        images = [(path, stars) for path, stars in images if os.path.basename(path).startswith(rule.prefixes)]
    if rule.names and images:
        images = _named(images, rule.names)
    if not images:
        return None
    listed: dict[str, _Names] = {}
    places = [(_Labels(str(folder), pattern, listed), table) for pattern, table in layout.labels]
    labels = _paired(images, places)
    masks = {label for label, _ in filter(None, labels)}
    if len(masks) + labels.count(None) < len(labels):  # some share a label: perhaps their names differ in case alone
        labels = _paired(images, places, exact=_alike(images))
    # In one folder with their images they look like images themselves.
    pairs = [(path, label) for (path, _), label in zip(images, labels, strict=True) if path not in masks]
    return Found(
        folder,
        layout,
        [
            Sample(Path(path), Path(label[0]), label[1], layout.halve, domain.corruption)
            for path, label in pairs
            if label
        ],
        [Path(path) for path, label in pairs if not label],
    )


def _paired(
    images: list[_Image], places: list[tuple[_Labels, LabelTable]], exact: Container[str] = ()
) -> list[tuple[str, LabelTable] | None]:
    """The label of every image with its table, the first that is there; of exactly the name for those of `exact`."""
    found: list[tuple[str, LabelTable] | None] = []
    for path, stars in images:
        for labels, table in places:
            if label := labels.find(path, stars, path in exact):
                found.append((label, table))
                break
        else:
            found.append(None)
    return found


def _alike(images: list[_Image]) -> set[str]:
    """The images whose names differ from another's in case or ending alone."""
    names = [caseless(os.path.splitext(path)[0]) for path, _ in images]
    numbers = Counter(names)
    return {path for (path, _), name in zip(images, names, strict=True) if numbers[name] > 1}


def _named(images: list[_Image], names: Path) -> list[_Image]:
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
    hits = [(entry, hit.groups()) for entry in _scan(where) if (hit := match(entry.name) or _composed(match, entry))]
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


def _composed(match: _Match, entry: os.DirEntry[str]) -> re.Match[str] | None:
    """A name in macOS' decomposed letters against a pattern in composed ones."""
    return None if entry.name.isascii() else match(unicodedata.normalize("NFC", entry.name))


@cache
def _matcher(part: str, is_file: bool) -> _Match:
    part = unicodedata.normalize("NFC", part)
    if is_file:
        part = os.path.splitext(part)[0]
    text = re.escape(part).replace(r"\*", "(.*)")
    if is_file:
        text += "(" + "|".join(map(re.escape, ENDINGS)) + ")"
    return re.compile(text, re.IGNORECASE).fullmatch


class _Names:
    """What a folder holds, by names without case: all of it, and its images by their names without ending."""

    def __init__(self, where: str) -> None:
        self.names = [entry.name for entry in _scan(where)]

    @cached_property
    def all(self) -> dict[str, tuple[str, ...]]:
        return _gathered((caseless(name), name) for name in self.names)

    @cached_property
    def images(self) -> dict[str, tuple[str, ...]]:
        parts = ((*os.path.splitext(name), name) for name in self.names)
        return _gathered((caseless(stem), name) for stem, ending, name in parts if ending.lower() in ENDINGS)


class _Labels:
    """Finds the labels of one pattern: of exactly the name, else whatever its case; `listed` keeps folders' names."""

    def __init__(self, folder: str, pattern: str, listed: dict[str, _Names]) -> None:
        *folders, name = (part.split("*") for part in os.path.splitext(pattern)[0].split("/"))
        self.folder, self.folders, self.name = folder, folders, name
        self.listed = listed
        self.reached: dict[tuple[str, ...], str | None] = {}

    def find(self, image: str, stars: tuple[str, ...], exact: bool = False) -> str | None:
        """The label file of an image, if there is one; `exact` where another case is another image's.

        Raises DataError where there are several and none is called exactly so.
        """
        above = sum(len(part) - 1 for part in self.folders)  # stars in the folders' names
        if stars[:above] not in self.reached:
            self.reached[stars[:above]] = self._reach(stars)
        if (where := self.reached[stars[:above]]) is None:
            return None
        name = _fill(self.name, stars[above:])
        there = self._names(where).images.get(caseless(name))
        if not there:
            return None
        if len(there) == 1 and not exact:  # as nearly always
            path = f"{where}/{there[0]}"
            return path if path != image else None
        there = [entry for entry in there if f"{where}/{entry}" != image]
        same = [entry for entry in there if os.path.splitext(entry)[0] == name]
        chosen = same if same or exact else _of_one_name(there, where, image)
        return f"{where}/{min(chosen, key=_rank)}" if chosen else None

    def _reach(self, stars: tuple[str, ...]) -> str | None:
        where = self.folder
        for part in self.folders:
            name = _fill(part, stars)
            if name == "..":
                where = os.path.dirname(where)
                continue
            there = self._names(where).all.get(caseless(name), ())
            if not there:
                return None
            entry = name if name in there else _of_one_name(there, where, name)[0]
            where, stars = f"{where}/{entry}", stars[len(part) - 1 :]
        return where

    def _names(self, where: str) -> _Names:
        if where not in self.listed:
            self.listed[where] = _Names(where)
        return self.listed[where]


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for key, name in pairs:
        groups[key] = (*groups[key], name) if key in groups else (name,)
    return groups


def _of_one_name(entries: Sequence[str], where: str, sought: str) -> Sequence[str]:
    """The entries, which differ in their endings alone. Raises DataError where they differ in case."""
    if len({os.path.splitext(entry)[0] for entry in entries}) > 1:
        raise DataError(
            f"{where}: {' and '.join(sorted(entries))} differ in case alone, and none is called exactly as "
            f"{os.path.basename(sought)} is; rename them"
        )
    return entries


def _rank(entry: str) -> int:
    return ENDINGS.index(os.path.splitext(entry)[1].lower())


def _fill(parts: list[str], stars: tuple[str, ...]) -> str:
    """A pattern, split at its stars, with something in the place of each."""
    return "".join(part + star for part, star in zip(parts, (*stars[: len(parts) - 1], ""), strict=True))
