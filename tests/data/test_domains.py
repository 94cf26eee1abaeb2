"""Every domain's folders, as people keep them, read to exact labels through the loader itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rein.config import ConfigError, Data
from rein.data.dataset import WholeImages
from rein.data.domain import Domain
from rein.data.domains import CORRUPTIONS, DOMAINS, FAMILIES, expand, find, register
from rein.data.listing import samples

Values = Sequence[int] | Sequence[tuple[int, int, int]]
ROAD, SIDEWALK, POLE, CAR, VOID = 0, 1, 5, 13, 255
#: Stored values of road, sidewalk, pole, car and void in each way of writing labels.
TRAIN: Values = (0, 1, 5, 13, 255)
IDS: Values = (7, 8, 17, 26, 3)
PAINTED: Values = ((128, 64, 128), (244, 35, 232), (153, 153, 153), (0, 0, 142), (0, 0, 0))
V12: Values = (13, 2, 44, 55, 65)
V20: Values = (21, 4, 86, 108, 123)
SYNTHIA: Values = (3, 4, 7, 8, 22)
A2D2: Values = ((255, 0, 255), (180, 150, 200), (255, 246, 143), (200, 0, 0), (96, 69, 143))
CAMVID: Values = (3, 4, 2, 8, 11)
CAMVID_PAINTED: Values = ((128, 64, 128), (0, 0, 192), (192, 192, 128), (64, 0, 128), (64, 128, 64))

CITY = "leftImg8bit/{}/ulm/ulm_000000_000019_leftImg8bit.png"
FINE = "gtFine/{}/ulm/ulm_000000_000019_gtFine_"
A2D2_IMAGE = "{0}/camera/cam_front_center/{1}_camera_frontcenter_000000091.png"
A2D2_LABEL = "{0}/label/cam_front_center/{1}_label_frontcenter_000000091.png"
LATE = ("20180925_101535", "20180925101535")
EARLY = ("20180807_145028", "20180807145028")

#: (domain, split, image, label, stored values)
LAYOUTS: list[tuple[str, str, str, str, Values]] = [
    ("gta", "train", "gta/images/00001.png", "gta/labels/00001_labelTrainIds.png", TRAIN),
    ("gta", "train", "GTA5/images/00001.png", "GTA5/labels/00001.png", (7, 8, 17, 26, 34)),
    ("gta", "train", "GTAV/images/train/7/1.png", "GTAV/labels/train/7/1.png", (7, 8, 17, 26, 34)),
    ("gta", "train", "GTAV/images/valid/7/1.png", "GTAV/labels/valid/7/1_labelTrainIds.png", TRAIN),
    ("gta", "train", "gta/images/train/1.png", "gta/labels/train/1.png", (7, 8, 17, 26, 34)),
    ("synthia", "train", "synthia/RGB/0000000.png", "synthia/GT/LABELS/0000000_labelTrainIds.png", TRAIN),
    ("synthia", "train", "synthia/RGB/train/0000000.png", "synthia/GT/LABELS/train/0000000.png", SYNTHIA),
    ("synthia", "train", "synthia/RGB/val/1.png", "synthia/GT/LABELS/val/1_labelTrainIds.png", TRAIN),
    ("synthia", "train", "RAND_CITYSCAPES/RGB/0000000.png", "RAND_CITYSCAPES/GT/LABELS/0000000.png", SYNTHIA),
    ("urbansyn", "train", "urbansyn/rgb/rgb_0001.png", "urbansyn/ss/ss_0001.png", (0, 1, 5, 13, 19)),
    ("urbansyn", "train", "UrbanSyn/rgb/rgb_0001.png", "UrbanSyn/ss_colour/ss_colour_0001.png", PAINTED),
    ("urbansyn", "train", "UrbanSyn/rgb/rgb_0001.png", "UrbanSyn/ss_color/ss_0001.png", PAINTED),
    ("urbansyn", "train", "urbansyn/rgb/0001.png", "urbansyn/ss/0001.png", TRAIN),
    (
        "cityscapes", "val", f"cityscapes/{CITY.format('val')}",
        f"cityscapes/{FINE.format('val')}labelTrainIds.png", TRAIN,
    ),
    (
        "cityscapes", "train", f"Cityscapes/{CITY.format('train')}",
        f"Cityscapes/{FINE.format('train')}labelIds.png", IDS,
    ),
    ("cityscapes", "val", f"cityscapes/{CITY.format('val')}", f"cityscapes/{FINE.format('val')}color.png", PAINTED),
    (
        "cityscapes", "val", f"cityscapes/leftImg8bit_trainvaltest/{CITY.format('val')}",
        f"cityscapes/gtFine_trainvaltest/{FINE.format('val')}labelIds.png", IDS,
    ),
    *(
        ("cityscapes", split, f"cityscapes/{images}{CITY.format(split)}",
         f"cityscapes/{labels}{FINE.format(split)}labelIds.png", IDS)
        for images, labels, split in (
            ("leftImg8bit_trainvaltest/", "", "val"), ("", "gtFine_trainvaltest/", "train"),
            ("leftImg8bit_trainvaltest/", "gtFine_trainvaltest/", "train"),
        )
    ),
    *(
        ("foggy-cityscapes", "val", f"{mine}/{images}leftImg8bit_foggy/val/ulm/ulm_1_leftImg8bit_foggy_beta_0.02.png",
         f"{other}/{labels}gtFine/val/ulm/ulm_1_gtFine_labelTrainIds.png", TRAIN)
        for mine, other in (
            ("foggy_cityscapes", "cityscapes"), ("foggy_cityscapes", "Cityscapes"), ("cityscapes", "cityscapes"),
            ("foggy_cityscapes", "foggy_cityscapes"),
        )
        for images in ("", "leftImg8bit_trainvaltest_foggy/")
        for labels in ("", "gtFine_trainvaltest/")
    ),
    (
        "cityscapes-c-fog-3", "val", f"cityscapes/{CITY.format('val')}",
        f"cityscapes/{FINE.format('val')}labelIds.png", IDS,
    ),
    (
        "foggy-cityscapes", "val",
        "cityscapes/leftImg8bit_foggy/val/ulm/ulm_000000_000019_leftImg8bit_foggy_beta_0.02.png",
        f"cityscapes/{FINE.format('val')}labelTrainIds.png", TRAIN,
    ),
    (
        "foggy-cityscapes", "train",
        "foggy_cityscapes/leftImg8bit_foggy/train/ulm/ulm_000000_000019_leftImg8bit_foggy_beta_0.02.png",
        f"foggy_cityscapes/{FINE.format('train')}labelIds.png", IDS,
    ),
    ("bdd100k", "val", "bdd100k/images/10k/val/7d06.jpg", "bdd100k/labels/sem_seg/masks/val/7d06.png", TRAIN),
    ("bdd100k", "train", "BDD100K/seg/images/train/7d06.jpg", "BDD100K/seg/labels/train/7d06_train_id.png", TRAIN),
    ("bdd100k", "val", "bdd100k/bdd100k/seg/images/val/a.jpg", "bdd100k/bdd100k/seg/labels/val/a_train_id.png", TRAIN),
    ("bdd100k", "val", "bdd-100k/images/val/a.jpg", "bdd-100k/labels/val/a_train_id.png", TRAIN),
    ("bdd100k", "train", "bdd-100k/images/train/a.jpg", "bdd-100k/labels/train/a_train_id.png", TRAIN),
    (
        "mapillary", "train", "mapillary/training/images/_a.jpg",
        "mapillary/cityscapes_trainIdLabel/train/label/_a.png", TRAIN,
    ),
    ("mapillary", "train", "mapillary/training/images/_a.jpg", "mapillary/training/v1.2/labels/_a.png", V12),
    ("mapillary", "train", "mapillary_vistas/training/images/a.jpg", "mapillary_vistas/training/labels/a.png", V12),
    ("mapillary", "train", "mapillary/training/images/a.jpg", "mapillary/training/v2.0/labels/a.png", V20),
    ("mapillary", "train", "mapillary/training/images/a.jpg", "mapillary/training/v2.0/labels_mask/a.png", V20),
    ("mapillary", "val", "mapillary/half/val_img/a.jpg", "mapillary/half/val_label/a.png", TRAIN),
    ("mapillary", "val", "mapillary/validation/images/a.jpg", "mapillary/validation/v1.2/labels/a.png", V12),
    ("mapillary", "val", "mapillary/validation/images/a.jpg", "mapillary/validation/v2.0/labels/a.png", V20),
    (
        "mapillary", "val", "mapillary/validation/images/a.jpg",
        "mapillary/cityscapes_trainIdLabel/val/label/a.png", TRAIN,
    ),
    ("acdc", "val", "acdc/rgb_anon/val/G_rgb_anon.png", "acdc/gt/val/G_gt_labelTrainIds.png", TRAIN),
    *(
        (domain, split, f"ACDC/rgb_anon/{condition}/{split}/G/G_1_rgb_anon.png",
         f"ACDC/gt/{condition}/{split}/G/G_1_gt_{ids}.png", values)
        for condition in ("fog", "night", "rain", "snow")
        for domain, split, ids, values in (
            ("acdc", "train", "labelTrainIds", TRAIN), (f"acdc-{condition}", "val", "labelIds", IDS),
        )
    ),
    (
        "acdc-fog", "val", "acdc/rgb_anon_trainvaltest/rgb_anon/fog/val/G/G_1_rgb_anon.png",
        "acdc/gt_trainval/gt/fog/val/G/G_1_gt_labelTrainIds.png", TRAIN,
    ),
    (
        "acdc-fog", "train", "acdc/rgb_anon/fog/train/G/G_1_rgb_anon.png",
        "acdc/gt_trainval/gt/fog/train/G/G_1_gt_labelIds.png", IDS,
    ),
    (
        "dark-zurich", "val", "dark_zurich/rgb_anon/val/night/G/G_1_rgb_anon.png",
        "dark_zurich/gt/val/night/G/G_1_gt_labelTrainIds.png", TRAIN,
    ),
    (
        "idd", "train", "IDD/leftImg8bit/train/0/5_leftImg8bit.png",
        "IDD/gtFine/train/0/5_gtFine_labelcsTrainIds.png", TRAIN,
    ),
    (
        "idd", "val", "idd/leftImg8bit/val/0/5_leftImg8bit.jpg",
        "idd/gtFine/val/0/5_gtFine_labelids.png", (0, 3, 26, 12, 11),
    ),
    (
        "idd", "val", "idd/leftImg8bit/val/0/5_leftImg8bit.png",
        "idd/gtFine/val/0/5_gtFine_labelcsIds.png", (7, 8, 17, 26, 99),
    ),
    (
        "idd", "val", "idd/leftImg8bit/val/0/5_image.jpg", "idd/gtFine/val/0/5_gtFine_labellevel3Ids.png",
        (0, 2, 20, 9, 8),
    ),
    ("kitti", "val", "kitti/training/image_2/000000_10.png", "kitti/training/semantic/000000_10.png", IDS),
    ("camvid-day", "train", "camvid/train/0006R0_f00930.png", "camvid/trainannot/0006R0_f00930.png", CAMVID),
    ("camvid-day", "val", "CamVid/val/0016E5_07959.jpg", "CamVid/valannot/0016E5_07959.png", CAMVID),
    ("camvid-dusk", "val", "camvid/train/0001TP_006690.png", "camvid/trainannot/0001TP_006690.png", CAMVID),
    *(
        (domain, split, f"{folder}/{stem}.png", f"{folder}_labels/{stem}_L.png", CAMVID_PAINTED)
        for domain, split, folder, stem in (
            ("camvid-day", "train", "CamVid/train", "0006R0_f00930"),
            ("camvid-day", "val", "camvid/val", "0016E5_07959"),
            ("camvid-dusk", "val", "CamVid/CamVid/train", "0001TP_006690"),
        )
    ),
    *(
        (domain, split, f"CamVid/701_StillsRaw_full/{stem}.png", f"CamVid/LabeledApproved_full/{stem}_L.png",
         CAMVID_PAINTED)
        for domain, split, stem in (
            ("camvid-day", "train", "0016E5_00390"), ("camvid-day", "val", "0016E5_08001"),
            ("camvid-dusk", "val", "0001TP_008520"),
        )
    ),
    ("carla", "train", "carla/CameraRGB/02_00_100.png", "carla/CameraSeg/02_00_100.png", (7, 8, 5, 10, 3)),
    ("carla", "val", "carla/CameraRGB/02_00_200.png", "carla/CameraSeg/02_00_200.png", (6, 8, 5, 10, 0)),
    (
        "a2d2", "train", f"a2d2/camera_lidar_semantic/{A2D2_IMAGE.format(*LATE)}",
        f"a2d2/camera_lidar_semantic/{A2D2_LABEL.format(*LATE)}", A2D2,
    ),
    ("a2d2", "val", f"A2D2/{A2D2_IMAGE.format(*EARLY)}", f"A2D2/{A2D2_LABEL.format(*EARLY)}", A2D2),
    ("wilddash", "val", "wilddash/images/aa0000.jpg", "wilddash/labels/aa0000.png", (38, 52, 17, 35, 37)),
    ("wilddash", "val", "wd_public_02/images/aa0000.jpg", "wd_public_02/labels/aa0000.png", (7, 8, 17, 26, 36)),
]  # fmt: skip


def write_image(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5 * size, 4 * size), (90, 120, 30)).save(path)


def write_label(path: Path, values: Values, size: int, domain: str) -> None:
    """Five columns, one a value, `size` pixels wide: ids as a palette's indices, colours, or as the domain has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.repeat(np.repeat(np.array([values]), 4 * size, axis=0), size, axis=1)  # (H, W) or (H, W, 3)
    if columns.ndim == 3:
        Image.fromarray(columns.astype(np.uint8)).save(path)
    elif domain == "carla":
        Image.fromarray(np.stack([columns, 0 * columns, 0 * columns], axis=-1).astype(np.uint8)).save(path)
    elif values is SYNTHIA:
        write_png16(path, np.stack([columns, 1000 + columns, 0 * columns], axis=-1))
    else:
        image = Image.fromarray(columns.astype(np.uint8)).convert("P")
        image.putdata(columns.ravel().tolist())
        image.putpalette([(7 * value) % 256 for value in range(768)])
        image.save(path)


