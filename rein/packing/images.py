"""What the images of many runs add to their scores, in one file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rein.image_counts import ImageCounts


def pack_runs(runs: Mapping[str, Mapping[str, ImageCounts]]) -> bytes:
    """The content of one file for many runs, by id: their images' names are there once.

    Of every list of images that some runs were scored on alike, by number: `<domain>/<number>/names` (N,), the ids
    `<domain>/<number>/runs` (R,) and `<domain>/<number>/counts` (N, 3, K, R), in the smallest unsigned integers. Runs
    come last, since what is labelled is the same in all of them and so takes no room.
    """
    alike: dict[tuple[str, tuple[str, ...], int], dict[str, np.ndarray]] = {}
    for id, domains in runs.items():
        for domain, images in domains.items():
            alike.setdefault((domain, images.names, images.counts.shape[2]), {})[id] = images.counts
    arrays: dict[str, Any] = {}
    for number, ((domain, names, _), counts) in enumerate(alike.items()):
        stacked = np.stack([*counts.values()], -1)
        arrays[f"{domain}/{number}/names"] = np.array(names, np.str_)
        arrays[f"{domain}/{number}/runs"] = np.array([*counts], np.str_)
        arrays[f"{domain}/{number}/counts"] = stacked.astype(np.min_scalar_type(stacked.max(initial=0)))
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def read_runs(file: Path | BinaryIO) -> dict[str, dict[str, ImageCounts]]:
    """Run id -> domain -> counts, of such a file."""
    runs: dict[str, dict[str, ImageCounts]] = {}
    with np.load(file) as arrays:
        for key in (name.removesuffix("/names") for name in arrays.files if name.endswith("/names")):
            domain, names = key.rpartition("/")[0], tuple(arrays[f"{key}/names"].tolist())
            ids, counts = arrays[f"{key}/runs"].tolist(), arrays[f"{key}/counts"].astype(np.int64)
            for id, of_run in zip(ids, np.moveaxis(counts, -1, 0), strict=True):
                runs.setdefault(id, {})[domain] = ImageCounts(names, of_run)
    return runs
