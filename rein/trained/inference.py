"""A finished run as a network: load it, score it on any domain, predict any image."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from rein import domain_files
from rein.config import ConfigError, Experiment, Machine
from rein.config_io import check_classes, check_data, check_domain
from rein.data.domains import expand
from rein.data.listing import ENDINGS
from rein.data.reading import read_image
from rein.data.selection import scored_domains
from rein.device import autocast, select_device
from rein.evaluation import Halving, Score, score_domain, sliding_window
from rein.ledger import Run, find
from rein.models.compiling import compile_blocks
from rein.models.segmenter import Segmenter, build_model
from rein.panels import overlay, save_mask
from rein.trained.merged_file import load_merged
from rein.training import checkpoint

log = logging.getLogger(__name__)


def load_model(run: Run | str | Path, machine: Machine | None = None) -> tuple[Segmenter, Experiment]:
    """The trained network in eval mode on the machine's device, and its experiment.

    `run` is an id (or its beginning), a folder, a record, or a file that `rein export --format merged` wrote.
    """
    machine = machine or Machine()
    if not isinstance(run, Run) and _is_merged(run):
        model, experiment = load_merged(Path(run))
        if machine.compile:
            compile_blocks(model)
        return model.to(select_device(machine.device)), experiment
    record = run if isinstance(run, Run) else find(machine.runs, str(run))
    experiment = record.experiment()
    domain_files.recall(record.domains)
    file = trained_weights(record)
    model = build_model(experiment, machine.weights)
    checkpoint.fill(model, file)
    if record.state not in ("done", "imported"):
        log.warning(
            "%s is %s, not done: this is its network at step %d", record.id, record.state, checkpoint.step_of(file)
        )
    if machine.compile:
        compile_blocks(model)
    return model.eval().to(select_device(machine.device)), experiment


def trained_weights(run: Run) -> Path:
    """The file of what a run has trained. Raises ConfigError where there is none."""
    if run.is_unpacked:
        raise ConfigError(
            f"{run.path}: has no trained weights, since it was unpacked from results; to have them, remove this folder "
            f"and run it anew by `rein sweep` or `rein train`"
        )
    return checkpoint.newest(run.path / "checkpoint")


def evaluate_run(run: str, domains: list[str], machine: Machine) -> list[dict[str, Any]]:
    """mIoU in percent of a run on its own domains, or on others; None where no pixel is labelled with its classes.

    Its own domains are those that it was run with. Raises ConfigError where a file describes one otherwise by now.
    """
    model, experiment = load_model(run, machine)
    _check_domains(experiment, domains, None if _is_merged(run) else find(machine.runs, run))
    device = select_device(machine.device)
    members = [member for name in domains for member in expand(name)]
    wanted = [(name, "source" if name in experiment.data.sources else "target") for name in members]
    scores = (
        score_domain(model, experiment, name, role, machine.data, device, machine.workers, cache=machine.cache)
        for name, role in wanted or scored_domains(experiment)
    )
    return [_row(score) for score in scores]


def _check_domains(experiment: Experiment, names: Sequence[str], record: Run | None) -> None:
    """Raise ConfigError for a domain that the network cannot be scored on."""
    kept = record.domains if record else None
    for name in names:
        held_out = experiment.data.holdout and name in experiment.data.sources
        check_domain(name, "train" if held_out else "val", kept=kept)
        check_classes(experiment, name)
    if not names:
        check_data(experiment, "the run's experiment", kept)
    if record:  # a shipped domain that a file replaced for the run is read from the run's copy
        own = names or (*experiment.data.sources, *experiment.data.targets)
        record.check_domains(experiment, filter(domain_files.find_file, own))


def _is_merged(run: Run | str | Path) -> bool:
    return not isinstance(run, Run) and Path(run).suffix == ".safetensors"


def _row(score: Score) -> dict[str, Any]:
    for first in score.remarks[:1]:
        others = len(score.remarks) - 1
        log.warning("%s: %s%s", score.domain, first.text, f"; and {others} more files" if others else "")
    skipped = sum(remark.kind == "skipped" for remark in score.remarks)
    miou = None if math.isnan(score.miou) else round(100 * score.miou, 2)
    row = {"domain": score.domain, "role": score.role, "miou": miou}
    return {**row, "images": len(score.files), "skipped": skipped} if skipped else row


def predict_images(run: str, images: Sequence[Path], out: Path, machine: Machine) -> Iterator[Path]:
    """Write `<stem>_mask.png` (train ids, in colour) and `<stem>_overlay.png` for each image; yields the files.

    A folder stands for the images in it. Images go in at their own size; a domain's evaluation size is known for its
    own images only. Raises ConfigError where two images share a stem, or a folder has none.
    """
    images = [image for path in images for image in _images_of(path)]
    _check_stems(images)
    model, experiment = load_model(run, machine)
    device = select_device(machine.device)
    out.mkdir(parents=True, exist_ok=True)
    network = Halving(model)
    for path in images:
        image = read_image(path)
        with torch.inference_mode(), autocast(experiment, device):
            scores = sliding_window(network, image[None].to(device), experiment.window, experiment.stride)
        train_ids = scores.max(1).indices[0].to(torch.uint8).cpu().numpy()
        mask, picture = out / f"{path.stem}_mask.png", out / f"{path.stem}_overlay.png"
        save_mask(mask, train_ids, experiment.classes)
        Image.fromarray(overlay(np.asarray(image.permute(1, 2, 0)), train_ids, experiment.classes)).save(picture)
        yield from (mask, picture)


def _images_of(path: Path) -> list[Path]:
    """A file itself; of a folder its images, in the order of their names."""
    if not path.is_dir():
        return [path]
    files = (file for file in path.iterdir() if not file.name.startswith("._") and not file.is_dir())
    found = sorted(file for file in files if file.suffix.lower() in ENDINGS)
    if not found:
        raise ConfigError(f"{path}: no image in this folder (*{', *'.join(ENDINGS)})")
    return found


def _check_stems(images: Sequence[Path]) -> None:
    for stem, uses in Counter(path.stem for path in images).items():
        if uses > 1:
            same = ", ".join(str(path) for path in images if path.stem == stem)
            raise ConfigError(f"{same}: their predictions would have one name; give them in separate calls with --out")
