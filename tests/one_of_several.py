"""One of the processes that share a run, as `torchrun` would start it: trains what a JSON file lists, in this order.

Beside each experiment may stand what is to go wrong: `{"kind": ..., "rank": ..., "step": ...}`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from rein.config import Experiment, Machine, run_id
from rein.config_io import build
from rein.data.domain import DataError
from rein.ledger import Run
from rein.models.segmenter import Segmenter
from rein.ranks import Ranks, joined
from rein.training import train


@contextlib.contextmanager
def at_pass(number: int, kind: str) -> Iterator[None]:
    """In one pass through the network memory is short, or a signal comes."""
    forward, calls = Segmenter.forward, []

    def limited(self: Segmenter, image: Tensor) -> Any:
        calls.append(len(image))
        if len(calls) == number and kind == "memory":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, image)

    with patch.object(Segmenter, "forward", limited):
        yield


def main(file: Path) -> None:
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    plan = json.loads(file.read_text())
    machine = Machine(
        **{key: Path(value) if key in ("data", "runs") else value for key, value in plan["machine"].items()}
    )
    with joined() as ranks:
        for experiment, wrong in plan["experiments"]:
            # A group of messages is over once a process has failed.
            _train(
                build(Experiment, experiment), machine, Ranks.here(), wrong if wrong.get("rank") == ranks.rank else {}
            )


def _train(experiment: Experiment, machine: Machine, ranks: Ranks, wrong: Mapping[str, Any]) -> None:
    def observe(record: Mapping[str, Any]) -> None:
        if record["step"] == wrong.get("step"):
            match wrong["kind"]:
                case "data":
                    raise DataError("a.png: not a readable image")
                case "cut":
                    raise KeyboardInterrupt
                case "pruned":
                    Run(machine.runs / run_id(experiment)).ask_to_stop("pruned", "for a test")
                    raise SystemExit

    kind = wrong.get("kind")
    limited = at_pass(wrong["step"], kind) if kind in ("memory", "signal") else contextlib.nullcontext()
    with contextlib.suppress(Exception, KeyboardInterrupt, SystemExit), limited:
        train(experiment, machine, observe, ranks)


main(Path(sys.argv[1]))
