"""What training a variant takes: hours, memory, and what there is to store."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from rein.config import Table
from rein.published import Published
from rein.reports.grid import Column, Grid
from rein.reports.study import Study
from rein.reports.tables.beside import entries
from rein.reports.tables.means import Measure, Printed, grid
from rein.reports.tables.numbers import digits_for

#: Bytes of a weight in fp32, and of a GiB.
_WEIGHT, _GIB = 4, 2**30

_EXPLAINED = (
    "Hours are of training and scoring, all attempts together. Memory is the most that torch had allocated on a GPU, "
    "or on a processor the most that the process was seen to hold; 1 GiB = 2^30 bytes. "
    "Storage is of all weights in fp32, backbone and head; trained is what a run has to keep of them beside the "
    "pretrained ones: what trains in or beside the backbone, and the head."
)
_PRINTED = (
    "What is printed as GB is taken for GiB: so the printed storage fits the number of weights; how the printed memory "
    "was measured is not known."
)


def resources(study: Study, wanted: Table) -> Grid:
    """Hours, peak memory and storage of the finished runs of every variant."""
    runs = study.done.set_index("run_id")
    head, backbone = runs["parameters.head"], runs["parameters.backbone"]
    wide = pd.DataFrame(
        {
            "hours": runs["seconds"] / 3600,
            "memory in GiB": runs["peak_memory_mib"] / 1024,
            "storage in GiB": (backbone + head) * _WEIGHT / _GIB,
            "trained in GiB": (runs["parameters.backbone_trainable"] + head) * _WEIGHT / _GIB,
        }
    )
    printed = {"hours": "train_hours", "memory in GiB": "gpu_mem_gb", "storage in GiB": "storage_gb"}
    told = entries(wanted)
    measures = [
        Measure(
            Column(title),
            digits_for(wide[title], least=2 if "storage" in title or "trained" in title else 1),
            spread=title in ("hours", "memory in GiB"),
            printed=Printed(_metric(printed[title]), printed[title]) if told and title in printed else None,
        )
        for title in map(str, wide)
    ]
    return grid(study, wanted, wide, measures, [_EXPLAINED, _PRINTED if told else ""])


def _metric(key: str) -> Callable[[Published], float | None]:
    return lambda entry: entry.metrics.get(key)
