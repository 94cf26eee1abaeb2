"""What is wrong or worth knowing of a split: problems stop a run or spoil its scores, remarks do not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rein.check.pair import Pair, names_by_value
from rein.check.survey import Survey
from rein.data.domain import Sample
from rein.data.label_tables import TABLES, TRAIN_IDS, LabelTable

#: Mean difference of two thumbnails, of 255, below which two files of one name are one picture saved twice.
ALIKE = 4.0
#: A label is taken for one in train ids where those leave so much less of it void than the table in use.
VOID_GAP = 0.3

Pairs = Mapping[Sample, Pair]


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found, in a sentence, and the files that it was found in."""

    kind: str
    text: str
    #: A path each, with what is the matter with it where that differs: `path: reason`, `path = path`.
    files: tuple[str, ...] = ()


def problems(item: Survey, pairs: Pairs, train: Pairs) -> list[Finding]:
    """What must be put right. `train` holds the pairs of the domain's train split where this is another one."""
    return [
        finding
        for part in (_missing(item), _unlabelled(item), _unusable(pairs), _unknown(pairs), _leaks(pairs, train))
        for finding in part
    ] + [finding for finding in _train_ids(pairs) if _is_rule(finding, pairs)]


def remarks(item: Survey, pairs: Pairs, train: Pairs) -> list[Finding]:
    """What is odd and yet can be read. `train` as in `problems`."""
    return [
        finding
        for part in (
            _partial(item), _count(item), _orphans(item), _sizes(pairs), _odd(pairs), _plain(pairs), _twice(pairs),
            _saved_anew(pairs, train),
        )
        for finding in part
    ] + [finding for finding in _train_ids(pairs) if not _is_rule(finding, pairs)]  # fmt: skip


def table_name(table: LabelTable) -> str:
    """What a table is called in a domain file, or `own table`."""
    return next((name for name, known in TABLES.items() if known == table), "own table")


# ------------------------------------------------------------------------------------------------------------ problems


def _missing(item: Survey) -> Iterator[Finding]:
    if item.missing and not item.partial:
        yield Finding("missing", _without_split(item))


def _unlabelled(item: Survey) -> Iterator[Finding]:
    if item.found and item.found.unlabelled and item.found.layout.labels:
        first, *others = [pattern for pattern, _ in item.found.layout.labels]
        tried = f"{first} or {_number(others, 'other pattern', 'other patterns')}" if others else first
        number = _number(item.found.unlabelled, "image has", "images have")
        text = f"{number} no label ({tried}); complete the labels, or remove the images"
        yield Finding("unlabelled", text, _paths(item.found.unlabelled))


def _unusable(pairs: Pairs) -> Iterator[Finding]:
    reasons = [reason for pair in pairs.values() for reason in pair.troubles]
    if reasons:
        number = _number([pair for pair in pairs.values() if pair.troubles], "pair", "pairs")
        yield Finding("unusable", f"{number} of image and label cannot be used", tuple(reasons))


def _unknown(pairs: Pairs) -> Iterator[Finding]:
    for table, mine in _by_table(pairs).items():
        bad = {sample: pair for sample, pair in mine.items() if pair.unknown}
        if not bad:
            continue
        fit = _fitting(table, bad.values())
        advice = f"all values fit {fit}: are these labels of that kind? Else " if fit else ""
        yield Finding(
            "unknown_ids",
            f"ids that {table_name(table)} does not know: {_values(bad, table)}; {advice}"
            f"data.unknown_ids=void reads them as void",
            _paths(sample.label for sample in bad),
        )


def _fitting(table: LabelTable, pairs: Iterable[Pair]) -> str | None:
    """The smallest known table that knows all values; a few values fit too many to say."""
    seen = {value for pair in pairs for value, _ in (*pair.values, *pair.unknown)}
    fitting = {
        name: len(other.names)
        for name, other in TABLES.items()
        if other.coloured == table.coloured and seen <= set(names_by_value(other))
    }
    return min(fitting, key=fitting.__getitem__) if fitting and len(seen) > 2 else None


