"""One file that holds a whole network, folded for inference: its tensors, and the experiment that says their shape."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from rein.config import ConfigError, Experiment, to_dict
from rein.config_io import build
from rein.models import tensor_files
from rein.models.merged import merge
from rein.models.segmenter import Segmenter, build_model
from rein.training import checkpoint

_KEY = "rein.experiment"


def save_merged(file: Path, model: Segmenter, experiment: Experiment) -> None:
    """Fold a trained network and write it as safetensors."""
    checkpoint.write_tensors(file, _tensors(merge(model)), {_KEY: json.dumps(to_dict(experiment))})


def load_merged(file: Path) -> tuple[Segmenter, Experiment]:
    """The network of such a file, in eval mode on the CPU, and its experiment; no other file or hub is asked.

    Raises ConfigError where it is another file.
    """
    state, _ = tensor_files.read(file)
    with safe_open(file, "pt") as content:
        about = (content.metadata() or {}).get(_KEY)
    if about is None:
        raise ConfigError(
            f"{file}: `rein export --format merged` did not write it; name the run of a checkpoint instead"
        )
    try:
        experiment = build(Experiment, json.loads(about), str(file), to_run=False)
    except json.JSONDecodeError:
        raise ConfigError(f"{file}: what it says of its experiment is damaged; export it anew from its run") from None
    model = merge(build_model(replace(experiment, backbone=replace(experiment.backbone, weights="none"))))
    own = _tensors(model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in state.items()}:
        raise ConfigError(f"{file}: its tensors are not those of its experiment; export it anew from its run")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
    return model, experiment


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and stored buffers, each once."""
    stored = model.state_dict().keys()
    return {**dict(model.named_parameters()), **{n: b for n, b in model.named_buffers() if n in stored}}
