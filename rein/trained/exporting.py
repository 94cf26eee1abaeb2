"""A run as files for other programs: OpenMMLab's names, a folded network, torch.export and ONNX; each checks itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from rein.config import ConfigError, Experiment, Machine
from rein.ledger import find
from rein.models import tensor_files
from rein.models.merged import merge
from rein.models.segmenter import Segmenter
from rein.trained import openmmlab
from rein.trained.inference import load_model, trained_weights
from rein.trained.merged_file import load_merged, save_merged
from rein.training import checkpoint

#: Largest difference of two networks' scores, relative to the largest score, on a random image. Sums in another order
#: differ in the last digits (1e-6); a pixel at the edge of an attention mask may fall to its other side through that.
TOLERANCE = {"merged": 1e-4, "torch": 1e-4, "onnx": 1e-3}

#: What the files are called; loaders go by it.
SUFFIXES = {
    "openmmlab": (".pth", ".safetensors"),
    "merged": (".safetensors",),
    "torch": (".pt2",),
    "onnx": (".onnx",),
}

#: A protobuf holds 2 GB; a larger ONNX file has its weights beside it, in FILE.data.
_ONNX_LIMIT = 1_900_000_000


class Scores(nn.Module):
    """What is exported: an image (B, 3, H, W) in 0..255 -> class scores (B, K, H, W)."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image: Tensor) -> Tensor:
        return self.segmenter.logits(image)


def export_run(run: str, kind: str, out: Path, machine: Machine) -> dict[str, Any]:
    """Write a run's network to `out` and compare the file with the network.

    Nothing is left at `out` where they differ by more than `TOLERANCE`. Raises ConfigError.
    """
    if out.suffix not in SUFFIXES[kind]:
        raise ConfigError(f"{out}: --format {kind} writes {' or '.join(SUFFIXES[kind])}; give --out such a name")
    writers = {"openmmlab": _openmmlab, "merged": _merged, "torch": _program, "onnx": _onnx}
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        facts = writers[kind](run, Path(folder) / out.name, machine)
        for file in sorted(Path(folder).iterdir()):
            os.replace(file, out.parent / file.name)
    return {"file": str(out), "bytes": out.stat().st_size, **facts}


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference, relative to the largest value of the first."""
    return ((ours - theirs).abs().max() / ours.abs().max()).item()


# ------------------------------------------------------------------------------------------------- the four formats


def _openmmlab(run: str, file: Path, machine: Machine) -> dict[str, Any]:
    record = find(machine.runs, run)
    weights, _ = tensor_files.read(trained_weights(record))
    renamed = {theirs: weights[ours] for ours, theirs in openmmlab.table(weights).items()}
    if file.suffix == ".safetensors":
        checkpoint.write_tensors(file, renamed)
    else:
        torch.save({"state_dict": renamed}, file)
    back, _ = tensor_files.read(file)
    _check("openmmlab", max((back[name] != tensor).sum().item() for name, tensor in renamed.items()), 0)
    return {"tensors": len(renamed), "difference": 0.0}


def _merged(run: str, file: Path, machine: Machine) -> dict[str, Any]:
    eager, experiment, image = _loaded(run, machine)
    save_merged(file, eager, experiment)
    return _compared("merged", eager, image, load_merged(file)[0].logits)


def _program(run: str, file: Path, machine: Machine) -> dict[str, Any]:
    eager, _, image = _loaded(run, machine)
    program = torch.export.export(Scores(merge(eager)), (image,), dynamic_shapes=_batch())
    torch.export.save(program, file)
    return _compared("torch", eager, image, torch.export.load(file).module())


def _onnx(run: str, file: Path, machine: Machine) -> dict[str, Any]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 -- torch.onnx needs it
    except ImportError as error:
        raise ConfigError(f"--format onnx needs {error.name}: pip install 'rein-bench[onnx]'") from None
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it names every operator that it does not fold
    eager, _, image = _loaded(run, machine)
    program = torch.onnx.export(
        torch.export.export(Scores(merge(eager)), (image,), dynamic_shapes=_batch()),
        dynamo=True,
        input_names=["image"],
        output_names=["scores"],
        verbose=False,
    )
    assert program is not None
    size = sum(parameter.numel() * parameter.element_size() for parameter in eager.parameters())
    program.save(file, external_data=size > _ONNX_LIMIT)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def scores(image: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"image": image.numpy()})[0])

    return _compared("onnx", eager, image, scores)


# --------------------------------------------------------------------------------------------------------- checking


def _loaded(run: str, machine: Machine) -> tuple[Segmenter, Experiment, Tensor]:
    """The network as it was trained, its experiment, and two random windows (2, 3, H, W)."""
    model, experiment = load_model(run, replace(machine, device="cpu"))
    side = experiment.window
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    return model.requires_grad_(False), experiment, image


def _batch() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch", min=1, max=1024)},)


def _compared(kind: str, eager: Segmenter, image: Tensor, other: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    with torch.no_grad():
        ours, theirs = eager.logits(image), other(image)
        single = other(image[:1])  # no batch of another size may fail or differ
    found = max(difference(ours, theirs), difference(ours[:1], single))
    _check(kind, found, TOLERANCE[kind])
    same = (ours.argmax(1) == theirs.argmax(1)).float().mean().item()
    return {"image": list(image.shape[1:]), "difference": found, "pixels of the same class": same}


def _check(kind: str, found: float, allowed: float) -> None:
    if not found <= allowed:
        raise RuntimeError(
            f"{kind}: the file's scores differ from the network's by {found:.2g} (allowed {allowed:g}); not written"
        )
