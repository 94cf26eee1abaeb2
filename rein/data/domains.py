"""The domains as data: where images and labels lie below the data folder, which splits exist, how labels read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rein.data.classes import CAMVID, CARLA, CITYSCAPES_IDS, TRAIN_IDS, LabelTable


@dataclass(frozen=True)
class Split:
    """Images by a glob below the domain's root; an image's label is found by replacing parts of its path."""

    images: str
    #: (old, new) replacements that turn an image's relative path into its label's.
    label: tuple[tuple[str, str], ...]
    #: Only files whose name starts with one of these; empty keeps all.
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Domain:
    """A data set that a net is trained on or tested on."""

    name: str
    root: str
    splits: Mapping[str, Split] = field(hash=False)
    labels: LabelTable = TRAIN_IDS
    #: (width, height) that test images are resized to, keeping aspect inside it; None keeps their own.
    evaluation_size: tuple[int, int] | None = None
    note: str = ""
    #: Style of the toy world that is drawn into the data folder on first use.
    toy_style: str | None = None


def samples(domain: Domain, split: str, root: Path) -> list[tuple[Path, Path]]:
    """(image, label) files of a split in the order of their paths. Raises DataError where the folder is not there."""
    where = root / domain.root
    if domain.toy_style:
        from rein.data import toy

        toy.ensure(where.parent, domain.toy_style)
    rule = domain.splits[split]
    pairs = []
    for image in sorted(where.glob(rule.images)):
        if rule.prefixes and not image.name.startswith(rule.prefixes):
            continue
        label = image.relative_to(where).as_posix()
        for old, new in rule.label:
            label = label.replace(old, new)
        pairs.append((image, where / label))
    if not pairs:
        state = "holds no such file" if where.is_dir() else "is not there"
        raise DataError(
            f"{domain.name} ({split}): looked for {rule.images} in {where}, which {state}; complete it, "
            f"or point --data (or REIN_DATA) at the folder that holds `{domain.root}`"
        )
    return pairs


class DataError(RuntimeError):
    """A folder, image or label is missing or wrong; the message names the file and the next step."""


def _split(images: str, *label: tuple[str, str], prefixes: tuple[str, ...] = ()) -> Split:
    return Split(images, label, prefixes)


def _toy(style: str, *splits: str, note: str) -> Domain:
    rules = {split: _split(f"images/{split}/*.png", ("images/", "labels/")) for split in splits}
    return Domain(f"toy-{style}", f"toy/{style}", rules, note=note, toy_style=style)


_CAMVID_ANNOTATION = (("train/", "trainannot/"), ("val/", "valannot/"), (".jpg", ".png"))

DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        Domain(
            "gta",
            "gta",
            {"train": _split("images/*.png", ("images/", "labels/"), (".png", "_labelTrainIds.png"))},
            note="GTAV, 24,966 rendered images, 1914x1052",
        ),
        Domain(
            "cityscapes",
            "cityscapes",
            {
                split: _split(
                    f"leftImg8bit/{split}/*/*_leftImg8bit.png",
                    ("leftImg8bit/", "gtFine/"),
                    ("_leftImg8bit.png", "_gtFine_labelTrainIds.png"),
                )
                for split in ("train", "val")
            },
            evaluation_size=(1024, 512),
            note="2,975 / 500 images, 2048x1024, Germany by day",
        ),
        Domain(
            "bdd100k",
            "bdd100k",
            {
                split: _split(f"images/10k/{split}/*.jpg", ("images/10k/", "labels/sem_seg/masks/"), (".jpg", ".png"))
                for split in ("train", "val")
            },
            evaluation_size=(1280, 720),
            note="7,000 / 1,000 images, 1280x720, USA in all weathers",
        ),
        Domain(
            "mapillary",
            "mapillary",
            {
                "train": _split(
                    "training/images/*.jpg",
                    ("training/images/", "cityscapes_trainIdLabel/train/label/"),
                    (".jpg", ".png"),
                ),
                # Scored on images and labels of half the size, as the reference prepares them.
                "val": _split("half/val_img/*.jpg", ("half/val_img/", "half/val_label/"), (".jpg", ".png")),
            },
            evaluation_size=(1024, 512),
            note="18,000 / 2,000 images, worldwide; labels converted to train ids; val halved beforehand",
        ),
        Domain(
            "camvid-day",
            "camvid",
            {
                "train": _split("train/*.*", *_CAMVID_ANNOTATION, prefixes=("0006R0", "0016E5")),
                "val": _split("val/*.*", *_CAMVID_ANNOTATION),
            },
            CAMVID,
            note="CamVid's day sequences in SegNet's layout, 480x360",
        ),
        Domain(
            "camvid-dusk",
            "camvid",
            {"val": _split("train/*.*", *_CAMVID_ANNOTATION, prefixes=("0001TP",))},
            CAMVID,
            note="CamVid's dusk sequence 0001TP: 62 frames",
        ),
        Domain(
            "carla",
            "carla",
            {
                # One episode of 260 frames: its end is held out, so that no val frame neighbours a training one.
                split: _split("CameraRGB/*.*", ("CameraRGB/", "CameraSeg/"), (".jpg", ".png"), prefixes=prefixes)
                for split, prefixes in (("train", ("02_00_0", "02_00_1")), ("val", ("02_00_2",)))
            },
            CARLA,
            note="the CARLA simulator, 800x600, no sky",
        ),
        Domain(
            "kitti",
            "kitti",
            {"val": _split("training/image_2/*.*", ("image_2/", "semantic/"), (".jpg", ".png"))},
            CITYSCAPES_IDS,
            note="KITTI's labelled frames in Cityscapes label ids",
        ),
        _toy("game", "train", "val", note="the toy world's source: clean, saturated, one town"),
        _toy("day", "val", note="toy target: other textures and another layout"),
        _toy("night", "val", note="toy target: dusk and night"),
        _toy("fog", "val", note="toy target: fog"),
        _toy("rain", "val", note="toy target: rain"),
    )
}