def _values(pairs: Pairs, table: LabelTable, most: int = 8) -> str:
    """`19 (1,234 pixels in 2 files), 20 (...)`, the most frequent first."""
    pixels, files = Counter[int](), Counter[int]()
    for pair in pairs.values():
        pixels.update(dict(pair.unknown))
        files.update(value for value, _ in pair.unknown)
    words = [
        f"{written(value, table)} ({number:,} pixels in {_number(files[value], 'file', 'files')})"
        for value, number in pixels.most_common(most)
    ]
    return ", ".join([*words, f"and {len(pixels) - most} more"] if len(pixels) > most else words)


def written(value: int, table: LabelTable) -> str:
    """A value as people write it: an id, or #rrggbb."""
    return f"#{value:06x}" if table.coloured else str(value)


def _train_ids(pairs: Pairs) -> Iterator[Finding]:
    alike = [sample for sample, pair in pairs.items() if _looks_like_train_ids(sample.table, pair)]
    if alike:
        text = (
            f"{len(alike):,} of {len(pairs):,} labels look like train ids and are read as "
            f"{table_name(alike[0].table)}: no value above 18 but 255, and much of them void. If they are, name them "
            f"as the layout for train ids does, or make a domain of one's own of them"
        )
        yield Finding("other_table", text, _paths(sample.label for sample in alike))


def _looks_like_train_ids(table: LabelTable, pair: Pair) -> bool:
    names = names_by_value(table)
    if table.coloured or all(value <= 18 or name == "void" for value, name in names.items()):
        return False
    values = dict((*pair.values, *pair.unknown))
    total = sum(values.values())
    if len(values) < 3 or any(value not in TRAIN_IDS.names for value in values):
        return False
    void = sum(number for value, number in values.items() if names.get(value, "void") == "void")
    return (void - values.get(255, 0)) / total > VOID_GAP


def _is_rule(finding: Finding, pairs: Pairs) -> bool:
    """Whether it holds for most files: then the domain is read wrongly, else the files are odd."""
    return 2 * len(finding.files) > len(pairs)


def _leaks(pairs: Pairs, train: Pairs) -> Iterator[Finding]:
    known = {pair.digest: sample for sample, pair in train.items() if pair.digest}
    same = [(sample, known[pair.digest]) for sample, pair in pairs.items() if pair.digest in known]
    if same:
        number = _number(same, "image is", "images are")
        text = f"{number} in train too, with the same pixels; remove them from one of the two"
        yield Finding("leak", text, tuple(f"{mine.image} = {other.image}" for mine, other in same))


# ------------------------------------------------------------------------------------------------------------- remarks


def _partial(item: Survey) -> Iterator[Finding]:
    if item.missing and item.partial:
        yield Finding("split_missing", _without_split(item))


def _count(item: Survey) -> Iterator[Finding]:
    expected = item.domain.splits[item.split].count
    if item.found and expected is not None:
        number = len(item.found.samples) + len(item.found.unlabelled)
        if number < expected:
            text = f"{expected - number:,} of {expected:,} images are not there: scores will not be the whole split's"
            yield Finding("count", text)
        if number > expected:
            text = f"{number - expected:,} images more than the {expected:,} of the published split"
            yield Finding("count", text)


def _orphans(item: Survey) -> Iterator[Finding]:
    if item.orphans:
        text = f"{_number(item.orphans, 'label belongs', 'labels belong')} to no image"
        yield Finding("labels_without_image", text, _paths(item.orphans))


def _sizes(pairs: Pairs) -> Iterator[Finding]:
    differ = [
        (sample, pair.image_size, pair.label_size)
        for sample, pair in pairs.items()
        if pair.image_size and pair.label_size and pair.image_size != pair.label_size and not pair.troubles
    ]
    if differ:
        sizes = Counter((label, image) for _, image, label in differ).most_common()
        others = f" and {_number(len(sizes) - 1, 'other size', 'other sizes')}" if len(sizes) > 1 else ""
        text = (
            f"{len(differ):,} of {len(pairs):,} labels have another size than their image, {_size(sizes[0][0][0])} for "
            f"{_size(sizes[0][0][1])}{others}: training resizes them by nearest neighbour, scores are at their own"
        )
        files = (f"{sample.label}: {_size(label)} for {_size(image)}" for sample, image, label in differ)
        yield Finding("label_sizes", text, tuple(files))


