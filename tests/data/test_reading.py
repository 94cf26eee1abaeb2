"""Reading files: exact pixels and train ids, and a refusal that names file and next step for everything else."""

from __future__ import annotations

import errno
import os
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from rein.data import png
from rein.data.classes import CLASSES, PALETTE, VOID
from rein.data.domain import DataError, MachineError
from rein.data.label_tables import CAMVID, CARLA, CITYSCAPES_IDS, TABLES, TRAIN_IDS, LabelTable
from rein.data.reading import image_size, read_image, read_label
from tests.data import png_writer

COLOURS = LabelTable({**dict(zip(PALETTE, CLASSES, strict=True)), (0, 0, 0): "void"})
SYNTHIA_LIKE = LabelTable({0: "void", 1: "sky", 3: "road", 700: "car"}, channel=0)


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pixels(path: Path, rows: int | None = None) -> list[Any]:
    """An image as nested lists (H, W, 3)."""
    return read_image(path, rows).permute(1, 2, 0).tolist()


def label(path: Path, table: LabelTable = TRAIN_IDS, unknown_ids: str = "strict") -> list[list[int]]:
    return read_label(path, table, CLASSES, unknown_ids)[0].tolist()


# ---------------------------------------------------------------- images


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_a_lossless_image_is_its_pixels(tmp_path: Path, ending: str) -> None:
    stored = noise(6, 11, 3)
    path = save(tmp_path / f"image.{ending}", stored, **({"lossless": True} if ending == "webp" else {}))
    image = read_image(path)
    assert image.dtype == torch.uint8 and image.shape == (3, 6, 11)
    assert pixels(path) == stored.tolist()
    assert image_size(path) == (6, 11)


def test_a_jpeg_is_what_pillow_decodes(tmp_path: Path) -> None:
    path = save(tmp_path / "image.jpg", noise(20, 30, 3))
    assert pixels(path) == np.asarray(Image.open(path)).tolist()


@pytest.mark.parametrize("rows", [1, 3, 6, 99])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_the_first_rows_are_those_of_the_whole(tmp_path: Path, ending: str, rows: int) -> None:
    path = save(tmp_path / f"image.{ending}", noise(6, 11, 3))
    assert pixels(path, rows) == pixels(path)[:rows]


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4]), st.integers(0, 9), st.integers(1, 5))
def test_a_png_is_its_pixels_whatever_its_compression(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, channels: int, level: int, coarse: int
) -> None:
    stored = noise(height, width, channels) // coarse * coarse
    path = tmp_path_factory.mktemp("png") / "image.png"
    Image.fromarray(stored.squeeze(2) if channels == 1 else stored).save(path, compress_level=level)
    colours = np.repeat(stored, 3, axis=2) if channels == 1 else stored[..., :3]
    assert pixels(path) == colours.tolist()


def test_pixels_in_many_chunks_behind_other_chunks_are_found(tmp_path: Path) -> None:
    stored = noise(30, 7, 3)
    extra = png_writer.chunk(b"tEXt", b"Title\0street") + png_writer.chunk(b"gAMA", struct.pack(">I", 20000))
    path = write(tmp_path / "image.png", png_writer.png(stored, extra=extra, pieces=9))
    assert pixels(path) == stored.tolist()
    assert pixels(path, 11) == stored[:11].tolist()


def test_a_grey_image_becomes_rgb(tmp_path: Path) -> None:
    assert pixels(save(tmp_path / "grey.png", np.full((2, 3), 7))) == [[[7] * 3] * 3] * 2
    assert pixels(save(tmp_path / "grey.jpg", np.full((2, 3), 7))) == [[[7] * 3] * 3] * 2


def test_transparency_is_dropped(tmp_path: Path) -> None:
    stored = noise(4, 5, 4)
    assert pixels(save(tmp_path / "clear.png", stored)) == stored[..., :3].tolist()
    grey = stored[..., :2]
    assert pixels(save(tmp_path / "grey.png", grey)) == np.repeat(grey[..., :1], 3, axis=2).tolist()
    # One colour declared transparent.
    extra = png_writer.chunk(b"tRNS", struct.pack(">HHH", *stored[0, 0, :3]))
    keyed = write(tmp_path / "keyed.png", png_writer.png(stored[..., :3], extra=extra))
    assert pixels(keyed) == stored[..., :3].tolist()


def test_a_palette_image_shows_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "image.png")
    assert pixels(tmp_path / "image.png") == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, channels: int) -> None:
    values = np.array([0, 1, 128, 129, 257, 300, 32768, 65279, 65535], np.uint16)
    stored = np.repeat(values[None, :, None], channels, axis=2)
    path = write(tmp_path / "image.png", png_writer.png(stored))
    expected = [round(value / 257) for value in values.tolist()]
    assert read_image(path).tolist() == [[expected]] * 3


