"""`rein init`: a study folder with one commented file of each kind."""

from __future__ import annotations

from pathlib import Path

from rein.config import ConfigError

FILES = {
    "experiments/mine.yaml": """\
# A study of my own.        rein train mine --data DATA
# Only what differs from the paper's recipe stands here; `rein list tunings` and `rein list domains` print the words.
# On the data set that domains/mine.yaml describes:        rein train mine data.sources=[mine] --data DATA
backbone: {name: vit_toy_patch8_96, patch_size: null}
tuning: {method: rein, token_length: 20, rank: 4, link: add}
head: {width: 64, encoder_layers: 1, decoder_layers: 3, heads: 4, encoder_ffn: 128, decoder_ffn: 128, points: 512}
data: {sources: [toy-game], targets: [toy-day, toy-night], crop_size: 96, batch_size: 2}
optim: {lr: 1.0e-3, backbone_lr: 1.0e-4}
steps: 300
""",
    "sweeps/mine.yaml": """\
# Which tuning is best on unseen domains?        rein sweep mine
experiment: mine
points:                                 # a name in the table: what differs from the experiment
  frozen: {tuning.method: frozen}
  rein: {}
vary: {seed: [0, 1, 2]}                 # every point with every combination; with fewer seeds nothing is tested
resources: {cpu: 1}                     # of one run; on GPUs: {gpu: 1, cpu: 8}
""",
    "reports/mine.yaml": """\
# The answer as a document.        rein report mine
title: Frozen or Rein?
sweep: mine
selection: last                         # or source_val; oracle chooses on the test labels and is labelled so
tables:
  - {name: tunings, caption: mIoU on unseen domains.}
figures:
  - {name: curves, kind: curves, caption: Loss and mIoU over the steps.}
""",
    "domains/mine.yaml": """\
# A data set of my own.        rein check mine --data DATA        then: data.sources=[mine]
root: mine                              # its folder below --data
train: {images: images/train/*.jpg, labels: labels/train/*.png}
val: {images: images/val/*.jpg, labels: labels/val/*.png}    # `names: list.txt` keeps the images that a list names
# What a label's values mean: ids, or `ids: label_ids` (a known table), or `colours: {road: [128, 64, 128]}`.
ids: {0: road, 1: sidewalk, 2: building, 8: vegetation, 10: sky, 11: person, 13: car, 255: void}
# evaluation_size: [1024, 512]          # test images are resized into it
# Classes that are none of the 19 of Cityscapes need `data.classes: [lane, kerb]` in the experiment.
""",
}


def create(folder: Path) -> list[Path]:
    """Write the files; refuses a folder that holds one of them."""
    paths = [folder / name for name in FILES]
    for path in paths:
        if path.exists():
            raise ConfigError(f"{path}: is there already; `rein init` only fills a new folder")
    for path, text in zip(paths, FILES.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return paths
