"""A run as the packed files have it, and what both ways agree on."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rein.config import ConfigError, Experiment, run_id
from rein.config_io import build
from rein.image_counts import ImageCounts
from rein.ledger.run import SCORE_COLUMNS

#: Of results.csv.
COLUMNS = ("run_id", *SCORE_COLUMNS)

Rows = list[list[str]]


@dataclass(frozen=True)
class Packed:
    """One run as the files have it."""

    id: str
    experiment: Mapping[str, Any]
    status: Mapping[str, Any]
    environment: Mapping[str, Any] | None
    #: Name -> content of the files that describe its domains.
    domains: Mapping[str, bytes]
    images: Mapping[str, ImageCounts]
    #: As scores.csv has them, and the losses behind.
    rows: Rows


def digest_of_run(one: Packed) -> str:
    """Of all that the files have of a run, however zip and numpy lay it out and whatever ends a line."""
    whole = {
        "experiment": one.experiment,
        "status": one.status,
        "environment": one.environment,
        "domains": {name: digest_of(content.replace(b"\r\n", b"\n")) for name, content in one.domains.items()},
        "images": {
            name: [images.names, images.counts.shape, digest_of(images.counts.astype("<i8").tobytes())]
            for name, images in one.images.items()
        },
        "rows": one.rows,
    }
    return digest_of(json.dumps(whole, sort_keys=True))


def check(id: str, experiment: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError where a run is not named by its experiment."""
    name = run_id(build(Experiment, experiment, f"{where}: run {id}", to_run=False))
    if name != id:
        raise ConfigError(
            f"{where}: run {id} has the experiment of {name}: it was changed, or written by another version of rein"
        )


def as_csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def digest_of(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
