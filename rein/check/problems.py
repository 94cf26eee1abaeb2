"""What must be put right: it stops a run or spoils its scores."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rein.check.finding import Finding, Named, Pairs, amount, paths, repeated, table_name, written
from rein.check.pair import Pair, names_by_value
from rein.check.survey import Survey
from rein.data.domain import Sample
from rein.data.folders import holds, reached
from rein.data.label_tables import TABLES, TRAIN_IDS, LabelTable
from rein.data.listing import alternatives

#: A label is taken for one in train ids where those leave so much less of it void than the table in use.
VOID_GAP = 0.3


def problems(item: Survey, pairs: Pairs, train: Pairs, others: Mapping[str, Pairs]) -> list[Finding]:
    """What must be put right.

    `train` holds the pairs of the domain's train split where this is another one, `others` those of other domains.
    """
    return [
        finding
        for part in (
            _missing(item),
            _unlabelled(item),
            _unusable(pairs),
            _unknown(pairs),
            _leaks(pairs, train),
            _leaks_elsewhere(item, pairs, train, others),
        )
        for finding in part
    ] + [finding for finding in like_train_ids(pairs) if is_rule(finding, pairs)]


def like_train_ids(pairs: Pairs) -> Iterator[Finding]:
    """Labels converted to train ids that are read by a table of label ids: known values, wrong classes."""
    alike = [sample for sample, pair in pairs.items() if _in_train_ids(sample.table, pair)]
    if alike:
        text = (
            f"{len(alike):,} of {len(pairs):,} labels look like train ids and are read as "
            f"{table_name(alike[0].table)}: no value above 18 but 255, and much of them void. If they are, name them "
            f"as the layout for train ids does, or write a domain file for them"
        )
        yield Finding("other_table", text, paths(sample.label for sample in alike))


def is_rule(finding: Finding, pairs: Pairs) -> bool:
    """Whether it holds for most files: then the domain is read wrongly, else the files are odd."""
    return 2 * len(finding.files) > len(pairs)


def without_split(item: Survey) -> str:
    """Why a split is missing, where its name stands before it anyway."""
    return item.missing.removeprefix(f"{item.domain.name} ({item.split}): ")


def _missing(item: Survey) -> Iterator[Finding]:
    if item.missing and not item.partial:
        yield Finding("missing", without_split(item))


def _unlabelled(item: Survey) -> Iterator[Finding]:
    if item.found and item.found.unlabelled and item.found.layout.labels:
        patterns = [pattern for pattern, _ in item.found.layout.labels]
        counted = amount(item.found.unlabelled, "image has", "images have")
        where = "" if item.found.samples else f"; {_beside(item.found.folder, patterns)}"
        text = f"{counted} no label ({alternatives(patterns)}{where}); complete the labels, or remove the images"
        yield Finding("unlabelled", text, paths(item.found.unlabelled))


def _beside(folder: Path, patterns: list[str]) -> str:
    place = reached(folder, patterns)
    return f"{place.relative_to(folder) if place != folder else folder.name} holds {holds(place)}"


def _unusable(pairs: Pairs) -> Iterator[Finding]:
    named = tuple(_named(sample, reason) for sample, pair in pairs.items() for reason in pair.troubles)
    if named:
        counted = amount([pair for pair in pairs.values() if pair.troubles], "pair", "pairs")
        reason, number = Counter(name.reason for name in named).most_common(1)[0]
        common = f", {number:,} for one reason: {reason}" if number > 1 and 2 * number > len(pairs) else ""
        yield Finding("unusable", f"{counted} of image and label cannot be used{common}", named)


def _named(sample: Sample, sentence: str) -> Named:
    """A sentence that begins with the path of one of the two files, taken apart."""
    file = next((path for path in (sample.label, sample.image) if sentence.startswith(f"{path}: ")), sample.image)
    return Named(str(file), sentence.removeprefix(f"{file}: "))


def _unknown(pairs: Pairs) -> Iterator[Finding]:
    for table, mine in _by_table(pairs).items():
        bad = {sample: pair for sample, pair in mine.items() if pair.unknown}
        if not bad:
            continue
        fit = _fitting(table, bad.values()) if 2 * len(bad) > len(pairs) else None
        advice = f"all values fit {fit}: are these labels of that kind? Else " if fit else ""
        yield Finding(
            "unknown_ids",
            f"ids that {table_name(table)} does not know: {_values(bad, table)}; {advice}"
            f"data.unknown_ids=void reads them as void",
            paths(sample.label for sample in bad),
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
        f"{written(value, table)} ({number:,} pixels in {amount(files[value], 'file', 'files')})"
        for value, number in pixels.most_common(most)
    ]
    return ", ".join([*words, f"and {len(pixels) - most} more"] if len(pixels) > most else words)


def _in_train_ids(table: LabelTable, pair: Pair) -> bool:
    names = names_by_value(table)
    if table.coloured or all(value <= 18 or name == "void" for value, name in names.items()):
        return False
    values = dict((*pair.values, *pair.unknown))
    total = sum(values.values())
    if len(values) < 3 or any(value not in TRAIN_IDS.names for value in values):
        return False
    void = sum(number for value, number in values.items() if names.get(value, "void") == "void")
    return (void - values.get(255, 0)) / total > VOID_GAP


def _leaks(pairs: Pairs, train: Pairs) -> Iterator[Finding]:
    known = {pair.digest: sample for sample, pair in train.items() if pair.digest}
    same = [(sample, known[pair.digest]) for sample, pair in pairs.items() if pair.digest in known]
    if same:
        counted = amount(same, "image is", "images are")
        text = f"{counted} in train too, with the same pixels; remove them from one of the two"
        yield Finding("leak", text, repeated((mine.image, other.image) for mine, other in same))


def _leaks_elsewhere(item: Survey, pairs: Pairs, train: Pairs, others: Mapping[str, Pairs]) -> Iterator[Finding]:
    """Images that another domain trains on; those of the domain's own train split are told already."""
    mine = {sample: pair for sample, pair in pairs.items() if pair.digest}
    own = {pair.digest for pair in train.values()}
    for name, theirs in others.items():
        known = {pair.digest: sample for sample, pair in theirs.items()}
        same = [(s.image, known[p.digest].image) for s, p in mine.items() if p.digest in known and p.digest not in own]
        if same:
            text = (
                f"{amount(same, 'image is', 'images are')} in {name} train too, with the same pixels: what is trained "
                f"on {name} is not to be tested on {item.domain.name}; remove them from one of the two"
            )
            yield Finding("leak", text, repeated(same))


def _by_table(pairs: Pairs) -> dict[LabelTable, dict[Sample, Pair]]:
    groups: dict[LabelTable, dict[Sample, Pair]] = defaultdict(dict)
    for sample, pair in pairs.items():
        groups[sample.table][sample] = pair
    return groups
