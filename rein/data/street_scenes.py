"""The public data sets of street scenes: how their folders look, downloaded or converted, and how they are scored.

Folder names are those of mmsegmentation, Rein, DAFormer/HRDA/MIC and RobustNet (shachoi/RobustNet, README and
datasets/), and of the archives themselves. Counts are the data sets' own; evaluation sizes the reference protocol's
(w1oves/Rein, configs/_base_/datasets).
"""

from __future__ import annotations

from collections.abc import Sequence

from rein.data.domain import Domain, Layout, Split
from rein.data.label_tables import (
    A2D2_COLOURS,
    CAMVID,
    CAMVID_COLOURS,
    CARLA,
    CITYSCAPES_COLOURS,
    CITYSCAPES_IDS,
    GTA_IDS,
    IDD_CS_IDS,
    IDD_IDS,
    IDD_LEVEL3_IDS,
    MAPILLARY_V12,
    MAPILLARY_V20,
    PALETTE_COLOURS,
    SYNTHIA,
    TRAIN_IDS,
    URBANSYN,
    WILDDASH_IDS,
    LabelTable,
)

Labels = tuple[str, LabelTable]

CITYSCAPES_FOLDERS = ("cityscapes",)
CAMVID_FOLDERS = ("camvid", "camvid/camvid")
ACDC_CONDITIONS = ("fog", "night", "rain", "snow")


def fine(split: str, count: int | None = None, fog: str = "") -> Split:
    """Cityscapes' own layout, each part as unpacked or in a folder of its archive's name.

    With `fog`, Foggy Cityscapes' images, whose labels may lie in `cityscapes` beside them.
    """
    folder = "leftImg8bit_foggy" if fog else "leftImg8bit"
    archive = "leftImg8bit_trainvaltest_foggy" if fog else "leftImg8bit_trainvaltest"
    beside = [f"../{name}/" for name in CITYSCAPES_FOLDERS] if fog else []
    labels = tuple(
        (f"{place}{top}gtFine/{split}/*/*_gtFine_{name}.png", table)
        for place in ("", *beside)
        for top in ("", "gtFine_trainvaltest/")
        for name, table in (
            ("labelTrainIds", TRAIN_IDS),
            ("labelIds", CITYSCAPES_IDS),
            ("color", CITYSCAPES_COLOURS),
        )
    )
    images = f"{folder}/{split}/*/*_leftImg8bit{fog}.png"
    return Split((Layout(images, labels), Layout(f"{archive}/{images}", labels)), count=count)


def _split(images: str, *labels: Labels, count: int | None = None, prefixes: Sequence[str] = ()) -> Split:
    return Split((Layout(images, labels),), tuple(prefixes), count)


# ---------------------------------------------------------------------------------------------------------- rendered


def _gta() -> Split:
    """All in one folder, or in `train`, `valid` and `test`: the whole data set is trained on, however it is divided."""
    return _divided("images", "labels", GTA_IDS, 24_966, "", "*/", "*/*/")


def _synthia() -> Split:
    return _divided("RGB", "GT/LABELS", SYNTHIA, 9_400, "", "*/")


def _divided(images: str, labels: str, table: LabelTable, count: int, *between: str) -> Split:
    """Images and labels in such folders between: converted to train ids, or as they are published."""
    layouts = [
        Layout(
            f"{images}/{part}*.png",
            ((f"{labels}/{part}*_labelTrainIds.png", TRAIN_IDS), (f"{labels}/{part}*.png", table)),
        )
        for part in between
    ]
    return Split(tuple(layouts), count=count)


def _urbansyn() -> Split:
    archive = Layout(
        "rgb/rgb_*.png",
        (
            ("ss/ss_*.png", URBANSYN),
            ("ss/rgb_*.png", URBANSYN),
            *((f"{folder}/{name}_*.png", PALETTE_COLOURS) for folder in COLOURED for name in (folder, "ss")),
        ),
    )
    renamed = Layout("rgb/*.png", (("ss/*_labelTrainIds.png", TRAIN_IDS), ("ss/*.png", URBANSYN)))
    return Split((archive, renamed), count=7_539)


#: UrbanSyn's folder of coloured labels, by its card and in its archive.
COLOURED = ("ss_colour", "ss_color")

# ------------------------------------------------------------------------------------------------------ photographed


def _bdd100k(split: str, count: int) -> Split:
    now = Layout(f"images/10k/{split}/*.jpg", ((f"labels/sem_seg/masks/{split}/*.png", TRAIN_IDS),))
    once = Layout(f"seg/images/{split}/*.jpg", ((f"seg/labels/{split}/*_train_id.png", TRAIN_IDS),))
    flat = Layout(f"images/{split}/*.jpg", ((f"labels/{split}/*_train_id.png", TRAIN_IDS),))
    return Split((now, once, flat), count=count)