def test_a_sixteen_bit_grey_tiff_is_scaled_too(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 65535]], np.uint16)).save(tmp_path / "image.tif")
    assert read_image(tmp_path / "image.tif").tolist() == [[[0, 1, 255]]] * 3


def test_an_interlaced_png_is_read(tmp_path: Path) -> None:
    # One pixel is one pass: the smallest file that differs in nothing but the flag.
    data = bytearray(png_writer.png(np.array([[[1, 2, 3]]], np.uint8)))
    data[16:33] = png_writer.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1))[8:]
    assert pixels(write(tmp_path / "image.png", bytes(data))) == [[[1, 2, 3]]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "image.jpg", quality=100)
    red, green, blue = pixels(tmp_path / "image.jpg")[0][0]
    assert red > 250 and green < 5 and blue < 5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_an_exif_orientation_is_followed(tmp_path: Path, orientation: int, ending: str) -> None:
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:4, :8] = 255  # bright in the upper left
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / f"image.{ending}", exif=exif)
    path = tmp_path / f"image.{ending}"
    # What the eight values mean (EXIF 2.3, table 6): where row 0 and column 0 of the file are seen.
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(stored),
    }[orientation]
    found = read_image(path)
    assert image_size(path) == tuple(found.shape[1:]) == turned.shape[:2]
    assert ((found.permute(1, 2, 0).numpy() > 127) == (turned > 127)).all()
    assert torch.equal(read_image(path, 3), found[:, :3])


def test_a_photograph_with_a_preview_is_its_first_picture(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 0, 200)))
    first.save(tmp_path / "image.jpg", format="MPO", save_all=True, append_images=[second])
    assert read_image(tmp_path / "image.jpg")[0].float().mean() > 150


@pytest.mark.parametrize("name", ["a b c.png", "straße, größe.png", "街道 🚗.png", "100%{}.png"])
def test_any_name_is_read_and_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, np.full((2, 2), 5))
    assert label(path) == [[5, 5], [5, 5]] and image_size(path) == (2, 2)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=re.escape(name)):
        read_image(path)


# ---------------------------------------------------------------- labels


def test_ids_become_train_ids(tmp_path: Path) -> None:
    path = save(tmp_path / "label.png", np.array([[7, 26, 0], [33, 4, 11]]))
    assert label(path, CITYSCAPES_IDS) == [[0, 13, VOID], [18, VOID, 2]]


def test_classes_are_the_experiments_own(tmp_path: Path) -> None:
    path = save(tmp_path / "label.png", np.array([[7, 26, 11]]))
    assert read_label(path, CITYSCAPES_IDS, ("car", "road"))[0].tolist() == [[1, 0, VOID]]


def test_carla_reads_the_red_channel(tmp_path: Path) -> None:
    stored = np.zeros((1, 2, 3))
    stored[0, :, 0] = [7, 10]
    stored[..., 1:] = 99
    assert label(save(tmp_path / "label.png", stored), CARLA) == [[0, 13]]
    assert label(save(tmp_path / "single.png", stored[..., 0]), CARLA) == [[0, 13]]


def test_a_channel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    table = LabelTable({0: "void"}, channel=3)
    with pytest.raises(DataError, match=r"label\.png: has 3 channels, and ids are due in channel 3"):
        label(save(tmp_path / "label.png", np.zeros((2, 2, 3))), table)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_label_is_read_as_ids_not_colours(tmp_path: Path, bits: int) -> None:
    ids = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 1, 0]], np.uint8) * (2**bits - 1 if bits < 8 else 18)
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette([value for index in range(256) for value in (index, 255 - index, 3)])
    image.save(tmp_path / "label.png", bits=bits, transparency=0)
    assert label(tmp_path / "label.png", LabelTable({i: CLASSES[i] for i in range(19)})) == ids.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_grey_label_of_few_bits_is_not_stretched(tmp_path: Path, bits: int) -> None:
    ids = np.arange(2**bits, dtype=np.uint8)[None]
    assert label(write(tmp_path / "label.png", png_writer.png(ids, depth=bits))) == ids.tolist()


