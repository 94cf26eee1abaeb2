"""The domains by name: what `rein list domains` prints and a config's `sources` and `targets` name."""

from __future__ import annotations

from rein.config import ConfigError, nearest
from rein.data.domain import Domain, Layout, Split
from rein.data.label_tables import CAMVID, CARLA, CITYSCAPES_IDS, TRAIN_IDS, LabelTable


def find(name: str) -> Domain:
    """A domain by its name. Raises ConfigError with the nearest known one."""
    if name not in DOMAINS:
        raise ConfigError(f"unknown domain {name!r}{nearest(name, DOMAINS)}; `rein list domains` prints them all")
    return DOMAINS[name]


def register(domain: Domain) -> None:
    """Make a domain of one's own known by its name; a shipped one of that name gives way."""
    DOMAINS[domain.name] = domain


def _split(images: str, *labels: tuple[str, LabelTable], count: int | None = None, prefixes: tuple[str, ...] = ()):
    return Split((Layout(images, labels),), prefixes, count)


def _toy(style: str, *splits: str, note: str) -> Domain:
    rules = {split: _split(f"images/{split}/*.png", (f"labels/{split}/*.png", TRAIN_IDS)) for split in splits}
    return Domain(f"toy-{style}", (f"toy/{style}",), rules, note=note, toy_style=style)


def _fine(split: str, count: int) -> Split:
    """Cityscapes' own layout, in train ids or as it is downloaded."""
    return _split(
        f"leftImg8bit/{split}/*/*_leftImg8bit.png",
        (f"gtFine/{split}/*/*_gtFine_labelTrainIds.png", TRAIN_IDS),
        (f"gtFine/{split}/*/*_gtFine_labelIds.png", CITYSCAPES_IDS),
        count=count,
    )


DOMAINS: dict[str, Domain] = {
    domain.name: domain
    for domain in (
        Domain(
            "gta",
            ("gta", "gta5", "gtav"),
            {
                "train": _split(
                    "images/*.png",
                    ("labels/*_labelTrainIds.png", TRAIN_IDS),
                    ("labels/*.png", CITYSCAPES_IDS),
                    count=24_966,
                )
            },
            note="GTAV, 24,966 rendered images, 1914x1052",
        ),
        Domain(
            "cityscapes",
            ("cityscapes",),
            {"train": _fine("train", 2_975), "val": _fine("val", 500)},
            evaluation_size=(1024, 512),
            note="2,975 / 500 images, 2048x1024, Germany by day",
        ),
        Domain(
            "bdd100k",
            ("bdd100k",),
            {
                split: _split(
                    f"images/10k/{split}/*.jpg", (f"labels/sem_seg/masks/{split}/*.png", TRAIN_IDS), count=count
                )
                for split, count in (("train", 7_000), ("val", 1_000))
            },
            evaluation_size=(1280, 720),
            note="7,000 / 1,000 images, 1280x720, USA in all weathers",
        ),
        Domain(
            "mapillary",
            ("mapillary",),
            {
                "train": _split("training/images/*.jpg", ("cityscapes_trainIdLabel/train/label/*.png", TRAIN_IDS)),
                # Scored on images and labels of half the size, as the reference prepares them.
                "val": _split("half/val_img/*.jpg", ("half/val_label/*.png", TRAIN_IDS)),
            },
            evaluation_size=(1024, 512),
            note="18,000 / 2,000 images, worldwide",
        ),
        Domain(
            "camvid-day",
            ("camvid",),
            {
                "train": _split("train/*.*", ("trainannot/*.png", CAMVID), count=305, prefixes=("0006R0", "0016E5")),
                "val": _split("val/*.*", ("valannot/*.png", CAMVID), count=101),
            },
            note="CamVid's day sequences in SegNet's layout, 480x360",
        ),
        Domain(
            "camvid-dusk",
            ("camvid",),
            {"val": _split("train/*.*", ("trainannot/*.png", CAMVID), count=62, prefixes=("0001TP",))},
            note="CamVid's dusk sequence 0001TP: 62 frames",
        ),
        Domain(
            "carla",
            ("carla",),
            {
                # One episode of 260 frames: its end is held out, so that no val frame neighbours a training one.
                split: _split("CameraRGB/*.*", ("CameraSeg/*.png", CARLA), prefixes=prefixes)
                for split, prefixes in (("train", ("02_00_0", "02_00_1")), ("val", ("02_00_2",)))
            },
            note="the CARLA simulator, 800x600, no sky",
        ),
        Domain(
            "kitti",
            ("kitti",),
            {"val": _split("training/image_2/*.*", ("training/semantic/*.png", CITYSCAPES_IDS), count=200)},
            note="KITTI's labelled frames in Cityscapes label ids",
        ),
        _toy("game", "train", "val", note="the toy world's source: clean, saturated, one town"),
        _toy("day", "val", note="toy target: other textures and another layout"),
        _toy("night", "val", note="toy target: dusk and night"),
        _toy("fog", "val", note="toy target: fog"),
        _toy("rain", "val", note="toy target: rain"),
    )
}