def write_png16(path: Path, pixels: np.ndarray) -> None:
    """A PNG of three 16-bit channels, which Pillow cannot write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def case(layout: tuple[str, str, str, str, Values]) -> str:
    domain, split, image, label, _ = layout
    return f"{domain}-{split}-{f'{image} {label}'.replace('/', '.')}"


@pytest.mark.parametrize("layout", LAYOUTS, ids=case)
def test_a_layout_is_read_to_exact_labels(tmp_path: Path, layout: tuple[str, str, str, str, Values]) -> None:
    domain, split, image, label, values = layout
    write_image(tmp_path / image, 4)
    write_label(tmp_path / label, values, 4, domain)
    files = samples(find(domain), split, tmp_path)
    assert [(file.image, file.label) for file in files] == [(tmp_path / image, tmp_path / label)]
    assert files[0].corruption == find(domain).corruption
    # A corruption changes the image alone, and has tests of its own.
    pixels, train_ids, _ = WholeImages([replace(file, corruption=None) for file in files], Data())[0]
    size = 2 if files[0].halve else 4
    assert tuple(pixels.shape) == (3, 4 * size, 5 * size)
    assert train_ids.tolist() == [np.repeat([ROAD, SIDEWALK, POLE, CAR, VOID], size).tolist()] * (4 * size)


def test_every_domain_and_split_has_a_layout_above() -> None:
    shown = {(domain, split) for domain, split, *_ in LAYOUTS} | {
        (name, split)
        for name in DOMAINS
        if name.startswith(("toy-", "cityscapes-c-"))
        for split in DOMAINS[name].splits
    }
    trained = {("acdc-" + condition, "train") for condition in ("fog", "night", "rain", "snow")}
    assert shown | trained >= {(name, split) for name, domain in DOMAINS.items() for split in domain.splits}


def test_only_mapillary_kept_whole_is_halved(tmp_path: Path) -> None:
    halved = {
        (name, layout.images)
        for name, domain in DOMAINS.items()
        for split in domain.splits.values()
        for layout in split.layouts
        if layout.halve
    }
    assert halved == {("mapillary", "validation/images/*.jpg")}


def test_prepared_halves_come_before_whole_images(tmp_path: Path) -> None:
    for image, label in (("half/val_img/a", "half/val_label/a"), ("validation/images/b", "validation/v1.2/labels/b")):
        write_image(tmp_path / f"mapillary/{image}.jpg", 1)
        write_label(tmp_path / f"mapillary/{label}.png", TRAIN, 1, "mapillary")
    assert [file.image.stem for file in samples(find("mapillary"), "val", tmp_path)] == ["a"]


def test_prepared_halves_without_labels_do_not_hide_whole_images(tmp_path: Path) -> None:
    write_image(tmp_path / "mapillary/half/val_img/a.jpg", 1)
    write_image(tmp_path / "mapillary/validation/images/b.jpg", 1)
    write_label(tmp_path / "mapillary/validation/v1.2/labels/b.png", V12, 1, "mapillary")
    assert [file.image.stem for file in samples(find("mapillary"), "val", tmp_path)] == ["b"]


def test_however_gta_is_divided_all_of_it_is_trained_on(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        write_image(tmp_path / f"GTAV/images/{part}/x/{part}.png", 1)
        write_label(tmp_path / f"GTAV/labels/{part}/x/{part}.png", IDS, 1, "gta")
    assert [file.image.stem for file in samples(find("gta"), "train", tmp_path)] == ["test", "train", "valid"]


def test_camvids_splits_share_no_frame_in_the_original_folder(tmp_path: Path) -> None:
    frames = ["0016E5_07920", "0016E5_07959", "0016E5_08159", "0016E5_08190", "0006R0_f00930", "0001TP_006690",
              "0001TP_008520", "0001TP_008550", "Seq05VD_f00000"]  # fmt: skip
    for stem in frames:
        write_image(tmp_path / f"camvid/701_StillsRaw_full/{stem}.png", 1)
        write_label(tmp_path / f"camvid/LabeledApproved_full/{stem}_L.png", CAMVID_PAINTED, 1, "camvid-day")
    found = {
        (name, split): [file.image.stem for file in samples(find(name), split, tmp_path)]
        for name, split in (("camvid-day", "train"), ("camvid-day", "val"), ("camvid-dusk", "val"))
    }
    assert found == {
        ("camvid-day", "train"): ["0006R0_f00930", "0016E5_07920", "0016E5_08190"],
        ("camvid-day", "val"): ["0016E5_07959", "0016E5_08159"],
        ("camvid-dusk", "val"): ["0001TP_006690", "0001TP_008520"],
    }


def test_names_are_keys_and_splits_are_train_or_val() -> None:
    for name, domain in DOMAINS.items():
        assert domain.name == name and domain.note
        assert set(domain.splits) <= {"train", "val"} and domain.splits
        assert all(split.labelled for split in domain.splits.values())


def test_evaluation_sizes_are_the_protocols() -> None:
    sizes = {name: domain.evaluation_size for name, domain in DOMAINS.items() if domain.evaluation_size}
    acdc = dict.fromkeys(("acdc", "acdc-fog", "acdc-night", "acdc-rain", "acdc-snow"), (1920, 1080))
    assert sizes == {"cityscapes": (1024, 512), "bdd100k": (1280, 720), "mapillary": (1024, 512), **acdc}


def test_counts_are_the_papers() -> None:
    counts = {
        (name, split): rule.count
        for name in ("gta", "synthia", "urbansyn", "cityscapes", "bdd100k", "mapillary", "acdc")
        for split, rule in find(name).splits.items()
    }
    assert counts == {
        ("gta", "train"): 24_966, ("synthia", "train"): 9_400, ("urbansyn", "train"): 7_539,
        ("cityscapes", "train"): 2_975, ("cityscapes", "val"): 500, ("bdd100k", "train"): 7_000,
        ("bdd100k", "val"): 1_000, ("mapillary", "train"): 18_000, ("mapillary", "val"): 2_000,
        ("acdc", "train"): 1_600, ("acdc", "val"): 406,
    }  # fmt: skip
    of_conditions = sum(find(f"acdc-{name}").splits["val"].count or 0 for name in ("fog", "night", "rain", "snow"))
    assert of_conditions == 406


def test_cityscapes_c_is_16_corruptions_of_5_severities() -> None:
    members = expand("cityscapes-c")
    assert len(CORRUPTIONS) == len(set(CORRUPTIONS)) == 16 and len(set(members)) == 80
    assert {find(name).corruption for name in members} == {(c, s) for c in CORRUPTIONS for s in range(1, 6)}
    assert expand("cityscapes-c-gaussian-noise") == tuple(f"cityscapes-c-gaussian-noise-{s}" for s in range(1, 6))


@pytest.mark.parametrize("name", ["gta", "cityscapes-c-fog-3", "mine"])
def test_what_is_no_family_stands_for_itself(name: str) -> None:
    assert expand(name) == (name,)


def test_families_are_no_domains() -> None:
    assert not set(FAMILIES) & set(DOMAINS)
    assert {member for family in FAMILIES for member in expand(family)} <= set(DOMAINS)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown domain 'citiscapes' \(did you mean `cityscapes`\?\)"):
        find("citiscapes")


def test_a_registered_domain_is_found_and_replaces_a_shipped_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DOMAINS, "gta", DOMAINS["gta"])
    register(Domain("gta", ("elsewhere",), DOMAINS["gta"].splits))
    assert find("gta").folders == ("elsewhere",)


def test_the_toy_world_is_drawn_on_first_use(toy_data: Path) -> None:
    files = samples(find("toy-game"), "train", toy_data)
    assert len(files) == 7 and all(file.image.is_file() and file.label.is_file() for file in files)


@pytest.mark.parametrize(
    ("domain", "split", "count"),
    [("camvid-dusk", "val", 62), ("camvid-day", "train", 305), ("camvid-day", "val", 101), ("carla", "train", 40),
     ("carla", "val", 10), ("kitti", "val", 5)],
)  # fmt: skip
def test_the_real_data_sets_pair_up(real_data: Path, domain: str, split: str, count: int) -> None:
    if not (real_data / find(domain).folders[0]).is_dir():
        pytest.skip(f"{domain} is not here")
    assert len(samples(find(domain), split, real_data)) == count