def test_sixteen_bit_labels_are_exact(tmp_path: Path) -> None:
    table = LabelTable({3: "road", 700: "car", 65535: "void"})
    grey = np.array([[3, 700, 65535]], np.uint16)
    assert label(write(tmp_path / "png.png", png_writer.png(grey)), table) == [[0, 13, VOID]]
    Image.fromarray(grey).save(tmp_path / "tiff.tif")
    assert label(tmp_path / "tiff.tif", table) == [[0, 13, VOID]]


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_channels_are_exact(tmp_path: Path, channels: int) -> None:
    stored = noise(2, 4, channels, dtype=np.uint16)
    stored[..., 0] = [[0, 1, 3, 700], [3, 3, 3, 3]]
    path = write(tmp_path / "label.png", png_writer.png(stored))
    assert label(path, SYNTHIA_LIKE) == [[VOID, 10, 0, 13], [0, 0, 0, 0]]


def test_colours_are_exact(tmp_path: Path) -> None:
    stored = np.array([[PALETTE[0], PALETTE[13], (0, 0, 0)]])
    assert label(save(tmp_path / "rgb.png", stored), COLOURS) == [[0, 13, VOID]]
    clear = np.concatenate([stored, np.full((1, 3, 1), 9)], axis=2)
    assert label(save(tmp_path / "rgba.png", clear), COLOURS) == [[0, 13, VOID]]
    Image.fromarray(stored.astype(np.uint8)).quantize().save(tmp_path / "palette.png")
    assert label(tmp_path / "palette.png", COLOURS) == [[0, 13, VOID]]


def test_a_colour_that_is_near_is_unknown(tmp_path: Path) -> None:
    stored = np.array([[(128, 64, 129), (128, 64, 128)]])
    path = save(tmp_path / "label.png", stored)
    with pytest.raises(DataError, match=r"label\.png: colour #804081 \(1 pixel\) is not"):
        label(path, COLOURS)
    assert read_label(path, COLOURS, CLASSES, "void")[1] == {0x804081: 1}


def test_one_channel_where_colours_are_due_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"label\.png: has one channel \(L\), .*shows its classes by colours"):
        label(save(tmp_path / "label.png", np.zeros((2, 2))), COLOURS)


def test_colours_where_ids_are_due_are_refused_unless_they_are_grey(tmp_path: Path) -> None:
    grey = np.repeat(np.array([[[0], [13], [255]]]), 3, axis=2)
    assert label(save(tmp_path / "grey.png", grey)) == [[0, 13, VOID]]
    clear = np.concatenate([grey, np.full((1, 3, 1), 9)], axis=2)
    assert label(save(tmp_path / "clear.png", clear)) == [[0, 13, VOID]]
    assert label(save(tmp_path / "alpha.png", clear[..., 2:])) == [[0, 13, VOID]]
    grey[0, 0, 2] = 1
    with pytest.raises(DataError, match=r"colour\.png: shows colours where ids are due; .*`ids: label_colours`"):
        label(save(tmp_path / "colour.png", grey))


def test_jpeg_labels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "label.png", np.zeros((8, 8)), format="JPEG")
    for table in (TRAIN_IDS, COLOURS):
        with pytest.raises(DataError, match=r"label\.png: JPEG does not keep ids.*due as PNG"):
            label(path, table)


@pytest.mark.parametrize(
    ("ending", "options", "kind"),
    [
        ("webp", {"quality": 100}, "WEBP"),
        ("tif", {"compression": "jpeg"}, "TIFF with JPEG compression"),
    ],
)
def test_other_lossy_labels_are_refused_too(tmp_path: Path, ending: str, options: dict[str, Any], kind: str) -> None:
    path = save(tmp_path / f"label.{ending}", np.zeros((16, 16, 3)), **options)
    for table in (TRAIN_IDS, COLOURS):
        with pytest.raises(DataError, match=rf"label\.{ending}: {kind} does not keep ids"):
            label(path, table)
    assert pixels(path), "as an image it may be lossy"


@pytest.mark.parametrize(
    ("ending", "options"), [("webp", {"lossless": True}), ("tif", {"compression": "tiff_lzw"}), ("tif", {})]
)
def test_lossless_labels_of_those_formats_are_read(tmp_path: Path, ending: str, options: dict[str, Any]) -> None:
    stored = np.repeat(noise(5, 7)[..., None] % 19, 3, axis=2)
    assert label(save(tmp_path / f"label.{ending}", stored, **options)) == stored[..., 0].tolist()


def test_a_readable_file_is_not_called_unreadable(tmp_path: Path) -> None:
    colours = save(tmp_path / "colours.png", np.array([[PALETTE[0], PALETTE[13]]]))
    ids = save(tmp_path / "ids.png", np.zeros((2, 2)))
    for path, table in ((colours, TRAIN_IDS), (ids, COLOURS)):
        with pytest.raises(DataError) as error:
            label(path, table)
        assert "not a readable" not in str(error.value) and "domain file" in str(error.value)
    assert "label_colours" in TABLES
    assert label(colours, TABLES["label_colours"]) == [[0, 13]], "the way out that the message names"


