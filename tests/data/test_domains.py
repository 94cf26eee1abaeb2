"""Where images and labels lie, and what is said when they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.data.domains import DOMAINS, DataError, samples

#: One image and its label as the data sets' own archives name them.
PAIRS = [
    ("gta", "train", "gta/images/00001.png", "gta/labels/00001_labelTrainIds.png"),
    (
        "cityscapes", "val", "cityscapes/leftImg8bit/val/munster/munster_000000_000019_leftImg8bit.png",
        "cityscapes/gtFine/val/munster/munster_000000_000019_gtFine_labelTrainIds.png",
    ),
    ("bdd100k", "val", "bdd100k/images/10k/val/7d06.jpg", "bdd100k/labels/sem_seg/masks/val/7d06.png"),
    (
        "mapillary", "train", "mapillary/training/images/_a.jpg",
        "mapillary/cityscapes_trainIdLabel/train/label/_a.png",
    ),
    (
        "mapillary", "val", "mapillary/half/val_img/_a.jpg",
        "mapillary/half/val_label/_a.png",
    ),
    ("camvid-day", "train", "camvid/train/0006R0_f00930.png", "camvid/trainannot/0006R0_f00930.png"),
    ("camvid-day", "val", "camvid/val/0016E5_07959.jpg", "camvid/valannot/0016E5_07959.png"),
    ("camvid-dusk", "val", "camvid/train/0001TP_006690.png", "camvid/trainannot/0001TP_006690.png"),
    ("carla", "train", "carla/CameraRGB/02_00_100.png", "carla/CameraSeg/02_00_100.png"),
    ("carla", "val", "carla/CameraRGB/02_00_200.png", "carla/CameraSeg/02_00_200.png"),
    ("kitti", "val", "kitti/training/image_2/000000_10.png", "kitti/training/semantic/000000_10.png"),
]  # fmt: skip


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(("domain", "split", "image", "label"), PAIRS)
def test_an_image_finds_its_label(tmp_path: Path, domain: str, split: str, image: str, label: str) -> None:
    touch(tmp_path / image)
    assert samples(DOMAINS[domain], split, tmp_path) == [(tmp_path / image, tmp_path / label)]


def test_every_real_domain_has_a_pair_above() -> None:
    assert {name for name, domain in DOMAINS.items() if not domain.toy_style} == {name for name, *_ in PAIRS}


def test_a_data_folder_whose_name_holds_the_words_of_a_rule_changes_no_label(tmp_path: Path) -> None:
    root = tmp_path / "images" / "train" / "val"
    touch(root / "gta/images/1.png")
    assert samples(DOMAINS["gta"], "train", root)[0][1] == root / "gta/labels/1_labelTrainIds.png"


def test_samples_are_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        touch(tmp_path / f"gta/images/{name}.png")
    assert [image.stem for image, _ in samples(DOMAINS["gta"], "train", tmp_path)] == ["a", "b", "c"]


def test_day_and_dusk_of_camvid_share_no_image(tmp_path: Path) -> None:
    for name in ("0006R0_f1", "0016E5_1", "0001TP_1"):
        touch(tmp_path / f"camvid/train/{name}.png")
    day = {image.stem for image, _ in samples(DOMAINS["camvid-day"], "train", tmp_path)}
    dusk = {image.stem for image, _ in samples(DOMAINS["camvid-dusk"], "val", tmp_path)}
    assert day == {"0006R0_f1", "0016E5_1"} and dusk == {"0001TP_1"}


@pytest.mark.parametrize("made", [False, True])
def test_a_missing_folder_is_named_with_the_next_step(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "gta").mkdir()
    with pytest.raises(DataError) as caught:
        samples(DOMAINS["gta"], "train", tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "gta") in message and "--data" in message and "images/*.png" in message
    assert ("holds no such file" if made else "is not there") in message


def test_names_are_keys_and_splits_are_train_or_val() -> None:
    for name, domain in DOMAINS.items():
        assert domain.name == name
        assert set(domain.splits) <= {"train", "val"} and domain.splits


def test_evaluation_sizes_are_the_protocols() -> None:
    sizes = {name: domain.evaluation_size for name, domain in DOMAINS.items() if domain.evaluation_size}
    assert sizes == {"cityscapes": (1024, 512), "bdd100k": (1280, 720), "mapillary": (1024, 512)}


def test_the_toy_world_is_drawn_on_first_use(toy_data: Path) -> None:
    pairs = samples(DOMAINS["toy-game"], "train", toy_data)
    assert len(pairs) == 7
    assert all(image.is_file() and label.is_file() for image, label in pairs)


@pytest.mark.parametrize(
    ("domain", "split", "count"),
    [("camvid-dusk", "val", 62), ("camvid-day", "val", 101), ("carla", "train", None), ("kitti", "val", None)],
)
def test_the_real_data_sets_pair_up(real_data: Path, domain: str, split: str, count: int | None) -> None:
    if not (real_data / DOMAINS[domain].root).is_dir():
        pytest.skip(f"{domain} is not here")
    pairs = samples(DOMAINS[domain], split, real_data)
    assert all(label.is_file() for _, label in pairs)
    assert count is None or len(pairs) == count
