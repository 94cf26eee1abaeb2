"""What `rein bench loader` compares: the peer follows the recipe, the files are as heavy as real ones."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from rein.bench import loader_peer as peer
from rein.bench.loader import STAGES, Case, measure
from rein.bench.made_photographs import draw
from rein.cli import app
from rein.config import Data
from rein.data.classes import VOID
from rein.data.domain import Sample
from rein.data.selection import training_files
from rein.data.transforms import training_crop

PLAIN = {"sources": ("gta",), "flip": 0.0, "photometric": False, "max_class_share": 1.0, "scale": (1.0, 1.0)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    root = tmp_path_factory.mktemp("bench")
    draw(root, 2, (240, 132))
    return training_files(Data(sources=("gta",)), root)[0]


def test_files_are_as_heavy_as_gtavs(tmp_path: Path) -> None:
    draw(tmp_path, 1, (957, 526))  # a quarter of the pixels
    (image,), (label,) = (list((tmp_path / "gta" / part).iterdir()) for part in ("images", "labels"))
    assert 2.3e6 / 4 * 0.85 < image.stat().st_size < 2.3e6 / 4 * 1.15
    with Image.open(label) as picture:
        assert picture.mode == "P" and len(np.unique(np.asarray(picture))) > 5


def test_a_peers_crop_is_the_files_pixels(files: list[Sample]) -> None:
    """At its own size, unchanged: the same pixels and ids that ours reads."""
    data = Data(**{**PLAIN, "crop_size": 132})
    image, label = peer.PeerCrops(files, data)[0]
    assert image.dtype == torch.uint8 and label.dtype == torch.int64
    whole = np.asarray(Image.open(files[0].image)).transpose(2, 0, 1)
    places = [left for left in range(240 - 132 + 1) if (whole[:, :, left : left + 132] == image.numpy()).all()]
    assert len(places) == 1
    ids = files[0].table.lookup()[np.asarray(Image.open(files[0].label))]
    assert (label.numpy() == ids[:, places[0] : places[0] + 132]).all()


def test_both_sides_crops_are_alike(files: list[Sample]) -> None:
    """Over many draws: as bright, as contrasted, as much of each class and of the border."""
    data = Data(sources=("gta",), crop_size=64)
    crops = peer.PeerCrops(files[:1], data)
    image = torch.from_numpy(np.array(Image.open(files[0].image))).permute(2, 0, 1)
    label = torch.from_numpy(files[0].table.lookup()[np.asarray(Image.open(files[0].label))])
    theirs = [crops[ordinal] for ordinal in range(200)]
    ours = [training_crop(image, label, data, torch.Generator().manual_seed(seed)) for seed in range(200)]
    for measured in (
        lambda pair: pair[0].float().mean(),
        lambda pair: (pair[1] == VOID).float().mean() * 255,
        lambda pair: (pair[1] == 0).float().mean() * 255,
    ):
        first, second = (torch.stack([measured(pair) for pair in pairs]) for pairs in (ours, theirs))
        error = (first.var() / len(first) + second.var() / len(second)).sqrt()
        assert abs(first.mean() - second.mean()) < 4 * error


def test_the_peers_hsv_is_colorsys() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (1, 200, 3)).astype(np.float32)
    hue, saturation, value = peer.to_hsv(colours)
    expected = np.array([colorsys.rgb_to_hsv(*colour) for colour in colours[0] / 255])
    np.testing.assert_allclose(np.stack([hue[0] / 6, saturation[0], value[0] / 255], 1), expected, atol=1e-5)
    np.testing.assert_allclose(peer.to_rgb(hue, saturation, value), colours, atol=1e-3)


def test_a_row_for_each_side_and_stage() -> None:
    found = measure(Case(images=4, workers=0, size=(96, 64), cache=32, repeats=1))
    assert [row["side"] for row in found["sides"]] == ["rein", "PIL + numpy", "rein, cached"]
    assert found["sides"][1]["ratio"] == 1 and all(row["images/s"] > 0 for row in found["sides"])
    assert [row["stage"] for row in found["stages"]] == [*STAGES, "all"]
    for side in ("rein", "PIL + numpy"):
        *parts, total = [row[f"{side} ns/pixel"] for row in found["stages"]]
        assert all(part > 0 for part in parts) and sum(parts) == pytest.approx(total, abs=0.05)


def test_the_command_prints_what_was_measured_and_names_a_bad_size() -> None:
    command = "bench loader --images 4 --workers 0 --size 96x64 --json"
    said = CliRunner().invoke(app, command.split())
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["sides"][0]["case"] == "96x64 -> 512, workers 0"
    said = CliRunner().invoke(app, ["bench", "loader", "--size", "large"])
    assert "as in 1914x1052" in str(said.exception)
