"""What lies in folders, for people: found whatever the case of a name, listed shortly, and what no domain knows."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

#: Names that are listed of one folder.
NAMED = 5


def caseless(name: str) -> str:
    """What names have in common that differ in case, or in how macOS and others compose their letters."""
    return (name if name.isascii() else unicodedata.normalize("NFC", name)).lower()


def below(root: Path, path: str) -> list[Path]:
    """The folders of that path below another: the one of exactly that name, or all that differ in case alone."""
    if (root / path).is_dir():
        return [root / path]
    places = [root]
    for part in path.split("/"):
        same = (entry for place in places for entry in _entries(place) if caseless(entry.name) == caseless(part))
        places = sorted(Path(entry.path) for entry in same if entry.is_dir())
    return places


def holds(folder: Path) -> str:
    """`gtFine/, readme.txt and 3 more`, or `nothing`; links to nothing are named as such."""
    entries = sorted(_entries(folder), key=lambda entry: (not entry.is_dir(), entry.name))
    return _listed([_dangling(entry) or entry.name + "/" * entry.is_dir() for entry in entries]) or "nothing"


def reached(folder: Path, patterns: Iterable[str]) -> Path:
    """The deepest folder that is there of the way to the files of any of some patterns."""
    places = [_reached(folder, pattern) for pattern in patterns if not pattern.startswith("..")]
    return max(places, key=lambda place: len(place.parts), default=folder)


def not_known(root: Path, known: Iterable[str]) -> str:
    """Folders and links to nothing below a data folder that no domain has, with the known name that is nearest.

    `known` are the paths of all domains' folders. Nothing is said of files, and of a folder whose name has a dot first.
    """
    names = {caseless(path.split("/")[0]) for path in known}
    entries = sorted(_entries(root), key=lambda entry: entry.name)
    links = [text for entry in entries if (text := _dangling(entry, " is ", ""))]
    strange = [entry.name for entry in entries if entry.is_dir() and caseless(entry.name) not in names]
    near = {name: difflib.get_close_matches(caseless(name), names, n=1, cutoff=0.7) for name in strange}
    strange.sort(key=lambda name: not near[name])
    words = _listed([f"{name} ({near[name][0]}?)" if near[name] else name for name in strange])
    return "; ".join([*([f"not known: {words}"] if words else []), *links[:NAMED]])


def _reached(folder: Path, pattern: str) -> Path:
    for part in pattern.split("/")[:-1]:
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir()] if part == "*" else below(folder, part)
        if not inside:
            break
        folder = inside[0]
    return folder


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Without hidden ones; none of a folder that is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []


def _dangling(entry: os.DirEntry[str], before: str = " (", behind: str = ")") -> str:
    """`gta (a link to /nowhere, which is not there)`, or nothing of any other entry."""
    if not entry.is_symlink() or Path(entry.path).exists():
        return ""
    return f"{entry.name}{before}a link to {Path(entry.path).readlink()}, which is not there{behind}"


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - NAMED:,} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more
