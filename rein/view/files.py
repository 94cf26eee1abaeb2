"""The files that MLflow gets of a run that has ended: small ones, in formats that its UI shows. Never a checkpoint."""

from __future__ import annotations

import csv
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rein.config import Experiment
from rein.ledger import Run

#: Copied as they are, where they are there.
WHOLE = ("experiment.yaml", "environment.json", "scores.csv", "traceback.txt")
#: Width of a panel in pixels, at most, and what lies between its pictures.
WIDTH, GAP = 512, 4
#: Width of the small copy that the UI's grids show.
SMALL = 256


def lay_out(run: Run, experiment: Experiment, folder: Path) -> bool:
    """Write into an empty folder what MLflow is to hold of a run; returns whether there are pictures.

    The same run gives files of the same names, so that a second upload replaces the first.
    """
    for name in WHOLE:
        if (run.path / name).is_file():
            shutil.copy(run.path / name, folder / name)
    _write_confusion(run, experiment.classes, folder / "confusion.csv")
    return _write_panels(run, experiment.steps, folder / "images")


def _write_confusion(run: Run, classes: Sequence[str], path: Path) -> None:
    """Of a class's labelled pixels in a domain (row) the percentage that was taken for each class (column)."""
    if not (run.path / "confusion.npz").is_file():
        return
    with np.load(run.path / "confusion.npz", allow_pickle=False) as matrices, open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["domain", "label", *classes, "pixels"])
        for domain, matrix in matrices.items():
            for name, row in zip(classes, matrix, strict=True):
                if pixels := int(row.sum()):
                    writer.writerow([domain, name, *(f"{100 * value / pixels:.1f}" for value in row), pixels])


def _write_panels(run: Run, step: int, folder: Path) -> bool:
    """Image, label and prediction below each other, named as MLflow names pictures; its grids have a column a run."""
    found = False
    for domain, stem, panel in _panels(run.path / "predictions"):
        folder.mkdir(exist_ok=True)
        found = True
        # The name's last part tells pictures of one key and step apart; it must be the same every time.
        name = f"{domain}~{stem}+step+{step}+timestamp+0+{uuid.uuid5(uuid.NAMESPACE_OID, f'{domain}/{stem}')}"
        panel.save(folder / f"{name}.png")
        panel.resize((SMALL, max(1, panel.height * SMALL // panel.width))).save(folder / f"{name}+compressed.webp")
    return found


def _panels(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """(domain, stem, panel) of the first picture of every domain: each file is a request to a server."""
    found: set[str] = set()
    for file in sorted(folder.glob("*/*_image.png")):
        domain, stem = file.parent.name, file.name.removesuffix("_image.png")
        parts = [file, *(file.with_name(f"{stem}_{part}.png") for part in ("label", "prediction"))]
        if domain not in found and all(part.is_file() for part in parts):
            found.add(domain)
            yield domain, stem, _stacked(parts)


def _stacked(files: Sequence[Path]) -> Image.Image:
    """Pictures of one scene below each other, in the size of the first, but no wider than is needed."""
    pictures = [Image.open(file).convert("RGB") for file in files]
    width = min(WIDTH, pictures[0].width)
    height = max(1, round(pictures[0].height * width / pictures[0].width))
    panel = Image.new("RGB", (width, len(files) * (height + GAP) - GAP), "white")
    for index, picture in enumerate(pictures):
        resampling = Image.Resampling.LANCZOS if index == 0 else Image.Resampling.NEAREST  # no colours between classes
        panel.paste(picture.resize((width, height), resampling), (0, index * (height + GAP)))
    return panel
