"""The built-in toy world: street scenes with exact Cityscapes train-id labels in source and target styles.

A scene (`street`: geometry and classes) is separate from its look (`style`: palette, texture, light, weather,
sensor). `game` is the source: clean, saturated, narrow in its layout. `day` differs in palette, texture and layout;
`night`, `fog`, `rain` and `snow` add their conditions to that. `arcade` and `studio` are further sources beside `game`,
and `day` has images to train on too. Every image follows from (style, seed) alone, in any process.
`unlabelled` is a far broader mixture, for pretraining the toy foundation model; its random streams are its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from rein.data.domain import DataError
from rein.data.toy.scene import Layout
from rein.data.toy.street import build
from rein.data.toy.style import Style, paint

#: Written beside the images. Raise it with every change of what is drawn, so that a cached world is made anew.
VERSION = "3"
STYLES = ("game", "day", "night", "fog", "rain", "snow", "arcade", "studio")
SOURCES = ("game", "day", "arcade", "studio")
TRAIN_IMAGES, VAL_IMAGES = 200, 24
_VAL_SEED = 1_000_000  # where the seeds of val begin; those of train begin at 0
_UNLABELLED_STREAM = 1_000  # the first word of a seed: the styles have 0 to 4

_WIDE = Layout(
    horizon=(30, 48),
    vanish=(66, 126),
    focal=(90, 135),
    eye=(1.2, 2.2),
    road=(3.5, 8.0),
    walk=(1.4, 4.5),
    setback=(0.5, 5.0),
    floors=(1, 8),
    built=(0.35, 0.85),
    trees=(1, 7),
    poles=(2, 7),
    cars=(2, 7),
    heavy=(0.1, 0.4),
    people=(2, 9),
)
_DAY = Style(
    real=(1, 1),
    drift=(0.01, 0.03),
    vary=(0.03, 0.06),
    texture=(0.1, 0.2),
    clouds=(0.2, 0.9),
    sun=(0.2, 0.6),
    shadow=(0.4, 0.7),
    warmth=(-0.05, 0.12),
    fog=(0.002, 0.006),
    grey=(0.0, 0.25),
    contrast=(0.9, 1.1),
    gamma=(0.85, 1.2),
    blur=(0.3, 0.7),
    noise=(0.005, 0.02),
    vignette=(0.0, 0.25),
)
_LOOKS: dict[str, tuple[Layout, Style]] = {
    "game": (Layout(), Style()),
    "day": (_WIDE, _DAY),
    "night": (
        _WIDE,
        replace(
            _DAY,
            sun=(0.0, 0.1),
            dark=(0.6, 0.92),
            lit=(0.1, 0.45),
            glow=(0.5, 1.0),
            noise=(0.02, 0.05),
            blur=(0.4, 0.9),
        ),
    ),
    "fog": (
        _WIDE,
        replace(_DAY, sun=(0.0, 0.1), shadow=(0.0, 0.2), fog=(0.02, 0.06), grey=(0.3, 0.6), contrast=(0.8, 1.0)),
    ),
    "rain": (
        _WIDE,
        replace(
            _DAY,
            sun=(0.0, 0.1),
            shadow=(0.1, 0.3),
            wet=(0.5, 1.0),
            streaks=(40, 160),
            grey=(0.3, 0.6),
            fog=(0.005, 0.015),
            gamma=(1.1, 1.5),
            lit=(0.0, 0.3),
            glow=(0.0, 0.4),
            blur=(0.4, 1.0),
        ),
    ),
    "snow": (
        _WIDE,
        replace(
            _DAY,
            sun=(0.0, 0.1),
            shadow=(0.0, 0.2),
            snow=(0.3, 0.8),
            streaks=(20, 120),
            grey=(0.3, 0.6),
            fog=(0.005, 0.02),
        ),
    ),
    "arcade": (Layout(), Style(drift=(0.04, 0.08), texture=(0.0, 0.03), contrast=(1.1, 1.3), warmth=(-0.1, 0.0))),
    "studio": (
        _WIDE,
        Style(real=(0.3, 0.6), texture=(0.05, 0.12), sun=(0.3, 0.6), clouds=(0.2, 0.6), gamma=(0.9, 1.1)),
    ),
}


def render(style: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (96, 192, 3) and label (96, 192) of train ids, both uint8."""
    rng = np.random.default_rng([STYLES.index(style), seed])
    layout, look = _LOOKS[style]
    scene = build(layout, rng)
    return paint(scene, look, rng), scene.label


def unlabelled(seed: int) -> np.ndarray:
    """One image (96, 192, 3) of a broad mixture: any palette and layout; no condition or several, at any strength."""
    rng = np.random.default_rng([_UNLABELLED_STREAM, seed])
    look = replace(
        _DAY,
        real=(0, 1),
        drift=(0.0, 0.12),
        vary=(0.01, 0.08),
        texture=(0.03, 0.25),
        clouds=(0, 1),
        sun=(0, 0.6),
        shadow=(0, 0.7),
        warmth=(-0.15, 0.2),
        fog=(0, 0.008),
        grey=(0, 0.6),
        contrast=(0.8, 1.2),
        gamma=(0.7, 1.4),
        blur=(0.2, 1.0),
        noise=(0, 0.04),
    )
    if rng.random() < 0.35:
        look = replace(look, dark=(0.2, 1.0), lit=(0.0, 0.5), glow=(0.1, 1.0), sun=(0.0, 0.2))
    if rng.random() < 0.3:
        look = replace(look, fog=(0.005, 0.07))
    if rng.random() < 0.3:
        look = replace(look, wet=(0.0, 1.0), streaks=(0, 200))
        if rng.random() < 0.3:
            look = replace(look, snow=(0.1, 0.7))
    return paint(build(_WIDE, rng), look, rng)


def splits(style: str) -> dict[str, list[int]]:
    """The seeds of each split that a style has."""
    val = [_VAL_SEED + i for i in range(VAL_IMAGES)]
    return {"train": list(range(TRAIN_IMAGES)), "val": val} if style in SOURCES else {"val": val}


def ensure(root: Path, style: str) -> None:
    """Makes `root/style/{images,labels}/split/000000.png` unless they are there; racing processes are safe.

    Raises DataError where they cannot be written.
    """
    home = Path(root) / style
    if _complete(home):
        return
    try:
        _draw(home, style)
    except OSError as error:
        if not _complete(home):  # else another process was first
            raise DataError(
                f"{home}: the toy world is drawn into the data folder, which cannot be written ({error.strerror}); "
                f"give --data (or REIN_DATA) a folder of yours"
            ) from error


def _draw(home: Path, style: str) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{style}-", dir=home.parent))
    try:
        draft.chmod(0o755)  # mkdtemp's private mode would hide a shared data folder from others
        for split, seeds in splits(style).items():
            for kind in ("images", "labels"):
                (draft / kind / split).mkdir(parents=True)
            for i, seed in enumerate(seeds):
                for kind, pixels in zip(("images", "labels"), render(style, seed), strict=True):
                    Image.fromarray(pixels).save(draft / kind / split / f"{i:06d}.png")
        (draft / "version").write_text(VERSION)
        if home.exists() and not _complete(home):  # an older world: move it into the draft's wake
            os.replace(home, draft.with_name(draft.name + "-old"))
        os.replace(draft, home)  # fails if another process was first, since its folder is not empty
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(draft.with_name(draft.name + "-old"), ignore_errors=True)


def _complete(home: Path) -> bool:
    marker = home / "version"
    return marker.is_file() and marker.read_text() == VERSION