def _mapillary_labels(folder: str, split: str) -> tuple[Labels, ...]:
    return (
        (f"cityscapes_trainIdLabel/{split}/label/*.png", TRAIN_IDS),
        (f"{folder}/v1.2/labels/*.png", MAPILLARY_V12),
        (f"{folder}/labels/*.png", MAPILLARY_V12),
        (f"{folder}/v1.2/labels_mask/*.png", MAPILLARY_V12),
        (f"{folder}/v2.0/labels/*.png", MAPILLARY_V20),
        (f"{folder}/v2.0/labels_mask/*.png", MAPILLARY_V20),
    )


def _mapillary_val() -> Split:
    """Scored on images and labels of half the size: those that the reference prepares, or halved when read."""
    prepared = Layout("half/val_img/*.jpg", (("half/val_label/*.png", TRAIN_IDS),))
    whole = Layout("validation/images/*.jpg", _mapillary_labels("validation", "val"), halve=True)
    return Split((prepared, whole), count=2_000)


def _anon(inner: str, count: int, *others: Layout) -> Split:
    """ACDC's and Dark Zurich's layout, each part as unpacked or in a folder of its archive's name."""
    labels = tuple(
        (f"{top}gt/{inner}/*/*_gt_{name}.png", table)
        for top in ("", "gt_trainval/")
        for name, table in (("labelTrainIds", TRAIN_IDS), ("labelIds", CITYSCAPES_IDS))
    )
    layouts = [Layout(f"{top}rgb_anon/{inner}/*/*_rgb_anon.png", labels) for top in ("", "rgb_anon_trainvaltest/")]
    return Split((*layouts, *others), count=count)


def _acdc_flat(split: str) -> Layout:
    """All conditions in one folder, as HRDA and MIC rearrange them."""
    names = (("labelTrainIds", TRAIN_IDS), ("labelIds", CITYSCAPES_IDS))
    return Layout(f"rgb_anon/{split}/*_rgb_anon.png", tuple((f"gt/{split}/*_gt_{n}.png", table) for n, table in names))


def _acdc(condition: str) -> Domain:
    val = 106 if condition == "night" else 100
    return Domain(
        f"acdc-{condition}",
        ("acdc",),
        {
            "train": _anon(f"{condition}/train", 400),
            "val": _anon(f"{condition}/val", val),
        },
        evaluation_size=(1920, 1080),
        note=f"400 / {val} images, 1920x1080, {condition}",
    )


def _idd(split: str, count: int) -> Split:
    layouts = [
        Layout(
            f"leftImg8bit/{split}/*/*_{name}",
            tuple(
                (f"gtFine/{split}/*/*_gtFine_label{ids}.png", table)
                for ids, table in (
                    ("csTrainIds", TRAIN_IDS),
                    ("ids", IDD_IDS),
                    ("csIds", IDD_CS_IDS),
                    ("level3Ids", IDD_LEVEL3_IDS),
                )
            ),
        )
        for name in ("leftImg8bit.png", "image.jpg")
    ]
    return Split(tuple(layouts), count=count)


def _a2d2(*scenes: str) -> Split:
    images = "camera/cam_front_center/*_camera_frontcenter_*.png"
    labels = "label/cam_front_center/*_label_frontcenter_*.png"
    layouts = [Layout(f"{top}*/{images}", ((f"{top}*/{labels}", A2D2_COLOURS),)) for top in A2D2_TOPS]
    return Split(tuple(layouts), prefixes=scenes)


A2D2_TOPS = ("camera_lidar_semantic/", "camera_lidar_semantic/camera_lidar_semantic/", "")

#: A2D2 has no split: of its 23 scenes these two are held out, as mDALU does (arXiv 2012.08385).
A2D2_VAL = ("20180807145028", "20180810142822")
A2D2_TRAIN = (
    "20180925101535", "20180925112730", "20180925124435", "20180925135056", "20181008095521", "20181016082154",
    "20181016095036", "20181016125231", "20181107132300", "20181107132730", "20181107133258", "20181107133445",
    "20181108084007", "20181108091945", "20181108103155", "20181108123750", "20181108141609", "20181204135952",
    "20181204154421", "20181204170238", "20181204191844",
)  # fmt: skip


def _camvid(folder: str, frames: str, count: int, *prefixes: str) -> Split:
    """SegNet's layout of 480x360 with 11 classes, Kaggle's of 960x720 in colours, or the original folder of those."""
    split = Layout(f"{folder}/*.*", ((f"{folder}annot/*.png", CAMVID), (f"{folder}_labels/*_L.png", CAMVID_COLOURS)))
    original = [
        Layout(
            f"{top}701_StillsRaw_full/{frames}.png", ((f"{top}LabeledApproved_full/{frames}_L.png", CAMVID_COLOURS),)
        )
        for top in ("", "images/")
    ]
    return Split((split, *original), prefixes, count)


#: SegNet's val frames are 0016E5_07959 to 0016E5_08159; its dusk frames in train 0001TP_006690 to 0001TP_008520.
CAMVID_VAL = tuple(f"0016E5_0{start}" for start in range(795, 816))
CAMVID_DUSK = tuple(f"0001TP_00{start}" for start in (*range(669, 700), *range(700, 853)))


