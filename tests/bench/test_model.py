"""What `rein bench model` counts, at a size at which that takes seconds: nothing here depends on the clock."""

import json

import pytest
import torch
from typer.testing import CliRunner

from rein.bench.model import Case, measure, sides
from rein.cli import app

SMALL = {"backbone": "vit_tiny_patch16_224", "size": 64}


def test_a_training_step_waits_once_and_launches_less_than_half_of_the_peers_kernels() -> None:
    ours, peers = sides(Case("train", **SMALL, batch=4))
    for side in (ours, peers):
        side.work()
    (kernels, waits), (their_kernels, their_waits) = ours.counts(), peers.counts()
    assert waits == 1
    assert kernels <= their_kernels / 2, (kernels, their_kernels)
    assert their_waits >= 40


def test_inference_gives_the_peers_scores_without_waiting() -> None:
    ours, peers = sides(Case("infer", **SMALL, batch=2))
    found, expected = ours.work(), peers.work()
    assert found is not None and expected is not None
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert ours.counts()[1] == 0
    assert ours.counts()[0] < peers.counts()[0]


@pytest.mark.parametrize("work", ["infer", "train"])
def test_memory_is_less_than_the_peers(work: str) -> None:
    ours, peers = measure(Case(work, **{**SMALL, "size": 192}), repeats=1)
    assert 0 < ours["peak MiB"] < peers["peak MiB"]


def test_the_command_prints_a_row_for_each_side() -> None:
    command = "bench model infer --size 64 --backbone vit_tiny_patch16_224 --repeats 1 --bf16 --json"
    said = CliRunner().invoke(app, command.split())
    assert said.exit_code == 0, said.output
    rows = json.loads(said.stdout)
    assert [row["side"] for row in rows] == ["rein", "transformers", "rein bf16"]
    assert rows[0]["difference"] < 1e-5 and rows[1]["ratio"] == 1 and rows[1]["difference"] == 0
