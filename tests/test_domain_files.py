"""Data sets of one's own: found, read to exact labels, and refused with file, key and the nearest word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rein import catalogue, domain_files
from rein.check.survey import survey
from rein.config import ConfigError, Experiment
from rein.config_io import build, check_data, check_domain
from rein.data.dataset import WholeImages
from rein.data.domain import DataError
from rein.data.domains import DOMAINS, SHIPPED, find
from rein.data.listing import samples
from rein.sweeps.on_ray import start

MINE = """\
train: {images: images/train/*.jpg, labels: labels/train/*.png}
val: {images: images/val/*.jpg, labels: labels/val/*.png}
"""
TRAIN = "train: {images: i/*.jpg, labels: l/*.png}\n"


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a `domains` folder; what tests register is forgotten."""
    before = dict(DOMAINS)
    (tmp_path / "study" / "domains").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.delenv("REIN_DOMAINS", raising=False)
    yield tmp_path / "study"
    DOMAINS.clear()
    DOMAINS.update(before)


def describe(text: str, name: str = "mine", folder: Path = Path("domains")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def experiment(**data: object) -> Experiment:
    return build(Experiment, {"data": {"sources": ["mine"], "targets": ["toy-day"], **data}})


def refusal(text: str) -> str:
    describe(text)
    with pytest.raises(ConfigError) as caught:
        check_domain("mine", "train")
    return str(caught.value)


def write_pair(root: Path, label: np.ndarray, split: str = "train", name: str = "a") -> None:
    image = root / "images" / split / f"{name}.jpg"
    mask = root / "labels" / split / f"{name}.png"
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", label.shape[1::-1]).save(image)
    Image.fromarray(label).save(mask)


def read(data: Path, split: str = "train", **given: object) -> list[list[int]]:
    chosen = experiment(**given).data
    return WholeImages(samples(find("mine"), split, data), chosen)[0][1].tolist()


IDS = np.array([[0, 1, 9, 255]], np.uint8)


@pytest.mark.parametrize(
    "ids",
    ["{0: road, 1: sidewalk, 9: [person], 255: void}", "{0: road, 1: sidewalk, 9: person, 255: void, 7: car}",
     "[road, sidewalk, void, void, void, void, void, void, void, person, " + "void, " * 245 + "void]"],
)  # fmt: skip
def test_ids_are_read_by_the_files_table(tmp_path: Path, ids: str) -> None:
    describe(f"{MINE}ids: {ids}")
    write_pair(tmp_path / "mine", IDS)
    assert read(tmp_path) == [[0, 1, 11, 255]]


def test_a_known_table_can_be_named(tmp_path: Path) -> None:
    describe(MINE + "ids: label_ids")
    write_pair(tmp_path / "mine", np.array([[7, 26, 3]], np.uint8))
    assert read(tmp_path) == [[0, 13, 255]]


def test_colours_are_read_exactly(tmp_path: Path) -> None:
    describe(MINE + "colours: {road: [[128, 64, 128], [1, 2, 3]], void: [0, 0, 0]}")
    painted = np.array([[[128, 64, 128], [1, 2, 3], [0, 0, 0]]], np.uint8)
    write_pair(tmp_path / "mine", painted)
    assert read(tmp_path) == [[0, 0, 255]]
    write_pair(tmp_path / "mine", painted + 1)
    with pytest.raises(DataError, match="table"):
        read(tmp_path)


def test_a_channel_holds_the_ids(tmp_path: Path) -> None:
    describe(MINE + "ids: {4: car, 5: bus}\nchannel: 2")
    write_pair(tmp_path / "mine", np.array([[[9, 8, 4], [9, 8, 5]]], np.uint8))
    assert read(tmp_path) == [[13, 15]]


def test_own_classes_are_told_apart_and_all_others_void(tmp_path: Path) -> None:
    describe(MINE + "ids: {0: road, 1: lane, 9: kerb, 255: void}")
    write_pair(tmp_path / "mine", IDS)
    assert read(tmp_path, classes=["kerb", "lane"], targets=["mine"]) == [[255, 1, 0, 255]]


def test_root_size_and_note_are_the_files(tmp_path: Path) -> None:
    describe(
        MINE
        + "root: deep/er\nids: {0: road, 1: sidewalk, 9: person, 255: void}\nevaluation_size: [64, 32]\nnote: hello"
    )
    write_pair(tmp_path / "Deep" / "er", IDS)
    assert read(tmp_path) == [[0, 1, 11, 255]]
    assert find("mine").evaluation_size == (64, 32) and find("mine").note == "hello"


def test_a_list_beside_the_file_keeps_what_it_names(tmp_path: Path) -> None:
    describe(MINE.replace("train/*.png}", "train/*.png, names: sixteenth.txt}") + "ids: train_ids")
    Path("domains/sixteenth.txt").write_text("b\n")
    for name in "abc":
        write_pair(tmp_path / "mine", np.zeros((1, 1), np.uint8), name=name)
    check_domain("mine")
    assert [file.image.stem for file in samples(find("mine"), "train", tmp_path)] == ["b"]


def test_the_working_folder_comes_before_the_environments(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIN_DOMAINS", f"{tmp_path / 'x'}{os.pathsep}{tmp_path / 'y'}")
    for folder, names in ((tmp_path / "y", "abc"), (tmp_path / "x", "ab"), (study / "domains", "a")):
        for name in names:
            describe(f"{TRAIN}ids: train_ids\nnote: {folder.name}", name, folder)
    for name in "abc":
        check_domain(name, "train")
    assert [find(name).note for name in "abc"] == ["domains", "x", "y"]
    assert {name: path.parent.name for name, path in domain_files.files().items()} == {
        "a": "domains",
        "b": "x",
        "c": "y",
    }


def test_a_file_that_changed_is_read_again() -> None:
    path = describe(TRAIN + "ids: train_ids\nnote: old")
    check_domain("mine")
    path.write_text(TRAIN + "ids: train_ids\nnote: newer")
    check_domain("mine")
    assert find("mine").note == "newer"


def test_a_file_replaces_a_shipped_domain_of_its_name(tmp_path: Path) -> None:
    describe(MINE + "root: odd\nids: train_ids", "cityscapes")
    write_pair(tmp_path / "odd", np.zeros((1, 1), np.uint8), "val")
    build(Experiment, {"data": {"sources": ["gta"], "targets": ["cityscapes"]}})
    assert [file.image.stem for file in samples(find("cityscapes"), "val", tmp_path)] == ["a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TRAIN + "idss: {0: road}", "unknown key `idss` (did you mean `ids`?)"),
        (TRAIN.replace("labels", "label") + "ids: train_ids", "unknown key `train.label` (did you mean `labels`?)"),
        ("train: {labels: l/*.png}\nids: train_ids", "`train.images` is missing"),
        (TRAIN + "ids: lable_ids", "`ids`: no table 'lable_ids' (did you mean `label_ids`?); known: train_ids"),
        (TRAIN + "ids: {a: road}", "`ids.a` is 'a'"),
        (TRAIN + "ids: {70000: road}", "`ids.70000` is 70000"),
        (TRAIN + "ids: {0: [road, car]}", "`ids.0` is ['road', 'car']"),
        (TRAIN + "colours: {road: [1, 2, 300]}", "`colours.road.0.2` is 300"),
        (TRAIN + "colours: {road: [1, 2, 3], car: [1, 2, 3]}", "`colours.car` is [1, 2, 3], the colour of road"),
        (TRAIN + "ids: {0: road}\ncolours: {car: [1, 2, 3]}", "`ids` or `colours`, and one of them alone"),
        (TRAIN, "`ids` or `colours`, and one of them alone"),
        (TRAIN + "ids: train_ids\nchannel: 1", "`channel` belongs to `ids` that the file lists"),
        ("ids: train_ids", "neither `train` nor `val`"),
        (TRAIN.replace("l/*", "l/*/*") + "ids: train_ids", "`train.labels` has more `*` than `train.images`"),
        (TRAIN.replace("}", ", names: no.txt}") + "ids: train_ids", "`train.names`: domains/no.txt is not there"),
        ("train: [", "cannot be read as YAML: while parsing"),
        ("root: ../odd\n" + TRAIN + "ids: train_ids", "`root` is '../odd': a folder below --data, or an absolute one"),
        (TRAIN.replace("i/*", "i/**/*") + "ids: train_ids", "`train.images` is 'i/**/*.jpg': `**` does not stand for"),
        (TRAIN.replace("l/*.png", "l/*") + "ids: train_ids", "`train.labels` is 'l/*': its last part is no file name"),
        (TRAIN.replace("l/*.png", "l/") + "ids: train_ids", "an ending (.png .jpg"),
        (TRAIN.replace("i/*", "../i/*") + "ids: train_ids", "for example images/*/*.png"),
        (TRAIN.replace("i/*", "/i/*") + "ids: train_ids", "it leads out of the domain's folder; `root` says"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_refused_with_its_file_and_key(text: str, words: str) -> None:
    message = refusal(text).replace(f"{Path.cwd()}/", "")
    assert message.startswith("domains/mine.yaml") and words in message


def test_an_error_of_yaml_names_the_file_where_it_names_a_line() -> None:
    message = refusal("train: [")
    assert message.count("domains/mine.yaml") > 1 and "unicode string" not in message


@pytest.mark.parametrize("name", ["../mine", "a/b", "..", "", "a\\b"])
def test_a_name_with_folders_is_refused(name: str) -> None:
    describe(TRAIN + "ids: train_ids", folder=Path())
    with pytest.raises(ConfigError, match="is no domain's name"):
        check_domain(name)


def test_a_root_may_be_absolute_and_a_pattern_begin_with_a_dot(tmp_path: Path) -> None:
    describe(
        MINE.replace("images/", "./images/").replace("labels/", "./labels/./") + f"ids: train_ids\nroot: {tmp_path}/far"
    )
    write_pair(tmp_path / "far", np.zeros((1, 1), np.uint8))
    assert read(tmp_path / "data") == [[0]]


def test_one_bad_file_leaves_the_others_known(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    describe("train: [", "bad")
    describe(TRAIN + "ids: train_ids")
    names = [row["name"] for row in catalogue.entries("domains", tmp_path)]
    assert "mine" in names and "bad" not in names
    assert "domains/bad.yaml: cannot be read as YAML" in caplog.text
    assert survey([], tmp_path) == []


def test_a_file_that_is_gone_describes_nothing_any_more() -> None:
    describe(MINE + "ids: train_ids").rename("kept.yaml")
    Path("kept.yaml").rename("domains/cityscapes.yaml")
    check_domain("cityscapes")
    assert find("cityscapes") != SHIPPED["cityscapes"]
    Path("domains/cityscapes.yaml").unlink()
    check_domain("cityscapes")
    assert find("cityscapes") == SHIPPED["cityscapes"]


@pytest.mark.parametrize(("key", "split"), [("targets", "val"), ("sources", "train")])
def test_a_domain_that_labels_none_of_the_classes_is_refused(key: str, split: str) -> None:
    describe(TRAIN + "ids: {0: lane, 1: crop}")
    describe(TRAIN.replace("train", split) + "ids: {0: road, 1: car}", "other")
    data = {"sources": ["mine"], "targets": ["other"]} if key == "targets" else {"sources": ["mine", "other"]}
    with pytest.raises(
        ConfigError, match=rf"`data\.{key}`: other labels none of .*\(lane, crop\); it labels car, road"
    ):
        experiment(classes=["lane", "crop"], **data)


def test_a_holdout_of_nothing_and_a_run_without_scores_are_refused() -> None:
    describe(MINE + "ids: train_ids")
    with pytest.raises(ConfigError, match=r"`data\.holdout` is 0\.1: .* mine has one; take it out"):
        experiment(holdout=0.1)
    describe(TRAIN + "ids: train_ids")
    assert experiment(holdout=0.1, targets=[]).data.holdout == 0.1
    with pytest.raises(ConfigError, match=r"nothing would be scored: .* mine without a val split; name a target"):
        experiment(targets=[])


def test_an_unknown_name_gets_the_nearest_of_ones_own_too() -> None:
    describe(TRAIN + "ids: train_ids", "my_streets")
    with pytest.raises(
        ConfigError, match=r"unknown domain 'my_street' \(did you mean `my_streets`\?\).*domains/my_street\.yaml"
    ):
        check_domain("my_street")


def test_a_misspelt_class_never_becomes_void() -> None:
    describe(TRAIN + "ids: {0: raod, 1: car}")
    with pytest.raises(
        ConfigError, match=r"mine labels 'raod', .*\(did you mean `road`\?\); correct .*domains/mine\.yaml"
    ):
        experiment()
    with pytest.raises(ConfigError, match=r"`data.classes`: no source labels 'road' \(did you mean `raod`\?\)"):
        experiment(classes=["road", "car"])
    with pytest.raises(ConfigError, match="labels 'raod'"):  # as a target as well
        describe(TRAIN.replace("train", "val") + "ids: {0: raod}", "other")
        build(Experiment, {"data": {"sources": ["gta"], "targets": ["other"]}})


def test_own_classes_may_come_from_several_sources() -> None:
    describe(TRAIN + "ids: {0: lane, 1: car}")
    describe(TRAIN + "ids: {0: kerb, 1: car}", "other")
    classes = ["lane", "kerb", "car"]
    assert experiment(sources=["mine", "other"], classes=classes).classes == tuple(classes)
    with pytest.raises(ConfigError, match="no source labels 'kerb'"):
        experiment(classes=classes)


@pytest.mark.parametrize(
    ("text", "data", "words"),
    [
        ("train: {images: i/*.jpg}", {}, "mine has no labels in its train split, so it cannot be trained on"),
        (TRAIN + "ids: train_ids\nval: {images: v/*.jpg}", {}, "`data.sources`: mine has no labels in its val split"),
        ("val: {images: v/*.jpg}", {"sources": ["gta"], "targets": ["mine"]}, "`data.targets`: mine has no labels"),
        (TRAIN + "ids: train_ids", {"sources": ["gta"], "targets": ["mine"]}, "it can only be trained on"),
    ],
)  # fmt: skip
def test_a_split_is_refused_for_what_it_cannot_do(text: str, data: dict[str, object], words: str) -> None:
    describe(text)
    with pytest.raises(ConfigError) as caught:
        experiment(**data)
    assert words in str(caught.value)


def test_families_can_be_targets_and_not_sources() -> None:
    describe(TRAIN + "ids: train_ids")
    assert experiment(targets=["cityscapes-c-fog", "cityscapes-c"]).data.targets == ("cityscapes-c-fog", "cityscapes-c")
    with pytest.raises(ConfigError, match="cityscapes-c-fog-1 has no train split"):
        experiment(sources=["cityscapes-c-fog"])


def test_an_experiment_made_in_python_is_checked_before_it_trains(tmp_path: Path) -> None:
    from rein.config import Data, Machine
    from rein.training import train

    wrong = Experiment(data=Data(sources=("gat",), targets=()))
    with pytest.raises(ConfigError, match=r"unknown domain 'gat' \(did you mean `gta`\?\)"):
        train(wrong, Machine(data=tmp_path, runs=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_worker_in_another_working_folder_finds_the_drivers_files(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(TRAIN + "ids: train_ids\nnote: the driver's")
    describe(TRAIN + "ids: train_ids", "shared", tmp_path / "shared")
    monkeypatch.setenv("REIN_DOMAINS", "../shared")
    sent = start.environment()
    assert sent == {"env_vars": {"REIN_DOMAINS": f"{study / 'domains'}{os.pathsep}{study / '../shared'}"}}

    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")
    DOMAINS.pop("mine", None)
    for key, value in sent["env_vars"].items():
        monkeypatch.setenv(key, value)
    check_data(experiment(sources=["mine", "shared"]))
    assert find("mine").note == "the driver's"


def test_nothing_is_sent_where_there_are_no_files(study: Path) -> None:
    (study / "domains").rmdir()
    assert start.environment() is None
