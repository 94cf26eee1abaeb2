"""Which files are found: links, odd names, endings, lists of names, and what is said when something is wrong."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.data import listing
from rein.data.domain import DataError, Domain, Layout, Split
from rein.data.domains import find
from rein.data.label_tables import CITYSCAPES_IDS, TRAIN_IDS
from rein.data.listing import look, samples


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def domain(images: str, *labels: str, names: Path | None = None, prefixes: tuple[str, ...] = ()) -> Domain:
    pairs = tuple((label, TRAIN_IDS) for label in labels)
    return Domain("mine", ("mine",), {"train": Split((Layout(images, pairs),), prefixes, names=names)})


def stems(rule: Domain, root: Path) -> list[str]:
    return [file.image.stem for file in samples(rule, "train", root)]


def relative(rule: Domain, root: Path) -> list[tuple[str, str]]:
    """(image, label) below the domain's folder."""
    return [
        (file.image.relative_to(root / "mine").as_posix(), file.label.relative_to(root / "mine").as_posix())
        for file in samples(rule, "train", root)
    ]


SIMPLE = domain("images/*.jpg", "labels/*.png")


def test_samples_are_in_the_order_of_their_paths(tmp_path: Path) -> None:
    touch(tmp_path, *(f"mine/{kind}/{name}.png" for kind in ("images", "labels") for name in "bac"))
    assert stems(SIMPLE, tmp_path) == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["two words", "Straße 東京", "a.b.c", "100%", "[x]", "-dash", "x_labelTrainIds"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"mine/images/{name}.jpg", f"mine/labels/{name}.png")
    assert relative(SIMPLE, tmp_path) == [(f"images/{name}.jpg", f"labels/{name}.png")]


def test_case_and_ending_do_not_matter(tmp_path: Path) -> None:
    touch(tmp_path, "MINE/Images/A.JPEG", "MINE/Images/b.png", "MINE/LABELS/a.PNG", "MINE/LABELS/B.png")
    files = samples(SIMPLE, "train", tmp_path)
    assert [(file.image.name, file.label.name) for file in files] == [("A.JPEG", "a.PNG"), ("b.png", "B.png")]


def test_of_names_that_differ_in_case_alone_each_has_its_own_label(tmp_path: Path) -> None:
    names = ("aA", "aa", "AA", "Aa")
    touch(tmp_path, *(f"mine/{kind}/{name}.png" for kind in ("images", "labels") for name in names))
    files = samples(SIMPLE, "train", tmp_path)
    assert len(files) == 4 and all(file.image.name == file.label.name for file in files)


