"""What MLflow gets of a run's files: small, named alike every time, and no weights."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from rein.config import Data, Experiment
from rein.ledger import Run
from rein.panels import save_mask
from rein.view.files import GAP, WIDTH, lay_out

CLASSES = ("road", "sky")


def made(root: Path) -> Run:
    run = Run.create(root, Experiment(steps=5, data=Data(sources=("toy-game",), targets=("toy-day",), classes=CLASSES)))
    np.savez_compressed(run.path / "confusion.npz", **{"toy-day": np.array([[3, 1], [0, 0]])})
    (run.path / "checkpoint").mkdir()
    (run.path / "checkpoint" / "weights.safetensors").write_bytes(b"0")
    folder = run.path / "predictions" / "toy-day"
    folder.mkdir(parents=True)
    Image.new("RGB", (2048, 1024), "red").save(folder / "a_image.png")
    for part in ("label", "prediction"):
        save_mask(folder / f"a_{part}.png", np.zeros((1024, 2048), np.uint8), CLASSES)
    Image.new("RGB", (8, 8)).save(folder / "0_image.png")  # of a run that was cut while it wrote
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_same_run_gives_the_same_files_and_no_checkpoint(tmp_path: Path) -> None:
    run = made(tmp_path / "runs")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        assert lay_out(run, run.experiment(), folder)
    assert names(folders[0]) == names(folders[1])
    assert [name for name in names(folders[0]) if "images/" not in name] == ["confusion.csv", "experiment.yaml"]
    (panel,) = folders[0].glob("images/*.png")
    assert (
        panel.name.startswith("toy-day~a+step+5+timestamp+0+")
        and (panel.with_name(panel.stem + "+compressed.webp")).is_file()
    )
    with Image.open(panel) as picture:
        assert picture.size == (WIDTH, 3 * WIDTH // 2 + 2 * GAP)


def test_a_confusion_matrix_is_a_table_of_percentages_of_the_labelled_pixels(tmp_path: Path) -> None:
    run = made(tmp_path / "runs")
    (tmp_path / "out").mkdir()
    lay_out(run, run.experiment(), tmp_path / "out")
    with open(tmp_path / "out" / "confusion.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["domain", "label", "road", "sky", "pixels"], ["toy-day", "road", "75.0", "25.0", "4"]]


def test_a_run_without_results_has_no_pictures(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "runs", Experiment())
    (tmp_path / "out").mkdir()
    assert not lay_out(run, run.experiment(), tmp_path / "out")
    assert names(tmp_path / "out") == ["experiment.yaml"]
