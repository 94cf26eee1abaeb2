"""Published numbers beside measured ones: which row of a published table is which of ours, and its footnotes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args

import pandas as pd

from rein import published
from rein.config import ConfigError, Table
from rein.config.keys import fits
from rein.config.tunings import Tuning
from rein.published import Published
from rein.reports.grid import MISSING
from rein.reports.names import NAMES, written
from rein.reports.study import Study
from rein.reports.tables import conventions

#: What stands in each of these columns of a published row.
METHOD = ("point", "name", "tuning.method")

SINGLE = "†"

#: Method -> the values that it has by itself, which a published row does not print.
_DEFAULTS = {
    kind.method: {f"tuning.{field.name}": field.default for field in fields(kind)}
    for kind in get_args(get_args(Tuning)[0])
}


def entries(wanted: Table) -> tuple[Published, ...]:
    """The rows of the published table that a table names, as its `filter` leaves them; none where it names none."""
    if not wanted.published:
        return ()
    try:
        rows = published.rows(wanted.published)
    except ConfigError as error:
        raise ConfigError(f"table {wanted.name!r}: {error}") from error
    return tuple(entry for entry in rows if all(_has(entry, key, value) for key, value in wanted.filter.items()))


def variants_of(entry: Published, study: Study, rename: Mapping[str, str]) -> list[str]:
    """The variant of a sweep that a published row is of, if there is one.

    Where a row fits several, since it prints no rank or number of tokens, it is of the one with the method's own, and
    of none where that leaves a choice.
    """
    runs = {str(point): runs for point, runs in study.runs.groupby("point", sort=False)}
    fitting = [point for point in runs if matches(entry, study, runs[point], rename)]
    if len(fitting) > 1:
        fitting = [point for point in fitting if _is_plain(entry, runs[point].iloc[0])]
    return fitting if len(fitting) == 1 else []


def matches(entry: Published, study: Study, runs: pd.DataFrame, rename: Mapping[str, str]) -> bool:
    """Whether a published row is of what the runs of one variant are of.

    Backbone, head and sources decide, the method by the sweep's name of the variant (or, where it names none, by how it
    tunes), rank, number of tokens and crops where they are printed. Domains and backbones of a world are what they
    stand for; its crops, and the ranks and tokens that the sweep leaves to it, are its own.
    """
    run = runs.iloc[0]
    method = run["name"] if run["name"] in study.sweep.points else run["tuning.method"]
    return (
        entry.short_backbone in _written(study.original(run["backbone.name"]), rename)
        and (entry.head is None or entry.head in _written(run["head.method"], rename))
        and _plain(entry.method) in {_plain(name) for name in _written(method, rename)}
        and all(size is None or size == run.get(key) for key, size in _sizes(entry).items() if _is_asked(study, key))
        and set(entry.sources) == set(study.original(run["data.sources"]))
        and (entry.crop in (None, run["data.crop_size"]) or study.moved.world is not None)
    )


def _is_asked(study: Study, key: str) -> bool:
    """Whether the sweep itself says this key, which in a world is else that world's."""
    said = (study.sweep.vary, *study.sweep.points.values())
    return study.moved.world is None or any(key in keys for keys in said)


def row_names(entry: Published, keys: Sequence[str], apart: Sequence[str]) -> tuple[str, ...]:
    """What stands in the columns of a published row that nobody has run; its method tells what sets it `apart`."""
    more = [entry.venue] if entry.venue else []
    more += [entry.short_backbone] if "backbone.name" in apart and entry.short_backbone else []
    more += [_trained_on(entry)] if "data.sources" in apart else []
    texts = {
        **dict.fromkeys(METHOD, f"{entry.method} ({', '.join(more)})" if more else entry.method),
        "backbone.name": entry.short_backbone,
        "head.method": entry.head,
        "data.sources": _trained_on(entry),
        **_sizes(entry),
    }
    return tuple(MISSING if (text := texts.get(key)) is None else str(text) for key in keys)


def over(entry: Published, targets: Collection[str]) -> float | None:
    """The printed mIoU of one target, or the printed mean over several; other targets, no number.

    A mean over some of a row's targets is one that nobody has printed.
    """
    about = mean_key(targets)
    return entry.miou.get(about) if about != "avg" or set(entry.targets) == set(targets) else None


