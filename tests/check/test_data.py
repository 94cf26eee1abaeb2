"""The doctor finds what is wrong with the data before a run does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rein.check.data import check_data
from rein.check.survey import survey
from rein.config import ConfigError
from rein.data import domains, toy
from rein.data.classes import CLASSES, PALETTE
from rein.data.domain import Domain, Layout, Split
from rein.data.label_tables import CAMVID, CITYSCAPES_IDS, PALETTE_COLOURS, TRAIN_IDS, LabelTable

IMAGES, LABELS = "toy/game/images/train", "toy/game/labels/train"


def check(names: Sequence[str], root: Path, **options: Any) -> list[dict[str, Any]]:
    """The rows as a program reads them."""
    return json.loads(json.dumps(check_data(survey(names, root), **options)))


def kinds(row: dict[str, Any], what: str = "problems") -> dict[str, dict[str, Any]]:
    return {finding["kind"]: finding for finding in row[what]}


def files(finding: dict[str, Any]) -> list[str]:
    return [named["file"] for named in finding["files"]]


def save(path: Path, pixels: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers a domain of images and labels in the given table, and writes the labels given as arrays."""

    def make(table: LabelTable, *labels: Any) -> Path:
        rules = {"val": Split((Layout("images/*.png", (("labels/*.png", table),)),))}
        monkeypatch.setitem(domains.DOMAINS, "own", Domain("own", ("own",), rules))
        for number, label in enumerate(labels):
            save(tmp_path / f"own/labels/{number}.png", label)
            noise = np.random.default_rng(number).integers(0, 256, (*np.shape(label)[:2], 3))
            save(tmp_path / f"own/images/{number}.png", noise)
        return tmp_path

    return make


def test_sound_domains_have_a_row_per_split_and_no_finding(copied: Path) -> None:
    rows = check(["toy-game", "toy-night"], copied)
    assert [(row["domain"], row["split"], row["counts"]["images"]) for row in rows] == [
        ("toy-game", "train", 7),
        ("toy-game", "val", 2),
        ("toy-night", "val", 2),
    ]
    for row in rows:
        assert row["problems"] == row["remarks"] == []
        assert (
            row["image_sizes"] == row["label_sizes"] == [{"width": 192, "height": 96, "files": row["counts"]["read"]}]
        )
        assert row["images_per_second"] > 0 and row["megabytes_per_second"] > 0


def test_the_keys_of_the_json_are_these(copied: Path) -> None:
    (copied / IMAGES / "000001.png").write_bytes(b"")
    row = check(["toy-game"], copied)[0]
    assert list(row) == [
        "domain", "split", "folder", "image_pattern", "labels", "halved", "counts", "image_sizes", "label_sizes",
        "values", "classes", "void", "never", "not_labelled", "images_per_second", "megabytes_per_second", "problems",
        "remarks",
    ]  # fmt: skip
    assert list(row["labels"][0]) == ["pattern", "table", "files"]
    assert list(row["counts"]) == ["images", "expected", "unlabelled", "labels_without_image", "read", "unusable"]
    assert list(row["values"][0]) == ["table", "value", "class", "pixels", "files"]
    assert list(row["void"]) == list(row["classes"]["road"]) == ["share", "images"]
    assert list(row["problems"][0]) == ["kind", "text", "files"]
    assert list(row["problems"][0]["files"][0]) == ["file", "reason", "other"]
    assert list(check(["kitti"], copied)[0]) == list(row)  # nothing of it is there


def test_values_and_shares_are_those_of_the_files(copied: Path) -> None:
    labels = [pixels(path) for path in sorted((copied / LABELS).iterdir())]
    everything = np.stack(labels)
    row = check(["toy-game"], copied)[0]
    assert {entry["value"]: (entry["pixels"], entry["files"]) for entry in row["values"]} == {
        int(value): (int((everything == value).sum()), sum(value in label for label in labels))
        for value in np.unique(everything)
    }
    for name, entry in row["classes"].items():
        mask = everything == CLASSES.index(name)
        assert entry["share"] == pytest.approx(mask.mean())
        assert entry["images"] == mask.any((1, 2)).sum()
        assert (name in row["never"]) == (not mask.any())
    assert row["void"]["share"] == pytest.approx((everything == 255).mean())