@pytest.mark.parametrize("kind", ["palette", "rgb", "few bits"])
def test_size_and_pixels_agree_where_a_png_says_late_that_it_is_turned(tmp_path: Path, kind: str) -> None:
    stored = {"palette": noise(4, 9) % 19, "rgb": noise(4, 9, 3), "few bits": noise(4, 9) % 2}[kind]
    plte = png_writer.chunk(b"PLTE", bytes(range(60))) if kind == "palette" else b""
    data = png_writer.png(stored, depth=1 if kind == "few bits" else 0, palette=kind == "palette", extra=plte)
    exif = Image.Exif()
    exif[0x0112] = 6
    late = png_writer.chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    end = len(data) - 12  # where IEND begins
    path = write(tmp_path / "image.png", data[:end] + late + data[end:])
    assert image_size(path) == tuple(read_image(path).shape[1:])
    if kind != "rgb":
        assert (len(label(path)), len(label(path)[0])) == image_size(path)


def test_a_label_turns_by_its_own_exif_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.array([[1, 2], [3, 4], [5, 6]], np.uint8)).save(tmp_path / "label.png", exif=exif)
    assert label(tmp_path / "label.png") == [[5, 3, 1], [6, 4, 2]]


def test_unknown_ids_are_listed_with_their_pixels(tmp_path: Path) -> None:
    path = save(tmp_path / "label.png", np.array([[0, 12, 99], [99, 1, 2]]))
    with pytest.raises(
        DataError, match=r"label\.png: label ids 99 \(2 pixels\), 12 \(1 pixel\) are not.*unknown_ids=v"
    ):
        label(path, CAMVID)
    ids, unknown = read_label(path, CAMVID, CLASSES, "void")
    assert ids.tolist() == [[10, VOID, VOID], [VOID, 2, 5]] and unknown == {12: 1, 99: 2}


def test_many_unknown_ids_make_a_short_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"and 236 more are not") as error:
        label(
            save(tmp_path / "label.png", np.arange(256).reshape(16, 16)), LabelTable(dict.fromkeys(range(12), "void"))
        )
    assert len(str(error.value)) < 400 + len(str(tmp_path))


@settings(max_examples=40)
@given(st.dictionaries(st.integers(0, 65535), st.sampled_from([*CLASSES, "void"]), min_size=1, max_size=30), st.data())
def test_any_table_is_looked_up_pixel_by_pixel(
    tmp_path_factory: pytest.TempPathFactory, names: dict[int, str], draw: st.DataObject
) -> None:
    values = draw.draw(st.lists(st.sampled_from([*names, 0, 254, 65535]), min_size=1, max_size=20))
    path = tmp_path_factory.mktemp("label") / "label.png"
    path.write_bytes(png_writer.png(np.array([values], np.uint16)))
    ids, unknown = read_label(path, LabelTable(names), CLASSES, "void")
    assert ids.tolist() == [[CLASSES.index(names[v]) if names.get(v, "void") != "void" else VOID for v in values]]
    assert unknown == {v: values.count(v) for v in values if v not in names}


# ---------------------------------------------------------------- refusals


def as_label(path: Path) -> None:
    label(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM, errno.ETIMEDOUT])
def test_the_machines_trouble_is_not_the_files(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    path = save(tmp_path / "image.png", np.zeros((2, 2)))
    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(Path, "read_bytes", fail)
    for read in (read_image, image_size, as_label):
        with pytest.raises(MachineError, match=r"image\.png: could not be read \(.*the same command goes on") as error:
            read(path)
        assert os.strerror(number) in str(error.value)
        assert "replace" not in str(error.value) and "remove" not in str(error.value)


def test_want_of_memory_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(Path, "read_bytes", fail)
    for read in (read_image, image_size, as_label):
        with pytest.raises(MemoryError):
            read(tmp_path / "image.png")


READERS = pytest.mark.parametrize("read", [read_image, image_size, as_label], ids=["image", "size", "label"])


@READERS
@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "."), (b"no image at all", "none of PNG"), (b"\x89PNG\r\n\x1a\n", "."), (b"\xff\xd8\xff\xe0", ".")],
    ids=["empty", "text", "png", "jpeg"],
)
def test_what_is_no_image_is_named(tmp_path: Path, read: Any, content: bytes, reason: str) -> None:
    path = write(tmp_path / "a file.png", content)
    with pytest.raises(DataError, match=rf"a file\.png: not a readable image \(.*{reason}.*; replace or remove"):
        read(path)