def test_an_image_does_not_take_the_label_of_another_case(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/aA.jpg", "mine/images/aa.jpg", "mine/labels/aa.png")
    found = look(SIMPLE, "train", tmp_path)
    assert [file.image.name for file in found.samples] == ["aa.jpg"]
    assert [path.name for path in found.unlabelled] == ["aA.jpg"]


@pytest.mark.parametrize("label", ["labels/*.png", "labels/*/x.png"])
def test_labels_of_which_none_is_called_exactly_so_are_named(tmp_path: Path, label: str) -> None:
    touch(tmp_path, "mine/images/AA.jpg", *(f"mine/{label.replace('*', name)}" for name in ("aA", "aa")))
    with pytest.raises(DataError, match=r"mine/labels: aA.* and aa.* differ in case alone.*AA"):
        samples(domain("images/*.jpg", label), "train", tmp_path)


@given(st.text("aAbB", min_size=1, max_size=3), st.sets(st.text("aAbB", min_size=1, max_size=3), min_size=1))
def test_the_label_is_the_one_of_that_name_else_the_only_one_without_case(name: str, labels: set[str]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        touch(root, f"mine/images/{name}.jpg", *(f"mine/labels/{label}.png" for label in labels))
        alike = [label for label in labels if label.lower() == name.lower()]
        if name not in labels and len(alike) > 1:
            with pytest.raises(DataError, match="differ in case"):
                look(SIMPLE, "train", root)
            return
        chosen = [name] if name in labels else alike
        assert [file.label.stem for file in look(SIMPLE, "train", root).samples] == chosen


@pytest.mark.parametrize("forms", [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_as_macos_writes_them_pair_with_those_of_others(tmp_path: Path, forms: tuple[str, str]) -> None:
    image, label = (unicodedata.normalize(form, "Übü/é") for form in forms)
    touch(tmp_path, f"mine/images/{image}.jpg", f"mine/labels/{label}.png")
    assert relative(domain("images/Übü/*.jpg", "labels/Übü/*.png"), tmp_path) == [
        (f"images/{image}.jpg", f"labels/{label}.png")
    ]
    assert len(samples(domain("images/*/*.jpg", "labels/*/*.png"), "train", tmp_path)) == 1


def test_labels_may_lie_beside_the_domains_folder(tmp_path: Path) -> None:
    touch(tmp_path, "disk/images/a.jpg", "other/labels/a.png")
    (tmp_path / "mine").symlink_to(tmp_path / "disk")
    (file,) = samples(domain("images/*.jpg", "../Other/labels/*.png"), "train", tmp_path)
    assert file.label == tmp_path / "other/labels/a.png"


def test_of_one_name_with_several_endings_the_written_one_counts(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "mine/images/a.png",
        "mine/images/a.jpg",
        "mine/images/b.png",
        "mine/labels/a.png",
        "mine/labels/b.png",
    )
    assert [image for image, _ in relative(SIMPLE, tmp_path)] == ["images/a.jpg", "images/b.png"]


def test_images_and_labels_may_share_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "mine/a.png", "mine/a_mask.png", "mine/b.png", "mine/b_mask.png")
    assert relative(domain("*.png", "*_mask.png"), tmp_path) == [("a.png", "a_mask.png"), ("b.png", "b_mask.png")]


def test_images_and_labels_may_share_folder_and_name(tmp_path: Path) -> None:
    touch(tmp_path, "mine/a.jpg", "mine/a.png", "mine/b.jpg")
    found = look(domain("*.jpg", "*.png"), "train", tmp_path)
    assert [(file.image.name, file.label.name) for file in found.samples] == [("a.jpg", "a.png")]
    assert [path.name for path in found.unlabelled] == ["b.jpg"]


def test_the_first_label_that_is_there_counts_with_its_table(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "gta/images/1.png",
        "gta/images/2.png",
        "gta/labels/1.png",
        "gta/labels/1_labelTrainIds.png",
        "gta/labels/2.png",
    )
    first, second = samples(find("gta"), "train", tmp_path)
    assert first.label.name == "1_labelTrainIds.png" and first.table is TRAIN_IDS
    assert second.label.name == "2.png" and second.table.names[34] == "void"


def test_stars_go_from_the_images_path_into_the_labels(tmp_path: Path) -> None:
    rule = domain("rgb/*/train/*/*_x_*.png", "gt/*/train/*/*_y_*.png")
    touch(
        tmp_path, "mine/rgb/fog/train/s1/a_x_7.png", "mine/gt/Fog/train/s1/a_y_7.png", "mine/gt/rain/train/s1/a_y_7.png"
    )
    assert relative(rule, tmp_path) == [("rgb/fog/train/s1/a_x_7.png", "gt/Fog/train/s1/a_y_7.png")]


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "disk/images/a.jpg", "disk/labels/a.png", "other/b.jpg", "other/b.png")
    (tmp_path / "mine").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/images/b.jpg").symlink_to(tmp_path / "other/b.jpg")
    (tmp_path / "disk/labels/b.png").symlink_to(tmp_path / "other/b.png")
    assert relative(SIMPLE, tmp_path) == [("images/a.jpg", "labels/a.png"), ("images/b.jpg", "labels/b.png")]


def test_a_dangling_link_is_not_dropped_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "mine/labels/a.png")
    (tmp_path / "mine/images").mkdir()
    (tmp_path / "mine/images/a.jpg").symlink_to(tmp_path / "gone.jpg")
    assert stems(SIMPLE, tmp_path) == ["a"]


def test_folders_and_resource_forks_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/a.jpg", "mine/images/._a.jpg", "mine/images/Thumbs.db", "mine/labels/a.png")
    (tmp_path / "mine/images/b.jpg").mkdir()
    assert stems(SIMPLE, tmp_path) == ["a"]


def test_a_data_folder_whose_name_holds_the_words_of_a_pattern_changes_no_label(tmp_path: Path) -> None:
    root = tmp_path / "images" / "labels*" / "val"
    touch(root, "mine/images/a.jpg", "mine/labels/a.png")
    assert relative(SIMPLE, root) == [("images/a.jpg", "labels/a.png")]


def test_only_names_with_a_prefix_are_kept(tmp_path: Path) -> None:
    touch(tmp_path, *(f"mine/{kind}/{name}.png" for kind in ("images", "labels") for name in ("a1", "b1", "c1")))
    assert stems(domain("images/*.jpg", "labels/*.png", prefixes=("a", "c")), tmp_path) == ["a1", "c1"]


@pytest.mark.parametrize(
    "line",
    ["ulm_1_leftImg8bit", "ulm_1", "ulm/ulm_1_leftImg8bit.png", "./leftImg8bit/train/ulm/ulm_1_leftImg8bit.png",
     "leftImg8bit/train/ulm/ulm_1_leftImg8bit.png gtFine/train/ulm/ulm_1_gtFine_labelIds.png"],
)  # fmt: skip
def test_a_list_names_images_by_stem_or_path(tmp_path: Path, line: str) -> None:
    for name in ("ulm_1", "ulm_2"):
        touch(
            tmp_path,
            f"mine/leftImg8bit/train/ulm/{name}_leftImg8bit.png",
            f"mine/gtFine/train/ulm/{name}_gtFine_labelIds.png",
        )
    (tmp_path / "list.txt").write_text(f"{line}\n\n")
    pattern, label = "leftImg8bit/train/*/*_leftImg8bit.png", "gtFine/train/*/*_gtFine_labelIds.png"
    assert stems(domain(pattern, label, names=tmp_path / "list.txt"), tmp_path) == ["ulm_1_leftImg8bit"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_may_come_from_any_editor(tmp_path: Path, encoding: str, end: str) -> None:
    touch(tmp_path, *(f"mine/{kind}/{town}/ä.png" for kind in ("images", "labels") for town in ("x", "y")))
    mark = "\ufeff" if encoding.startswith("utf-16-") else ""
    (tmp_path / "list.txt").write_bytes(f"{mark}x\\ä.png{end}images\\y\\ä.png{end}".encode(encoding))
    listed = domain("images/*/*.png", "labels/*/*.png", names=tmp_path / "list.txt")
    assert [image for image, _ in relative(listed, tmp_path)] == ["images/x/ä.png", "images/y/ä.png"]


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/a.png", "mine/labels/a.png")
    (tmp_path / "list.txt").write_bytes(b"\xe4\n")
    with pytest.raises(DataError, match=r"list\.txt: cannot be read as a list of names .*; save it as UTF-8"):
        samples(domain("images/*.png", "labels/*.png", names=tmp_path / "list.txt"), "train", tmp_path)


def test_a_listed_name_may_have_spaces(tmp_path: Path) -> None:
    touch(tmp_path, *(f"mine/{kind}/{name}.png" for kind in ("images", "labels") for name in ("a", "a b")))
    (tmp_path / "list.txt").write_text("a b.png\n")
    assert stems(domain("images/*.png", "labels/*.png", names=tmp_path / "list.txt"), tmp_path) == ["a b"]


@pytest.mark.parametrize(
    ("line", "words"), [("c", "'c' is no image of the split"), ("a", "'a' is the name of 2 images; give their paths")]
)
def test_a_list_that_does_not_fit_is_named(tmp_path: Path, line: str, words: str) -> None:
    touch(tmp_path, *(f"mine/{kind}/{town}/a.png" for kind in ("images", "labels") for town in ("x", "y")))
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(DataError, match=rf"list\.txt: {words}"):
        samples(domain("images/*/*.png", "labels/*/*.png", names=tmp_path / "list.txt"), "train", tmp_path)


@pytest.mark.parametrize("made", [False, True])
def test_a_missing_folder_is_named_with_the_next_step(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "gta").mkdir()
    with pytest.raises(DataError) as caught:
        samples(find("gta"), "train", tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "gta") in message and "--data" in message and "images/*.png" in message
    assert ("where there is no such file" if made else "is not there") in message


def test_images_without_a_label_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/a.jpg", "mine/images/b.jpg", "mine/images/c.jpg", "mine/labels/a.png")
    with pytest.raises(
        DataError,
        match=r"images/b\.jpg: has no label \(labels/\*\.png in .*\), as 2 of 3 images of mine \(train\); "
        r".*`rein check mine` lists all, data\.on_error=skip goes on without them$",
    ):
        samples(SIMPLE, "train", tmp_path)


def test_a_split_with_no_labels_at_all_says_so_in_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/a.jpg", "mine/images/b.jpg")
    with pytest.raises(DataError) as caught:
        samples(SIMPLE, "train", tmp_path)
    assert str(caught.value).startswith(
        f"mine (train): none of its 2 images in {tmp_path / 'mine'} has a label (labels/*.png; "
    )
    assert "\n" not in str(caught.value)


def test_a_split_that_is_meant_to_have_no_labels_can_be_looked_at(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/a.jpg")
    found = look(domain("images/*.jpg"), "train", tmp_path)
    assert [path.name for path in found.unlabelled] == ["a.jpg"] and not found.samples
    with pytest.raises(DataError, match=r"mine \(train\): its 1 images in .* have no labels"):
        samples(domain("images/*.jpg"), "train", tmp_path)


@pytest.mark.parametrize("closed", ["images", "labels"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    touch(tmp_path, "mine/images/a.jpg", "mine/labels/a.png")
    scandir = os.scandir

    def refuse(where: str) -> object:  # permissions do not bind the user that tests may run as
        if Path(where).name == closed:
            raise PermissionError(13, "Permission denied")
        return scandir(where)

    with monkeypatch.context() as patch:  # what removes `tmp_path` afterwards scans it too
        patch.setattr(listing.os, "scandir", refuse)
        with pytest.raises(DataError, match=rf"mine/{closed}: the folder cannot be read \(Permission denied\)"):
            samples(SIMPLE, "train", tmp_path)


def test_the_next_layout_is_tried_where_one_has_no_image(tmp_path: Path) -> None:
    layouts = tuple(Layout(f"{kind}/*.png", ((f"{kind}_gt/*.png", CITYSCAPES_IDS),)) for kind in ("old", "new"))
    rule = Domain("mine", ("first", "mine"), {"train": Split(layouts)})
    touch(tmp_path, "first/readme.txt", "mine/new/a.png", "mine/new_gt/a.png")
    (tmp_path / "mine/old").mkdir()
    assert stems(rule, tmp_path) == ["a"]
    assert look(rule, "train", tmp_path).layout is layouts[1]


def test_the_first_layout_with_a_label_counts_else_the_first_with_an_image(tmp_path: Path) -> None:
    layouts = tuple(Layout(f"{kind}/*.png", ((f"{kind}_gt/*.png", TRAIN_IDS),)) for kind in ("old", "new"))
    rule = Domain("mine", ("first", "mine"), {"train": Split(layouts)})
    touch(tmp_path, "first/old/a.png", "first/new/a.png", "mine/old/a.png", "mine/new/b.png")
    assert look(rule, "train", tmp_path).folder == tmp_path / "first"
    assert look(rule, "train", tmp_path).layout is layouts[0]
    touch(tmp_path, "mine/new_gt/b.png")
    assert stems(rule, tmp_path) == ["b"]


def said(rule: Domain, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        samples(rule, "train", root)
    return str(caught.value)


def test_what_lies_in_the_folder_instead_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "mine/mine/images/a.jpg", "mine/.hidden", *(f"mine/file{number}" for number in range(6)))
    assert f"({tmp_path}/mine holds mine/, file0, file1, file2, file3 and 2 more)" in said(SIMPLE, tmp_path)
    (tmp_path / "mine/images").mkdir()
    assert f"({tmp_path}/mine/images holds nothing)" in said(SIMPLE, tmp_path)


def test_the_folders_beside_the_labels_that_are_not_there_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "mine/images/val/a.jpg", "mine/labels/sem_seg/colormaps/val/a.png", "mine/labels/pan/x")
    rule = domain("images/val/*.jpg", "nowhere/*.png", "labels/sem_seg/masks/val/*.png")
    assert f"{tmp_path}/mine/labels/sem_seg holds colormaps/" in said(rule, tmp_path)


def test_a_folder_of_nearly_the_name_and_a_link_to_nothing_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "CityScape/x", "kitty/x", "coco/x", "camvid/x", "readme.txt")
    (tmp_path / "mine").symlink_to("/nowhere")
    message = said(SIMPLE, tmp_path)
    assert "(not known: CityScape (cityscapes?), kitty (kitti?), coco; mine is a link to /nowhere, which is" in message
    assert f"{tmp_path}/nope does not exist" in said(SIMPLE, tmp_path / "nope")