def mean_key(targets: Collection[str]) -> str:
    """What a published row calls the mIoU over these targets: the only one, or `avg`."""
    return "avg" if len(targets) > 1 else "".join(targets)


def printed(value: float) -> str:
    """A published number with its own decimals."""
    return str(float(value)).replace("-", "−")


class Footnotes:
    """Marks of what must be said of published numbers, in the order in which they come up, and the lines below."""

    def __init__(self, entries: Sequence[Published]) -> None:
        self.entries = entries
        self.letters: dict[str, str] = {}
        single = [entry for entry in entries if entry.confidence == "single-source"]
        self.all_single = len(single) == len(entries)
        self.some_single = bool(single) and not self.all_single

    def marks(self, entry: Published, note: str) -> str:
        """Of one number: the letter of its note, and whether it was seen in one source alone where others were not."""
        letter = self.letters.setdefault(note, "abcdefghijklmnopqrstuvwxyz"[len(self.letters) % 26]) if note else ""
        single = SINGLE if self.some_single and entry.confidence == "single-source" else ""
        return ",".join(filter(None, (letter, single)))

    def conventions(self) -> tuple[str, ...]:
        """What its marks mean in every table."""
        return (conventions.SINGLE,) if self.some_single else ()

    def lines(self) -> tuple[tuple[str, str], ...]:
        """(mark, text) for below the table; the sources last."""
        if not self.entries:
            return ()
        parts = dict.fromkeys(part for entry in self.entries for part in entry.source.split("; "))
        sources = f"Published: {'; '.join(parts)}.".replace("->", "→")
        once = " Each number was seen in one source alone." if self.all_single else ""
        return (
            *((letter, f"{note[0].upper()}{note[1:]}.".replace("->", "→")) for note, letter in self.letters.items()),
            ("", sources + once),
        )


def _trained_on(entry: Published) -> str:
    """The sources as people read them, with shares and later stages: `GTAV + SYNTHIA → 1/16 Cityscapes`."""
    stages = entry.setting.split(",")[0].split("->")
    return " → ".join(" + ".join(map(_share, stage.split("+"))) for stage in stages[:-1] or stages)


def _share(source: str) -> str:
    """`1/16 Citys train` as `1/16 Cityscapes`."""
    words = source.removesuffix(" train").split()
    return " ".join(written(published.SETTING.get(word, word), {}) for word in words)


def _sizes(entry: Published) -> dict[str, int | None]:
    """What a row may say of its tuning beside the method."""
    return {"tuning.rank": entry.rank, "tuning.token_length": entry.token_length}


def _is_plain(entry: Published, run: pd.Series) -> bool:
    """Whether what the row does not say of the tuning is as the method has it by itself."""
    defaults = _DEFAULTS[run["tuning.method"]]
    return all(run[key] == defaults[key] for key, size in _sizes(entry).items() if size is None and key in defaults)


def _has(entry: Published, key: str, wanted: Any) -> bool:
    """Whether a filter keeps a published row; keys that it says nothing of keep it."""
    backbones = [name for name, short in NAMES.items() if short == entry.short_backbone]
    heads = [name for name, short in NAMES.items() if short == entry.head]
    values: dict[str, list[Any]] = {
        **{key: [entry.method, _plain(entry.method)] for key in METHOD},
        "backbone.name": [entry.short_backbone, *backbones],
        "head.method": [entry.head, *heads],
        "data.sources": [entry.sources],
        **{key: [size] for key, size in _sizes(entry).items() if size is not None},
    }
    return key not in values or any(fits(value, wanted) for value in values[key])


def _written(value: str, rename: Mapping[str, str]) -> set[str]:
    """Every way in which a name may stand in a published table."""
    return {value, written(value, {}), written(value, rename)}


def _plain(method: str) -> str:
    """A method's name without case and signs; ours say `frozen` where the papers say `Freeze`."""
    return re.sub(r"[^a-z0-9]", "", method.lower()).replace("freeze", "frozen")
