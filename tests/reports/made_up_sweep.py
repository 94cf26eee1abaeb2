"""A made-up sweep in a ledger: what a report reads, without a net having been trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from rein.config import Figure, Report, Sweep, Table
from rein.config_io import build
from rein.ledger import Run
from rein.sweeps.plan import Planned, expand

BACKBONE = 22_000_000
TARGETS = ("toy-day", "toy-night", "toy-fog")

#: A variant's overrides, its trainable parameters, and its mean mIoU over the targets.
POINTS: dict[str, tuple[dict[str, Any], int, float]] = {
    "frozen": ({"tuning.method": "frozen"}, 0, 0.40),
    "lora": ({"tuning.method": "lora", "tuning.rank": 4}, 786_432, 0.44),
    "rein": ({"tuning.method": "rein"}, 2_990_080, 0.47),
    "full": ({"tuning.method": "full"}, BACKBONE, 0.42),
}


CONTROL = {"frozen, untrained": ({"tuning.method": "frozen", "backbone.weights": "none"}, 0, 0.2)}
TABLES = (
    Table(name="main"),
    Table(name="by class", kind="classes"),
    Table(name="budget", kind="convergence"),
)
FIGURES = tuple(Figure(name=kind, kind=kind) for kind in ("inverted_u", "curves", "predictions"))


class World:
    """A folder with an experiment, a sweep and its runs."""

    def __init__(
        self, folder: Path, points: dict[str, Any], seeds: Sequence[int], targets: Sequence[str], **vary: Any
    ) -> None:
        self.folder, self.runs, self.out = folder, folder / "runs", folder / "out"
        self.points = points
        self.files: list[Path] = []
        experiment = folder / "base.yaml"
        data = {"sources": ["toy-game"], "targets": list(targets)}
        experiment.write_text(yaml.safe_dump({"data": data, "tuning": {"method": "rein"}, "steps": 200}))
        sweep = {
            "experiment": str(experiment),
            "points": {name: changes for name, (changes, *_) in points.items()},
            "vary": {"seed": list(seeds), **vary},
        }
        self.sweep = folder / "sweep.yaml"
        self.sweep.write_text(yaml.safe_dump(sweep, sort_keys=False))
        self.planned = expand(build(Sweep, sweep))

    def finish(
        self, item: Planned, state: str = "done", steps: Sequence[int] = (100, 200), loss: float = 20, **facts: Any
    ) -> Run:
        """Write one run: target d scores the point's mean + 0.01 * seed - 0.02 * d, less at earlier steps."""
        _, trainable, mean = self.points[item.point]
        run = Run.create(self.runs, item.experiment)
        run.start()
        for step in range(10, max(steps) + 1, 10):
            run.append({"step": step, "loss": loss + 40 * float(np.exp(-step / 40)) + item.experiment.seed})
        rows = []
        for step in steps:
            value = mean + 0.01 * item.experiment.seed - 0.0005 * (max(steps) - step)
            names = [(name, "target", 0.02 * d) for d, name in enumerate(item.experiment.data.targets)]
            for name, role, less in [*names, ("toy-game", "source", -0.2)]:
                row = {"step": step, "domain": name, "role": role}
                rows.append({**row, "class": "all", "metric": "miou", "value": value - less})
                rows += [
                    {**row, "class": c, "metric": "iou", "value": value - less + d}
                    for c, d in (("road", 0.1), ("car", -0.1))
                ]
        run.scores(rows)
        run.update(
            **{
                "parameters.backbone": BACKBONE,
                "parameters.backbone_trainable": trainable,
                "seconds": 60.0,
                **facts,
            }
        )
        run.finish(state)  # type: ignore[arg-type]
        return run

    def finish_all(self) -> None:
        for item in self.planned:
            self.finish(item)

    def keep_predictions(self) -> None:
        """A few panels in every finished run."""
        generator = np.random.default_rng(0)
        for item in self.planned:
            for domain in (*item.experiment.data.targets, "toy-game"):
                folder = self.runs / item.id / "predictions" / domain
                folder.mkdir(parents=True)
                label = np.repeat(np.array([10, 2, 0, 255], dtype=np.uint8), 16)[:, None].repeat(128, axis=1)
                image = generator.integers(0, 255, (64, 128, 3), dtype=np.uint8)
                Image.fromarray(image).save(folder / "0001_image.png")
                self._mask(label).save(folder / "0001_label.png")
                self._mask(np.roll(label, 4, axis=0)).save(folder / "0001_prediction.png")

    @staticmethod
    def _mask(ids: np.ndarray) -> Image.Image:
        """As a run keeps it: an index image, so that its pixels are train ids and viewers show colours."""
        mask = Image.fromarray(ids, mode="P")
        mask.putpalette(bytes(range(256)) * 3)
        return mask

    def report(self, **changes: Any) -> Report:
        given = {
            "title": "Tuning",
            "sweep": str(self.sweep),
            "tables": (Table(name="main"),),
            "figures": (Figure(name="inverted u", kind="inverted_u"),),
        }
        return Report(**{**given, **changes})
