"""What the data of every split are like, counted over its files, with what is wrong with them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rein.check.examine import examine_all
from rein.check.finding import Finding, Pairs, table_name, written
from rein.check.pair import Pair, names_by_value
from rein.check.problems import problems
from rein.check.remarks import remarks
from rein.check.survey import Survey, spaced
from rein.data.classes import CLASSES
from rein.data.domain import Sample
from rein.data.folders import caseless
from rein.data.listing import Found

#: Pairs of a split that are read unless a number is asked for: all of most data sets.
FILES = 5_000


@dataclass(frozen=True)
class Split:
    """One split of a domain as `rein check --json` prints it. Shares are of the pixels of the labels that were read."""

    domain: str
    split: str
    folder: str | None = None
    image_pattern: str | None = None
    #: {pattern, table, files}, in the order of preference.
    labels: list[dict[str, Any]] = field(default_factory=list)
    #: Whether images and labels are brought to half their size when they are read; sizes here are the files'.
    halved: bool = False
    #: {images, expected, unlabelled, labels_without_image, read, unusable}
    counts: dict[str, int | None] = field(default_factory=dict)
    #: {width, height, files}, the commonest first.
    image_sizes: list[dict[str, int]] = field(default_factory=list)
    label_sizes: list[dict[str, int]] = field(default_factory=list)
    #: {table, value, class, pixels, files} of every value that occurs; the class is null for an unknown one.
    values: list[dict[str, Any]] = field(default_factory=list)
    #: Class -> {share, images}, of those that the label tables name.
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    void: dict[str, float] = field(default_factory=dict)
    #: Classes that the tables name and no label shows, and those of the 19 that no table names.
    never: list[str] = field(default_factory=list)
    not_labelled: list[str] = field(default_factory=list)
    #: Of one process, decoding images and labels one after the other.
    images_per_second: float | None = None
    megabytes_per_second: float | None = None
    problems: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)


def check_data(surveys: Sequence[Survey], files: int = FILES, workers: int | None = None) -> list[dict[str, Any]]:
    """One mapping per split, with the fields of `Split`; at most `files` pairs of each are read, evenly spaced."""
    chosen = [spaced(item.found.samples if item.found else [], files) for item in surveys]
    seen = examine_all(list(dict.fromkeys(sample for samples in chosen for sample in samples)), workers)
    read = [{sample: seen[sample] for sample in samples} for samples in chosen]
    train = {item.domain.name: pairs for item, pairs in zip(surveys, read, strict=True) if item.split == "train"}
    return [asdict(_split(item, pairs, train)) for item, pairs in zip(surveys, read, strict=True)]


def totals(machine: Sequence[Mapping[str, Any]], splits: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many domains and images were looked at, and how many problems and remarks there are."""
    rows = (*machine, *splits)
    return {
        "domains": len({row["domain"] for row in splits if row["folder"]}),
        "images": sum(row["counts"]["read"] for row in splits),
        "problems": sum(len(row["problems"]) for row in rows),
        "remarks": sum(len(row["remarks"]) for row in rows),
    }


def _split(item: Survey, pairs: Pairs, trained: Mapping[str, Pairs]) -> Split:
    others = {} if item.split == "train" else dict(trained)
    train = others.pop(item.domain.name, {})
    return Split(
        domain=item.domain.name,
        split=item.split,
        folder=str(item.found.folder) if item.found else None,
        image_pattern=item.found.layout.images if item.found else None,
        labels=_labels(item.found) if item.found else [],
        halved=bool(item.found and item.found.layout.halve),
        counts=_counts(item, pairs),
        image_sizes=_sizes(pair.image_size for pair in pairs.values()),
        label_sizes=_sizes(pair.label_size for pair in pairs.values()),
        values=_values(pairs),
        **_classes(item.found, pairs),
        **_speed(pairs.values()),
        problems=problems(item, pairs, train, others),
        remarks=remarks(item, pairs, train),
    )