def _odd(pairs: Pairs) -> Iterator[Finding]:
    odd = {sample.image: pair.oddities for sample, pair in pairs.items() if pair.oddities}
    if odd:
        kinds = Counter(kind for oddities in odd.values() for kind in oddities)
        counts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
        text = f"{_number(odd, 'image is', 'images are')} not plain upright RGB ({counts}); they are read as RGB"
        yield Finding("odd_images", text, tuple(f"{path}: {', '.join(kinds)}" for path, kinds in odd.items()))


def _plain(pairs: Pairs) -> Iterator[Finding]:
    """Labels that say nothing: wholly void, or one value throughout a split."""
    void = [
        sample.label
        for sample, pair in pairs.items()
        if pair.label_size
        and not pair.unknown
        and {names_by_value(sample.table)[value] for value, _ in pair.values} == {"void"}
    ]
    if void:
        yield Finding("void_labels", f"{_number(void, 'label is', 'labels are')} void throughout", _paths(void))
    labelled = [pair for pair in pairs.values() if pair.label_size]
    values = {value for pair in labelled for value, _ in (*pair.values, *pair.unknown)}
    if len(values) == 1 and len(labelled) > 1:
        yield Finding("one_value", f"every pixel of all {len(labelled):,} labels has the value {values.pop()}")


def _twice(pairs: Pairs) -> Iterator[Finding]:
    first: dict[bytes, Path] = {}
    same: list[str] = []
    for sample, pair in pairs.items():
        if pair.digest and first.setdefault(pair.digest, sample.image) != sample.image:
            same.append(f"{sample.image} = {first[pair.digest]}")
    if same:
        number = _number(same, "image repeats", "images repeat")
        yield Finding("duplicates", f"{number} another one of the split, with the same pixels", tuple(same))


def _saved_anew(pairs: Pairs, train: Pairs) -> Iterator[Finding]:
    """Images of one name in train and here that look alike; that a name is there twice says nothing by itself."""
    known = {sample.image.stem: (sample, pair) for sample, pair in train.items()}
    near = [
        (sample, known[sample.image.stem][0])
        for sample, pair in pairs.items()
        if sample.image.stem in known and _alike(pair, known[sample.image.stem][1])
    ]
    if near:
        number = _number(near, "image looks", "images look")
        text = f"{number} like the train image of the same name, if not to the pixel: saved anew?"
        yield Finding("same_name", text, tuple(f"{mine.image} ~ {other.image}" for mine, other in near))


def _alike(one: Pair, other: Pair) -> bool:
    if not (one.thumbnail and other.thumbnail) or one.digest == other.digest:
        return False
    first, second = (np.frombuffer(pair.thumbnail, np.uint8).astype(int) for pair in (one, other))
    return float(np.abs(first - second).mean()) < ALIKE


# --------------------------------------------------------------------------------------------------------------- words


def _without_split(item: Survey) -> str:
    return item.missing.removeprefix(f"{item.domain.name} ({item.split}): ")


def _by_table(pairs: Pairs) -> dict[LabelTable, dict[Sample, Pair]]:
    groups: dict[LabelTable, dict[Sample, Pair]] = defaultdict(dict)
    for sample, pair in pairs.items():
        groups[sample.table][sample] = pair
    return groups


def _number(items: int | Sized, one: str, many: str) -> str:
    """`1 image is`, `2,000 images are`."""
    number = items if isinstance(items, int) else len(items)
    return f"{number:,} {one if number == 1 else many}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _paths(files: Iterable[Path]) -> tuple[str, ...]:
    return tuple(map(str, files))
