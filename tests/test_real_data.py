"""Real photographs, where they are at hand: two sources are trained on, two targets and both sources are scored."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rein.config import Data, Experiment, Machine
from rein.data.classes import CLASSES
from rein.data.dataset import WholeImages
from rein.data.selection import scored_files
from rein.trained.inference import evaluate_run
from rein.training import train


def test_camvid_carla_and_kitti_train_and_evaluate(
    real_data: Path, machine: Machine, tiny: Callable[..., Experiment]
) -> None:
    experiment = tiny(
        {
            "data.sources": ["camvid-day", "carla"],
            "data.weights": [2, 1],
            "data.targets": ["camvid-dusk", "kitti"],
            "data.crop_size": 64,
            "evaluation.size": [160, 120],
        }
    )
    machine = replace(machine, data=real_data)
    run = train(experiment, machine)
    assert run.state == "done" and not run.status()["notes"]
    with open(run.path / "scores.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "miou"]
    assert {(row["domain"], row["role"]) for row in rows} == {
        ("camvid-dusk", "target"), ("kitti", "target"), ("camvid-day", "source"), ("carla", "source"),
    }  # fmt: skip
    assert [(row["domain"], 0 <= row["miou"] <= 100) for row in evaluate_run(run.id, ["kitti"], machine)] == [
        ("kitti", True)
    ]
    for domain in ("camvid-dusk", "kitti", "carla"):
        labels = sorted((run.path / "predictions" / domain).glob("*_label.png"))
        assert labels, domain
        seen = set(np.unique(np.asarray(Image.open(labels[0]))).tolist())
        assert {CLASSES.index("road"), CLASSES.index("building")} <= seen <= {*range(19), 255}, domain


@pytest.mark.parametrize("domain", ["camvid-day", "camvid-dusk", "carla", "kitti"])
def test_road_lies_below_and_not_above(real_data: Path, domain: str) -> None:
    """A wrong table or a flipped label would not pass."""
    images = WholeImages(scored_files(Data(), domain, real_data, limit=5), Data())
    for index in range(len(images)):
        label = images[index].label.numpy()
        upper, lower = label[: len(label) // 4], label[len(label) // 2 :]
        assert (lower == CLASSES.index("road")).mean() > 0.1
        assert (upper == CLASSES.index("road")).mean() < 0.01  # KITTI's labels have a stripe at the border