def _counts(item: Survey, pairs: Pairs) -> dict[str, int | None]:
    labelled, unlabelled = (len(item.found.samples), len(item.found.unlabelled)) if item.found else (0, 0)
    return {
        "images": labelled + unlabelled,
        "expected": item.domain.splits[item.split].count,
        "unlabelled": unlabelled,
        "labels_without_image": len(item.orphans),
        "read": len(pairs),
        "unusable": sum(bool(pair.troubles) for pair in pairs.values()),
    }


def _labels(found: Found) -> list[dict[str, Any]]:
    numbers = Counter(_pattern(found, sample) for sample in found.samples)
    return [
        {"pattern": pattern, "table": table_name(table), "files": numbers[pattern]}
        for pattern, table in found.layout.labels
    ]


def _pattern(found: Found, sample: Sample) -> str | None:
    """The pattern of the layout that a sample's label was found by."""
    path = caseless(os.path.relpath(sample.label.with_suffix(""), found.folder))
    fits = (
        pattern
        for pattern, table in found.layout.labels
        if table == sample.table and fnmatchcase(path, caseless(str(Path(pattern).with_suffix(""))))
    )
    return next(fits, None)


def _sizes(sizes: Iterable[tuple[int, int] | None]) -> list[dict[str, int]]:
    numbers = Counter(size for size in sizes if size)
    return [{"width": size[0], "height": size[1], "files": number} for size, number in numbers.most_common()]


def _values(pairs: Pairs) -> list[dict[str, Any]]:
    pixels, files = Counter[tuple[Any, int]](), Counter[tuple[Any, int]]()
    for sample, pair in pairs.items():
        for value, number in (*pair.values, *pair.unknown):
            pixels[sample.table, value] += number
            files[sample.table, value] += 1
    return [
        {
            "table": table_name(table),
            "value": written(value, table) if table.coloured else value,
            "class": names_by_value(table).get(value),
            "pixels": number,
            "files": files[table, value],
        }
        for (table, value), number in sorted(pixels.items(), key=lambda entry: (table_name(entry[0][0]), entry[0][1]))
    ]


def _classes(found: Found | None, pairs: Pairs) -> dict[str, Any]:
    """The fields `classes`, `void`, `never` and `not_labelled`; ids that no table knows count as void."""
    tables = {sample.table for sample in pairs} or ({table for _, table in found.layout.labels} if found else set())
    named = {name: None for table in tables for name in table.names.values() if name != "void"}
    known = [name for name in CLASSES if name in named] + [name for name in named if name not in CLASSES]
    pixels, images = Counter[str](), Counter[str]()
    for sample, pair in pairs.items():
        mine = _pixels_by_class(sample, pair)
        pixels.update(mine)
        images.update(mine.keys())
    total = sum(pixels.values())
    rows = {
        name: {"share": pixels[name] / total if total else 0.0, "images": images[name]} for name in (*known, "void")
    }
    return {
        "void": rows.pop("void"),
        "classes": rows,
        "never": [name for name in rows if not images[name]],
        # Of a domain with classes of its own it would say nothing.
        "not_labelled": [name for name in CLASSES if name not in named] if {*CLASSES} & {*named} else [],
    }


def _pixels_by_class(sample: Sample, pair: Pair) -> Mapping[str, int]:
    names = names_by_value(sample.table)
    pixels = Counter[str]()
    for value, number in (*pair.values, *pair.unknown):
        pixels[names.get(value, "void")] += number
    return pixels


def _speed(pairs: Iterable[Pair]) -> dict[str, Any]:
    usable = [pair for pair in pairs if not pair.troubles]
    seconds = sum(pair.seconds for pair in usable)
    if not seconds:
        return {"images_per_second": None, "megabytes_per_second": None}
    return {
        "images_per_second": round(len(usable) / seconds, 1),
        "megabytes_per_second": round(sum(pair.bytes for pair in usable) / seconds / 1e6, 1),
    }
