"""What is odd and yet can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rein.check.alignment import common_shift
from rein.check.finding import Finding, Named, Pairs, amount, paths, repeated, sides
from rein.check.pair import Pair, names_by_value
from rein.check.problems import is_rule, like_train_ids, without_split
from rein.check.survey import Survey

#: Mean difference of two thumbnails, of 255, below which two files of one name are one picture saved twice.
ALIKE = 4.0


def remarks(item: Survey, pairs: Pairs, train: Pairs) -> list[Finding]:
    """What is odd and yet can be read. `train` as in `problems`."""
    return [
        finding
        for part in (
            _partial(item), _count(item), _orphans(item), _sizes(pairs), _odd(pairs), _plain(pairs), _twice(pairs),
            _saved_anew(pairs, train), _shifted(pairs),
        )
        for finding in part
    ] + [finding for finding in like_train_ids(pairs) if not is_rule(finding, pairs)]  # fmt: skip


def _partial(item: Survey) -> Iterator[Finding]:
    if item.missing and item.partial:
        yield Finding("split_missing", without_split(item))


def _count(item: Survey) -> Iterator[Finding]:
    expected = item.domain.splits[item.split].count
    if item.found and expected is not None:
        number = len(item.found.samples) + len(item.found.unlabelled)
        if number < expected:
            then = "training sees the others alone" if item.split == "train" else "scores are not the whole split's"
            text = f"{expected - number:,} of {expected:,} images are not there: {then}"
            yield Finding("count", text)
        if number > expected:
            text = f"{number - expected:,} images more than the {expected:,} of the published split"
            yield Finding("count", text)


def _orphans(item: Survey) -> Iterator[Finding]:
    if item.orphans:
        text = f"{amount(item.orphans, 'label belongs', 'labels belong')} to no image"
        yield Finding("labels_without_image", text, paths(item.orphans))


def _sizes(pairs: Pairs) -> Iterator[Finding]:
    differ = [
        (sample, pair.image_size, pair.label_size)
        for sample, pair in pairs.items()
        if pair.image_size and pair.label_size and pair.image_size != pair.label_size and not pair.troubles
    ]
    if differ:
        sizes = Counter((label, image) for _, image, label in differ).most_common()
        others = f" and {amount(len(sizes) - 1, 'other size', 'other sizes')}" if len(sizes) > 1 else ""
        text = (
            f"{len(differ):,} of {len(pairs):,} labels have another size than their image, {sides(sizes[0][0][0])} for "
            f"{sides(sizes[0][0][1])}{others}: training resizes them by nearest neighbour, scores are at their own"
        )
        files = (Named(str(sample.label), f"{sides(label)} for {sides(image)}") for sample, image, label in differ)
        yield Finding("label_sizes", text, tuple(files))


def _odd(pairs: Pairs) -> Iterator[Finding]:
    odd = {sample.image: pair.oddities for sample, pair in pairs.items() if pair.oddities}
    if odd:
        kinds = Counter(kind for oddities in odd.values() for kind in oddities)
        counts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
        text = f"{amount(odd, 'image is', 'images are')} not plain upright RGB ({counts}); they are converted to it"
        yield Finding("odd_images", text, tuple(Named(str(path), ", ".join(kinds)) for path, kinds in odd.items()))


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
        yield Finding("void_labels", f"{amount(void, 'label is', 'labels are')} void throughout", paths(void))
    labelled = [pair for pair in pairs.values() if pair.label_size]
    values = {value for pair in labelled for value, _ in (*pair.values, *pair.unknown)}
    if len(values) == 1 and len(labelled) > 1:
        yield Finding("one_value", f"every pixel of all {len(labelled):,} labels has the value {values.pop()}")


def _twice(pairs: Pairs) -> Iterator[Finding]:
    first: dict[bytes, Path] = {}
    same: list[tuple[Path, Path]] = []
    for sample, pair in pairs.items():
        if pair.digest and first.setdefault(pair.digest, sample.image) != sample.image:
            same.append((sample.image, first[pair.digest]))
    if same:
        counted = amount(same, "image repeats", "images repeat")
        yield Finding("duplicates", f"{counted} another one of the split, with the same pixels", repeated(same))


def _saved_anew(pairs: Pairs, train: Pairs) -> Iterator[Finding]:
    """Images of one name in train and here that look alike; that a name is there twice says nothing by itself."""
    known = {sample.image.stem: (sample, pair) for sample, pair in train.items()}
    near = [
        (sample, known[sample.image.stem][0])
        for sample, pair in pairs.items()
        if sample.image.stem in known and _alike(pair, known[sample.image.stem][1])
    ]
    if near:
        counted = amount(near, "image looks", "images look")
        text = f"{counted} like the train image of the same name, if not to the pixel: saved anew?"
        yield Finding("same_name", text, repeated((mine.image, other.image) for mine, other in near))


def _shifted(pairs: Pairs) -> Iterator[Finding]:
    shift, places = common_shift([pair.agreement for pair in pairs.values()])
    if shift:
        labels = [sample.label for sample in pairs]
        text = (
            f"labels look shifted by about ({shift[0]}, {shift[1]}) pixels to the right and down: there the borders of "
            f"{len(places):,} of {len(pairs):,} lie on stronger edges of their image; look at them (--sheet)"
        )
        yield Finding("shifted", text, paths(labels[place] for place in places))


def _alike(one: Pair, other: Pair) -> bool:
    if not (one.thumbnail and other.thumbnail) or one.digest == other.digest:
        return False
    first, second = (np.frombuffer(pair.thumbnail, np.uint8).astype(int) for pair in (one, other))
    return float(np.abs(first - second).mean()) < ALIKE