STREET_SCENES: tuple[Domain, ...] = (
    Domain(
        "gta",
        ("gta", "gta5", "gtav", "gta_v"),
        {"train": _gta()},
        note="24,966 rendered images, 1914x1052",
    ),
    Domain(
        "synthia",
        (
            "synthia",
            "rand_cityscapes",
            "synthia/rand_cityscapes",
            "synthia_rand_cityscapes/rand_cityscapes",
            "synthia_rand_cityscapes",
        ),
        {"train": _synthia()},
        note="9,400 rendered images, 16 classes",
    ),
    Domain("urbansyn", ("urbansyn",), {"train": _urbansyn()}, note="7,539 rendered images, 2048x1024"),
    Domain(
        "cityscapes",
        CITYSCAPES_FOLDERS,
        {"train": fine("train", 2_975), "val": fine("val", 500)},
        evaluation_size=(1024, 512),
        note="2,975 / 500 images, 2048x1024, Germany",
    ),
    Domain(
        "bdd100k",
        ("bdd100k", "bdd100k/bdd100k", "bdd-100k", "bdd-100k/bdd100k", "bdd10k", "bdd"),
        {"train": _bdd100k("train", 7_000), "val": _bdd100k("val", 1_000)},
        evaluation_size=(1280, 720),
        note="7,000 / 1,000 images, 1280x720, USA",
    ),
    Domain(
        "mapillary",
        (
            "mapillary",
            "mapillary_vistas",
            "mapillary-vistas",
            "mapillary-vistas-dataset_public_v1.2",
            "mapillary-vistas-dataset_public_v1.1",
            "mapillary-vistas-dataset_public_v2.0",
            "vistas",
        ),
        {
            "train": _split("training/images/*.jpg", *_mapillary_labels("training", "train"), count=18_000),
            "val": _mapillary_val(),
        },
        evaluation_size=(1024, 512),
        note="18,000 / 2,000 images, worldwide, halved",
    ),
    Domain(
        "acdc",
        ("acdc",),
        {"train": _anon("*/train", 1_600, _acdc_flat("train")), "val": _anon("*/val", 406, _acdc_flat("val"))},
        evaluation_size=(1920, 1080),
        note="1,600 / 406 images, all four conditions",
    ),
    *map(_acdc, ACDC_CONDITIONS),
    Domain(
        "dark-zurich",
        ("dark_zurich", "dark-zurich", "darkzurich", "dark_zurich_val_anon", "dark_zurich/dark_zurich_val_anon"),
        {"val": _anon("val/night", 50)},
        note="50 images, 1920x1080, Zurich by night",
    ),
    Domain(
        "idd",
        ("idd", "idd_segmentation", "idd20k", "anue"),
        {"train": _idd("train", 6_993), "val": _idd("val", 981)},
        note="6,993 / 981 images, to 1920x1080, India",
    ),
    Domain(
        "kitti",
        ("kitti", "kitti_semantics", "data_semantics", "kitti/data_semantics"),
        {"val": _split("training/image_2/*.*", ("training/semantic/*.png", CITYSCAPES_IDS), count=200)},
        note="200 images, 1242x375, Karlsruhe",
    ),
    Domain(
        "camvid-day",
        CAMVID_FOLDERS,
        {
            # In the original folder the frames of SegNet's train set are those whose number ends in 0.
            "train": _camvid("train", "*0", 305, "0006R0", "0016E5"),
            "val": _camvid("val", "*", 101, *CAMVID_VAL),
        },
        note="305 / 101 frames, 480x360 or 960x720",
    ),
    Domain(
        "camvid-dusk",
        CAMVID_FOLDERS,
        {"val": _camvid("train", "*", 62, *CAMVID_DUSK)},
        note="62 frames, sequence 0001TP at dusk",
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
        "a2d2",
        ("a2d2",),
        {"train": _a2d2(*A2D2_TRAIN), "val": _a2d2(*A2D2_VAL)},
        note="1920x1208, Germany; two scenes held out",
    ),
    Domain(
        "wilddash",
        ("wilddash", "wilddash2", "wd_public_02", "wilddash/wd_public_02", "wilddash2/wd_public_02"),
        {"val": _split("images/*.jpg", ("labels/*.png", WILDDASH_IDS), count=4_256)},
        note="4,256 images, 1920x1080, hazards",
    ),
    Domain(
        "foggy-cityscapes",
        ("foggy_cityscapes", "foggy-cityscapes", "cityscapes_foggy", "foggycityscapes", *CITYSCAPES_FOLDERS),
        {
            "train": fine("train", 2_975, "_foggy_beta_0.02"),
            "val": fine("val", 500, "_foggy_beta_0.02"),
        },
        note="2,975 / 500, fog of 150 m, beta 0.02",
    ),
)