@READERS
def test_an_empty_file_is_called_that(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match=r"image\.png: not a readable image \(the file is empty\)"):
        read(write(tmp_path / "image.png", b""))


@READERS
def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match=r"gone\.png: no such file; complete"):
        read(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png: a folder, where a file is due"):
        read(tmp_path / "folder.png")


@READERS
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "locked.png", np.zeros((2, 2)))
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"locked\.png: may not be read"):
        read(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_image_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    path = save(tmp_path / f"image.{ending}", noise(40, 50, 3))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=rf"image\.{ending}: not a readable image .*replace or remove"):
        read_image(path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damage_below_the_rows_asked_for_is_noticed_too(tmp_path: Path, damage: str) -> None:
    path = save(tmp_path / "image.png", noise(300, 200, 3))
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data if damage == "flipped" else data[:-1000])
    with pytest.raises(DataError, match=r"image\.png: not a readable image"):
        read_image(path, 5)


def test_a_truncated_label_is_refused(tmp_path: Path) -> None:
    for name, pixels in {"ids": noise(40, 50) % 19, "carla": noise(40, 50, 3) % 12}.items():
        path = save(tmp_path / f"{name}.png", pixels)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DataError, match=rf"{name}\.png: not a readable image"):
            label(path, CARLA if name == "carla" else TRAIN_IDS)


@settings(max_examples=150)
@given(st.data())
def test_a_flipped_byte_in_a_png_is_noticed(tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject) -> None:
    data = bytearray(png_writer.png(noise(9, 7, 3)))
    # From the header to the end of the pixels every chunk has its checksum.
    place = draw.draw(st.integers(8, len(data) - 13))
    data[place] ^= draw.draw(st.integers(1, 255))
    path = write(tmp_path_factory.mktemp("flip") / "image.png", bytes(data))
    with pytest.raises(DataError, match=r"image\.png"):
        read_image(path)


@settings(max_examples=60)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"BM", b"II*\0", b"\xff\xd8\xff"])
)
def test_no_bytes_make_a_stray_error(tmp_path_factory: pytest.TempPathFactory, tail: bytes, head: bytes) -> None:
    path = write(tmp_path_factory.mktemp("bytes") / "image.png", head + tail)
    for read in (read_image, image_size, as_label):
        try:
            read(path)
        except DataError as error:
            assert "image.png" in str(error)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    for ending in ("png", "webp", "tif"):
        path = tmp_path / f"moving.{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        with pytest.raises(DataError, match=rf"moving\.{ending}: .*3 frames; one picture is due"):
            read_image(path)


@READERS
@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_decompression_bomb_is_refused_and_not_warned_of(tmp_path: Path, read: Any, side: int) -> None:
    head = png_writer.chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = png_writer.chunk(b"IDAT", b"x\x9c") + png_writer.chunk(b"IEND", b"")
    path = write(tmp_path / "bomb.png", png_writer.SIGNATURE + head + body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"bomb\.png: too large .*pixels"):
            read(path)


def test_a_format_that_can_run_code_is_not_tried(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "real.eps")
    path = write(tmp_path / "image.png", (tmp_path / "real.eps").read_bytes())
    with Image.open(path) as image:
        assert image.format == "EPS", "Pillow by itself would hand it to Ghostscript"
    for read in (read_image, image_size, as_label):
        with pytest.raises(DataError, match=r"image\.png: not a readable image"):
            read(path)


def test_values_of_no_sixteen_bits_are_refused(tmp_path: Path) -> None:
    for name, values in {"float": np.float32([[0.5, 1.0]]), "long": np.int32([[70000, -1]])}.items():
        path = tmp_path / f"{name}.tif"
        Image.fromarray(values).save(path)
        for read in (read_image, as_label):
            with pytest.raises(DataError, match=rf"{name}\.tif: .*not whole numbers of 8 or 16 bits"):
                read(path)


def test_pillow_is_not_asked_for_the_pixels_of_usual_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow way must not come back unnoticed."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded by Pillow"))
    rgb = write(tmp_path / "rgb.png", png_writer.png(noise(3, 4, 3)))
    plte = png_writer.chunk(b"PLTE", bytes(range(60)))
    ids = write(tmp_path / "ids.png", png_writer.png(noise(3, 4) % 19, palette=True, extra=plte))
    assert read_image(rgb).shape == (3, 3, 4) and len(label(ids)) == 3
    assert png.header(b"no png") is None
