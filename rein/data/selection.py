"""Which files of a domain a run trains on and which it is scored on. The choice follows from their names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from rein.config import ConfigError, Data, Experiment
from rein.data.domain import DataError, Sample
from rein.data.domains import expand, find
from rein.data.frost_photographs import frost_photographs
from rein.data.listing import look, samples
from rein.data.remarks import Remark, skipped


def scored_domains(experiment: Experiment) -> list[tuple[str, str]]:
    """(domain, role) of all that a run is scored on, targets first; a source named as a target stays a source.

    A target that is a family (`cityscapes-c`) is scored as its members, one by one. A source is scored on its val
    split, or on what `data.holdout` keeps of its training images.
    """
    data = experiment.data
    sources = [name for name in data.sources if "val" in find(name).splits or data.holdout]
    targets = dict.fromkeys(member for name in data.targets for member in expand(name))
    return [(name, "target") for name in targets if name not in data.sources] + [(name, "source") for name in sources]


def scored_split(domain: str) -> str:
    """`val`, or `train` for a domain without one, of whose images some are held out."""
    return "val" if "val" in find(domain).splits else "train"


def labelled(data: Data, domain: str, split: str, root: Path) -> list[Sample]:
    """The images of a split that have a label. Raises DataError where there is none, or where `data.on_error` is
    `raise` and not all have."""
    if data.on_error == "skip" and (found := look(find(domain), split, root)).samples:
        return found.samples
    return samples(find(domain), split, root)


def unlabelled(data: Data, domain: str, split: str, root: Path) -> list[Remark]:
    """A remark on every image of a split that is left out since it has no label."""
    images = look(find(domain), split, root).unlabelled if data.on_error == "skip" else []
    return [_without_label(image) for image in images]


def scored_files(data: Data, domain: str, root: Path, limit: int | None = None) -> list[Sample]:
    """The val split of a domain, or what is held out of its training images where it has none.

    At most `limit` of them, evenly spaced over the list. Raises DataError as well where they are to be corrupted with
    what is not installed: this is asked before training, the pixels only after it.
    """
    return scored_images(data, domain, root, limit)[0]


def scored_images(data: Data, domain: str, root: Path, limit: int | None = None) -> tuple[list[Sample], list[Remark]]:
    """As `scored_files`, with a remark on every image that is among the chosen and left out: it has no label.

    What has no label takes part in the choice, so that it changes nothing in which others are scored.
    """
    if (find(domain).corruption or ("",))[0] == "frost":
        frost_photographs()
    split = scored_split(domain)
    files = labelled(data, domain, split, root)
    if split == "train":
        if not data.holdout:
            raise ConfigError(f"{domain} has no val split; data.holdout keeps a share of its training images as that")
        files, _ = first_by_hash(files, data.holdout, "holdout")
    lacking = [remark.file for remark in unlabelled(data, domain, split, root)] if split == "val" else []
    all_of = sorted([*files, *lacking], key=_path) if lacking else files  # of a `train` split training says it
    if limit is not None and limit < len(all_of):
        all_of = [all_of[i * len(all_of) // limit] for i in range(limit)]
    chosen = [item for item in all_of if isinstance(item, Sample)]
    if not chosen:
        raise DataError(
            f"{_path(all_of[0])}: has no label, as all {len(all_of)} images that {domain} would be scored on; complete "
            f"the folder, or raise evaluation.images"
        )
    return chosen, [_without_label(item) for item in all_of if not isinstance(item, Sample)]


def _without_label(image: Path) -> Remark:
    return skipped(image, f"{image}: has no label")


def _path(item: Sample | Path) -> str:
    return str(item.image if isinstance(item, Sample) else item)


def training_files(data: Data, root: Path) -> list[list[Sample]]:
    """The images that a run trains on, a list a source: less what is held out, and of that `data.fraction`."""
    fractions = data.fraction if isinstance(data.fraction, tuple) else (data.fraction,) * len(data.sources)
    return [_training_files(data, source, share, root) for source, share in zip(data.sources, fractions, strict=True)]


def first_by_hash(files: Sequence[Sample], share: float, purpose: str) -> tuple[list[Sample], list[Sample]]:
    """A share of the files, at least one, and the rest: those whose names' hashes come first, each list in their order.

    The hash is sha256 of `purpose/name`, the image's name without folder and ending; so the choice depends on no order,
    place or random state, a smaller share lies within a larger one, and files that are added move few of the others.
    The share of n files is round(share * n): 1/16 of Cityscapes are 186 images.
    """

    def place(index: int) -> tuple[bytes, str]:
        image = files[index].image
        return hashlib.sha256(f"{purpose}/{image.stem}".encode()).digest(), str(image)  # names can occur twice

    first = set(sorted(range(len(files)), key=place)[: max(1, round(share * len(files)))])
    return (
        [sample for index, sample in enumerate(files) if index in first],
        [sample for index, sample in enumerate(files) if index not in first],
    )


def _training_files(data: Data, source: str, share: float, root: Path) -> list[Sample]:
    files = labelled(data, source, "train", root)
    if data.holdout and scored_split(source) == "train":
        held_out, files = first_by_hash(files, data.holdout, "holdout")
        if not files:
            raise ConfigError(f"data.holdout: {data.holdout:g} of {source} are all {len(held_out)} of its images")
    return files if share == 1 else first_by_hash(files, share, "fraction")[0]