def test_every_bad_file_is_named_with_its_reason_and_the_rest_is_read(copied: Path) -> None:
    images, labels = copied / IMAGES, copied / LABELS
    (images / "000000.png").write_bytes(b"")
    (images / "000001.png").write_bytes(b"no image")
    (labels / "000002.png").unlink()
    whole = (images / "000003.png").read_bytes()
    (images / "000003.png").write_bytes(whole[: len(whole) // 2])
    save(labels / "000004.png", np.full((96, 192), 77))
    save(labels / "000005.png", np.zeros((96, 96)))
    save(labels / "no image.png", np.zeros((96, 192)))
    row = check(["toy-game"], copied)[0]
    found = kinds(row)
    assert list(found) == ["unlabelled", "unusable", "unknown_ids"]
    assert files(found["unlabelled"]) == [str(images / "000002.png")]
    bad = [images / "000000.png", images / "000001.png", images / "000003.png", labels / "000005.png"]
    assert files(found["unusable"]) == list(map(str, bad))
    assert "96x96 pixels, its image 000005.png has 192x96" in found["unusable"]["files"][-1]["reason"]
    assert found["unusable"]["text"] == "4 pairs of image and label cannot be used"
    assert "77 (18,432 pixels in 1 file); data.unknown_ids=void" in found["unknown_ids"]["text"]
    assert files(found["unknown_ids"]) == [str(labels / "000004.png")]
    assert files(kinds(row, "remarks")["labels_without_image"]) == [str(labels / "no image.png")]
    assert row["counts"] == {
        "images": 7, "expected": None, "unlabelled": 1, "labels_without_image": 1, "read": 6, "unusable": 4,
    }  # fmt: skip


def test_whatever_else_a_file_does_to_its_decoder_is_told_too(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise MemoryError(f"no room for {path.name}")

    monkeypatch.setattr("rein.check.pair.read_image", fail)
    first, second = kinds(check(["toy-night"], copied)[0])["unusable"]["files"]
    assert first["reason"].startswith("MemoryError: no room for 000000.png") and "000001" in second["reason"]


def test_images_that_are_in_train_too_are_found_under_any_name(copied: Path) -> None:
    shutil.copy(copied / IMAGES / "000005.png", copied / "toy/game/images/val/000001.png")
    Image.open(copied / IMAGES / "000003.png").save(copied / "toy/game/images/val/000000.png", compress_level=0)
    train, val = check(["toy-game"], copied)
    assert train["problems"] == []
    leak = kinds(val)["leak"]
    assert leak["text"].startswith("2 images are in train too")
    assert leak["files"][1] == {
        "file": f"{copied}/toy/game/images/val/000001.png", "reason": None, "other": f"{copied}/{IMAGES}/000005.png"
    }  # fmt: skip


def test_images_of_one_domains_val_in_anothers_train_are_a_problem_of_both_together(copied: Path) -> None:
    shutil.copy(copied / IMAGES / "000005.png", copied / "toy/fog/images/val/000001.png")
    assert check(["toy-fog"], copied)[0]["problems"] == []
    _, val, fog = check(["toy-game", "toy-fog"], copied)
    assert val["problems"] == [] and kinds(fog)["leak"]["text"].startswith("1 image is in toy-game train too")
    assert kinds(fog)["leak"]["files"] == [
        {"file": f"{copied}/toy/fog/images/val/000001.png", "reason": None, "other": f"{copied}/{IMAGES}/000005.png"}
    ]


def test_an_image_that_is_in_its_own_train_too_is_told_once(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(domains.DOMAINS, "again", replace(domains.DOMAINS["toy-game"], name="again"))
    shutil.copy(copied / IMAGES / "000005.png", copied / "toy/game/images/val/000001.png")
    rows = check(["toy-game", "again"], copied)
    assert [len(row["problems"]) for row in rows] == [0, 1, 0, 1]


def test_images_that_repeat_within_a_split_are_a_remark(copied: Path) -> None:
    shutil.copy(copied / IMAGES / "000002.png", copied / IMAGES / "000004.png")
    row = check(["toy-game"], copied)[0]
    assert row["problems"] == []
    (named,) = kinds(row, "remarks")["duplicates"]["files"]
    assert (named["file"], named["other"]) == (f"{copied}/{IMAGES}/000004.png", f"{copied}/{IMAGES}/000002.png")


def test_a_train_image_saved_anew_under_its_name_is_a_remark(copied: Path) -> None:
    target = copied / "toy/game/images/val/000001.png"
    assert kinds(check(["toy-game"], copied)[1], "remarks") == {}  # another picture of the same name
    Image.open(copied / IMAGES / "000001.png").save(target.with_suffix(".jpg"), quality=85)
    Image.open(target.with_suffix(".jpg")).save(target)
    target.with_suffix(".jpg").unlink()
    row = check(["toy-game"], copied)[1]
    assert row["problems"] == [] and files(kinds(row, "remarks")["same_name"]) == [str(target)]


def test_odd_images_are_remarks(copied: Path) -> None:
    grey, turned = copied / IMAGES / "000001.png", copied / IMAGES / "000003.png"
    Image.open(grey).convert("L").save(grey)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.open(turned).save(turned, exif=exif)
    row = check(["toy-game"], copied)[0]
    assert row["problems"] == []
    odd = {named["file"]: named["reason"] for named in kinds(row, "remarks")["odd_images"]["files"]}
    assert odd == {str(grey): "grey", str(turned): "turned by EXIF"}


def test_so_many_files_as_are_asked_for_are_read_evenly_spaced(copied: Path) -> None:
    for number in (0, 2, 4):
        (copied / IMAGES / f"00000{number}.png").write_bytes(b"")
    train, val = check(["toy-game"], copied, files=3)
    assert (train["counts"]["read"], val["counts"]["read"]) == (3, 2) and train["counts"]["images"] == 7
    assert len(kinds(train)["unusable"]["files"]) == 3


def test_processes_find_what_one_does(copied: Path) -> None:
    (copied / IMAGES / "000001.png").write_bytes(b"")
    alone, together = (check(["toy-game"], copied, workers=workers) for workers in (0, 2))
    for row in (*alone, *together):
        row["images_per_second"] = row["megabytes_per_second"] = None
    assert alone == together and kinds(alone[0])["unusable"]


def test_label_ids_in_place_of_train_ids_are_recognised(own: Any) -> None:
    root = own(TRAIN_IDS, np.repeat([[7, 8, 11, 21, 23, 26]], 4, 0))
    text = kinds(check(["own"], root)[0])["unknown_ids"]["text"]
    assert "26 (4 pixels in 1 file)" in text and "all values fit label_ids" in text


def test_a_stray_id_gets_no_advice_on_tables(own: Any) -> None:
    sound = np.repeat([[3, 4, 5, 8]], 4, 0)
    row = check(["own"], own(CAMVID, np.where(sound == 8, 77, sound), sound, sound))[0]
    assert "77 (4 pixels in 1 file); data.unknown_ids=void" in kinds(row)["unknown_ids"]["text"]


def test_what_is_the_matter_with_most_files_is_said_once(own: Any) -> None:
    coloured = np.random.default_rng(0).integers(0, 256, (4, 6, 3))
    unusable = kinds(check(["own"], own(TRAIN_IDS, coloured, coloured, np.zeros((4, 6))))[0])["unusable"]
    assert unusable["text"].count("shows colours where ids are due") == 1
    assert unusable["text"].startswith("2 pairs of image and label cannot be used, 2 for one reason: ")


def test_train_images_that_are_not_there_are_no_matter_of_scores(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_game = domains.DOMAINS["toy-game"]
    splits = {name: replace(split, count=9) for name, split in toy_game.splits.items()}
    monkeypatch.setitem(domains.DOMAINS, "toy-game", replace(toy_game, splits=splits))
    train, val = (kinds(row, "remarks")["count"]["text"] for row in check(["toy-game"], copied))
    assert train == "2 of 9 images are not there: training sees the others alone"
    assert val == "7 of 9 images are not there: scores are not the whole split's"


def test_where_no_label_is_what_lies_there_instead_is_named(copied: Path) -> None:
    save(copied / "bdd100k/images/10k/val/a.jpg", np.zeros((4, 8, 3)))
    save(copied / "bdd100k/labels/sem_seg/colormaps/val/a.png", np.zeros((4, 8, 3)))
    row = check(["bdd100k"], copied)[1]
    assert "labels/sem_seg holds colormaps/" in kinds(row)["unlabelled"]["text"]


def test_every_pattern_that_labels_were_looked_for_by_is_listed(copied: Path) -> None:
    save(copied / "cityscapes/leftImg8bit/val/a/a_leftImg8bit.png", np.zeros((4, 8, 3)))
    row = check(["cityscapes"], copied)[1]
    assert "gtFine/val/*/*_gtFine_labelTrainIds.png or 5 other patterns" in kinds(row)["unlabelled"]["text"]
    assert len({label["pattern"] for label in row["labels"]}) == 6


def test_labels_beside_the_domains_folder_are_counted_by_their_pattern(copied: Path) -> None:
    save(copied / "foggy_cityscapes/leftImg8bit_foggy/val/a/a_leftImg8bit_foggy_beta_0.02.png", np.zeros((4, 8, 3)))
    save(copied / "Cityscapes/gtFine/val/a/a_gtFine_labelIds.png", np.full((4, 8), 7))
    row = check(["foggy-cityscapes"], copied)[1]
    assert [label["pattern"] for label in row["labels"] if label["files"]] == [
        "../cityscapes/gtFine/val/*/*_gtFine_labelIds.png"
    ]
    assert row["problems"] == [] and row["classes"]["road"]["share"] == 1


def test_train_ids_in_place_of_label_ids_are_recognised(own: Any) -> None:
    right = np.repeat([[7, 8, 11, 21, 23, 26]], 4, 0)
    wrong = CITYSCAPES_IDS.lookup()[right]
    row = check(["own"], own(CITYSCAPES_IDS, wrong, wrong[::-1], right))[0]
    assert "2 of 3 labels look like train ids" in kinds(row)["other_table"]["text"]
    row = check(["own"], own(CITYSCAPES_IDS, wrong, right, right))[0]
    assert row["problems"] == [] and "1 of 3" in kinds(row, "remarks")["other_table"]["text"]
    row = check(["own"], own(CITYSCAPES_IDS, right, right, right))[0]
    assert row["problems"] == [] and "other_table" not in kinds(row, "remarks")


def test_labels_that_say_nothing_are_remarks(own: Any) -> None:
    void = np.full((4, 6), 255)
    row = check(["own"], own(TRAIN_IDS, void, void))[0]
    assert len(kinds(row, "remarks")["void_labels"]["files"]) == 2
    assert kinds(row, "remarks")["one_value"]["text"].endswith("all 2 labels has the value 255")


def test_labels_of_another_size_are_a_remark_with_both_sizes(own: Any) -> None:
    root = own(TRAIN_IDS, np.zeros((50, 100)), np.ones((50, 100)))
    save(root / "own/labels/1.png", np.ones((51, 102)))
    row = check(["own"], root)[0]
    assert row["problems"] == []
    said = kinds(row, "remarks")["label_sizes"]
    assert "1 of 2 labels" in said["text"] and said["files"] == [
        {"file": f"{root}/own/labels/1.png", "reason": "102x51 for 100x50", "other": None}
    ]


def test_a_table_of_more_values_than_a_byte_tells_apart_is_counted_by_class(own: Any) -> None:
    table = LabelTable({value: "road" if value % 2 else "sky" for value in range(1, 256)} | {0: "void"})
    row = check(["own"], own(table, np.arange(256).reshape(16, 16)))[0]
    assert row["problems"] == []
    assert row["classes"]["road"]["share"] == 0.5 and row["void"]["share"] == 1 / 256


def test_a_split_that_is_not_there_is_a_problem_only_if_none_is(copied: Path) -> None:
    missing = check(["kitti"], copied)[0]
    assert missing["counts"]["images"] == 0 and "--data" in kinds(missing)["missing"]["text"]
    shutil.copytree(copied / "toy/game/images/val", copied / "cityscapes/leftImg8bit/val/a")
    (copied / "cityscapes/leftImg8bit/val/a/000000.png").rename(
        copied / "cityscapes/leftImg8bit/val/a/a_leftImg8bit.png"
    )
    train, val = check(["cityscapes"], copied)
    assert train["problems"] == [] and "split_missing" in kinds(train, "remarks")
    assert list(kinds(val)) == ["unlabelled"] and "499 of 500" in kinds(val, "remarks")["count"]["text"]


def test_without_names_what_is_there_is_looked_at(copied: Path) -> None:
    assert {row["domain"] for row in check([], copied)} == {f"toy-{style}" for style in toy.STYLES}
    assert check([], copied / "nowhere") == []


def test_a_domain_that_only_shares_a_folder_is_left_out_unless_it_is_named(copied: Path) -> None:
    for split in ("train", "val"):
        save(copied / f"CamVid/{split}/0016E5_07959.png", np.zeros((4, 6, 3)))
        save(copied / f"CamVid/{split}annot/0016E5_07959.png", np.zeros((4, 6)))
    assert "camvid-dusk" not in {row["domain"] for row in check([], copied)}
    assert "camvid-day" in {row["domain"] for row in check([], copied)}
    assert "missing" in kinds(check(["camvid-dusk"], copied)[0])


def test_the_files_of_a_family_are_looked_at_once(copied: Path) -> None:
    save(copied / "cityscapes/leftImg8bit/val/a/a_leftImg8bit.png", np.zeros((4, 8, 3)))
    save(copied / "cityscapes/gtFine/val/a/a_gtFine_labelTrainIds.png", np.zeros((4, 8)))
    save(copied / "cityscapes/gtFine/val/a/a_gtFine_labelIds.png", np.full((4, 8), 7))
    rows = check(["cityscapes-c"], copied)
    assert [(row["domain"], row["split"], row["counts"]["read"]) for row in rows] == [("cityscapes-c", "val", 1)]
    assert [label["files"] for label in rows[0]["labels"]] == [1, 0, 0, 0, 0, 0]
    assert rows[0]["problems"] == [] and rows[0]["counts"]["labels_without_image"] == 0
    assert "cityscapes-c" not in " ".join(row["domain"] for row in check([], copied))


def test_domains_of_ones_own_are_looked_at_without_being_named(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "domains").mkdir()
    (tmp_path / "domains/mine.yaml").write_text("ids: [soil, crop]\nval: {images: i/*.png, labels: l/*.png}\n")
    save(copied / "mine/i/a.png", np.zeros((4, 8, 3)))
    save(copied / "mine/l/a.png", np.ones((4, 8)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(domains.DOMAINS, "mine", domains.DOMAINS["kitti"])  # undone in the end, as its registration
    row = next(row for row in check([], copied) if row["domain"] == "mine")
    assert row["classes"] == {"soil": {"share": 0, "images": 0}, "crop": {"share": 1, "images": 1}}
    assert row["labels"][0]["table"] == "own table" and row["not_labelled"] == []


def test_images_that_have_no_labels_by_rule_are_no_problem(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"train": Split((Layout("images/val/*.png", ()),))}
    monkeypatch.setitem(domains.DOMAINS, "bare", Domain("bare", ("toy/day",), rules))
    row = check(["bare"], copied)[0]
    assert (row["problems"], row["counts"]["images"], row["counts"]["read"]) == ([], 2, 0)


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?=.*kity).*unknown domain.*did you mean `kitti`"):
        check(["kity"], tmp_path)


def test_the_real_data_sets_are_sound(real_data: Path) -> None:
    rows = check([], real_data, files=5)
    assert {row["domain"] for row in rows} == {"camvid-day", "camvid-dusk", "carla", "kitti"}
    assert [row["problems"] for row in rows] == [[]] * len(rows)
    kitti = kinds(next(row for row in rows if row["domain"] == "kitti"), "remarks")
    assert "1242x375 for 1224x370" in kitti["label_sizes"]["text"]


def test_labels_that_are_shifted_are_a_remark(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rein.check.alignment.FEW_FILES", 5)
    assert check(["toy-game"], copied)[0]["remarks"] == []
    for path in (copied / LABELS).iterdir():
        save(path, np.roll(pixels(path), 8, 1))
    row = check(["toy-game"], copied)[0]
    shifted = kinds(row, "remarks")["shifted"]
    assert "(8, 0) pixels" in shifted["text"] and len(shifted["files"]) == 7 and row["problems"] == []


def test_colours_are_counted_as_colours(own: Any) -> None:
    root = own(PALETTE_COLOURS, np.array([[PALETTE[0], PALETTE[0], PALETTE[10], (1, 2, 3)]]))
    row = check(["own"], root)[0]
    assert {entry["value"]: entry["class"] for entry in row["values"]} == {
        "#804080": "road", "#4682b4": "sky", "#010203": None,
    }  # fmt: skip
    assert "#010203 (1 pixels in 1 file)" in kinds(row)["unknown_ids"]["text"]
