"""Exported files: the same network under other names, folded, and as programs of other runtimes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rein.config import ConfigError, Experiment, Machine
from rein.ledger import Run, write_atomic
from rein.models import tensor_files
from rein.models.segmenter import build_model
from rein.models.tuning import trainable
from rein.trained import exporting, inference
from rein.trained.exporting import export_run
from rein.trained.importing import import_file
from rein.trained.merged_file import load_merged
from rein.training import checkpoint

Tiny = Callable[..., Experiment]
TUNINGS: list[dict[str, Any]] = [
    {"method": "rein", "token_length": 5, "rank": 2},
    {"method": "lora", "rank": 2},
    {"method": "frozen"},
    {"method": "full"},
]


def trained(experiment: Experiment, machine: Machine) -> Run:
    """A run whose checkpoint holds random weights."""
    run = Run.create(machine.runs, experiment)
    generator = torch.Generator().manual_seed(0)
    weights = {n: p + 0.1 * torch.randn(p.shape, generator=generator) for n, p in trainable(build_model(experiment))}
    file = run.path / "checkpoint" / "step_0000003" / "model.safetensors"
    file.parent.mkdir(parents=True)
    checkpoint.write_tensors(file, weights)
    write_atomic(run.path / "status.json", '{"state": "done"}')
    return run


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("tuning", [TUNINGS[0], TUNINGS[2], TUNINGS[3]], ids=lambda t: t["method"])
def test_openmmlabs_names_and_back_are_the_same_bits(
    tiny: Tiny, machine: Machine, tmp_path: Path, tuning: dict[str, Any], suffix: str
) -> None:
    run = trained(tiny({"tuning": tuning}), machine)
    file = tmp_path / f"out{suffix}"
    facts = export_run(run.id, "openmmlab", file, machine)
    made = import_file(file, [str(run.path / "experiment.yaml")], machine)
    ours, back = (tensor_files.read(checkpoint.newest(p / "checkpoint"))[0] for p in (run.path, Path(made["folder"])))
    assert facts["tensors"] == len(ours) == len(back)
    assert all(torch.equal(ours[name], back[name]) for name in ours)
    export_run(made["run"], "openmmlab", tmp_path / f"again{suffix}", machine)
    first, again = (tensor_files.read(p)[0] for p in (file, tmp_path / f"again{suffix}"))
    assert list(first) == list(again) and all(torch.equal(first[name], again[name]) for name in first)


def test_lora_has_no_file_of_openmmlab(tiny: Tiny, machine: Machine, tmp_path: Path) -> None:
    run = trained(tiny({"tuning": TUNINGS[1]}), machine)
    with pytest.raises(ConfigError, match="have no tensor for"):
        export_run(run.id, "openmmlab", tmp_path / "out.pth", machine)
    assert list(tmp_path.glob("out*")) == [] and list(tmp_path.glob(".out*")) == []


@pytest.mark.parametrize("tuning", TUNINGS, ids=lambda t: t["method"])
def test_a_merged_file_is_a_whole_network(tiny: Tiny, machine: Machine, tmp_path: Path, tuning: dict[str, Any]) -> None:
    run = trained(tiny({"tuning": tuning, "data.crop_size": 64, "evaluation.window": 64}), machine)
    facts = export_run(run.id, "merged", tmp_path / "net.safetensors", machine)
    assert facts["difference"] < 1e-5 and facts["pixels of the same class"] > 0.999
    model, experiment = load_merged(tmp_path / "net.safetensors")
    assert experiment == run.experiment() and not any(p.requires_grad for p in model.parameters())
    image = torch.randint(256, (1, 3, 64, 64), dtype=torch.uint8)
    eager, _ = inference.load_model(run, machine)
    with torch.no_grad():
        assert exporting.difference(eager.logits(image), model.logits(image)) < 1e-5


def test_a_merged_file_predicts_and_is_scored_as_its_run(tiny: Tiny, machine: Machine, tmp_path: Path) -> None:
    run = trained(tiny(), machine)
    file = tmp_path / "net.safetensors"
    export_run(run.id, "merged", file, machine)
    elsewhere = replace(machine, runs=tmp_path / "none")
    assert inference.evaluate_run(str(file), [], elsewhere) == inference.evaluate_run(run.id, [], machine)


def test_a_checkpoint_is_no_merged_file(tiny: Tiny, machine: Machine) -> None:
    file = checkpoint.newest(trained(tiny(), machine).path / "checkpoint")
    with pytest.raises(ConfigError, match=r"`rein export --format merged` did not write it"):
        inference.load_model(str(file), machine)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", TUNINGS, ids=lambda t: t["method"])
def test_a_torch_program_computes_what_the_run_does(
    tiny: Tiny, machine: Machine, tmp_path: Path, tuning: dict[str, Any]
) -> None:
    run = trained(tiny({"tuning": tuning, "evaluation.window": 32, "evaluation.stride": 32}), machine)
    facts = export_run(run.id, "torch", tmp_path / "net.pt2", machine)
    assert facts["difference"] < 1e-5 and facts["image"] == [3, 32, 32]
    program = torch.export.load(tmp_path / "net.pt2").module()
    eager, _ = inference.load_model(run, machine)
    image = torch.rand(3, 3, 32, 32) * 255
    with torch.no_grad():
        assert exporting.difference(eager.logits(image), program(image)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("tuning", TUNINGS[:2], ids=lambda t: t["method"])
def test_an_onnx_file_computes_what_the_run_does(
    tiny: Tiny, machine: Machine, tmp_path: Path, tuning: dict[str, Any]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run = trained(tiny({"tuning": tuning, "evaluation.window": 32, "evaluation.stride": 32}), machine)
    facts = export_run(run.id, "onnx", tmp_path / "net.onnx", machine)
    assert facts["difference"] < 1e-4
    assert [path.name for path in tmp_path.glob("net*")] == ["net.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    image = torch.rand(3, 3, 32, 32) * 255
    eager, _ = inference.load_model(run, machine)
    with torch.no_grad():
        scores = torch.from_numpy(session.run(["scores"], {"image": image.numpy()})[0])
        assert exporting.difference(eager.logits(image), scores) < 1e-4


def test_without_onnx_the_extra_is_named(
    tiny: Tiny, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"onnxruntime: pip install 'rein-bench\[onnx\]'"):
        export_run(trained(tiny(), machine).id, "onnx", tmp_path / "net.onnx", machine)


@pytest.mark.parametrize("kind", ["merged", pytest.param("torch", marks=pytest.mark.slow)])
def test_a_file_that_differs_is_not_kept(
    tiny: Tiny, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from rein.models.merged import FoldedRein

    whole = FoldedRein.forward
    monkeypatch.setattr(FoldedRein, "forward", lambda self, features, layer: 1.1 * whole(self, features, layer))
    run = trained(tiny({"evaluation.window": 32, "evaluation.stride": 32}), machine)
    file = tmp_path / f"net{exporting.SUFFIXES[kind][0]}"
    with pytest.raises(RuntimeError, match=rf"{kind}: the file's scores differ .*not written"):
        export_run(run.id, kind, file, machine)
    assert list(tmp_path.glob("*net*")) == []


@pytest.mark.parametrize("kind", exporting.SUFFIXES)
def test_a_file_of_another_name_is_refused_at_once(machine: Machine, tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"net\.bin: --format {kind} writes \{exporting.SUFFIXES[kind][0]}"):
        export_run("no run at all", kind, tmp_path / "net.bin", machine)
