"""Checkpoints in OpenMMLab's names become runs that can be evaluated, predicted with and exported.

Such a run was not made here: its folder is not named by its experiment's hash and its state is `imported`, so no sweep
takes it for done and no report counts it.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rein.config import ConfigError, Experiment, Frozen, Full, Machine, Rein, run_id
from rein.config_io import dump, load
from rein.ledger import Run, write_atomic
from rein.models import tensor_files
from rein.models.backbone import Backbone
from rein.models.segmenter import build_model
from rein.models.tuning import trainable
from rein.models.weights import digest
from rein.trained import openmmlab
from rein.training import checkpoint

log = logging.getLogger(__name__)

DEFAULT = "rein_dinov2_gta"

#: Tensors of a trunk that no network here has: the head reads raw block outputs, and nothing is masked.
_SPARE = ("mask_token", "norm.weight", "norm.bias")


def import_file(path: Path, words: Sequence[str], machine: Machine) -> dict[str, Any]:
    """Read a checkpoint as the network of an experiment (a name or file, then `key=value` changes) into the ledger.

    Every tensor of the file is used or named as left out, and every trained tensor of the network is filled.
    Raises ConfigError saying what was not used, what was missing and why.
    """
    experiment = load(Experiment, *experiment_and_changes(words))
    state, others = tensor_files.read(path)
    trained, trunk = _fitted(state, experiment, path)
    sha256 = digest(path)
    unique = hashlib.sha256(f"{sha256} {run_id(experiment)}".encode()).hexdigest()[:12]
    run = Run(machine.runs / f"imported-{unique}")
    run.keep_domains(experiment)
    file = run.path / "checkpoint" / "step_0000000" / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_tensors(file, trained)
    if trunk:
        try:
            experiment = _keep_trunk(trunk, experiment, run.path / "trunk.safetensors", machine)
        except ConfigError:
            shutil.rmtree(run.path)
            raise
    if "dinov2" in experiment.backbone.name and not isinstance(experiment.tuning, Rein):
        log.warning(
            "the reference's code feeds this head other features than ours: of a DINOv2 without Rein it resizes block "
            "7's map to strides 4, 2 and 8 in place of blocks 7, 11 and 23 at 4, 8 and 32; expect other scores"
        )
    facts = {
        "file": path.name,
        "sha256": sha256,
        "tensors": len(trained),
        "trunk": _trunk_origin(experiment, trunk),
        "left_out": others + [name for name in state if name.removeprefix("backbone.") in _SPARE and not trunk],
    }
    run.update(state="imported", imported=facts)
    write_atomic(run.path / "experiment.yaml", dump(experiment))  # last: it makes the folder a run
    return {"run": run.id, "folder": str(run.path), **facts}


def experiment_and_changes(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """`[EXPERIMENT] [KEY=VALUE ...]`: the default experiment where the first word is a change."""
    return (words[0], words[1:]) if words and "=" not in words[0] else (DEFAULT, words)


def _fitted(
    state: Mapping[str, Tensor], experiment: Experiment, path: Path
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The trained tensors under our names, and those of a frozen trunk (without `backbone.`) where the file has one."""
    with torch.device("meta"):
        own = dict(trainable(build_model(replace(experiment, backbone=replace(experiment.backbone, weights="none")))))
    names = openmmlab.table(own)
    full = isinstance(experiment.tuning, Full)
    is_trunk = [n for n in state if n.startswith("backbone.") and not n.startswith("backbone.reins.")]
    spare = [n for n in is_trunk if n.removeprefix("backbone.") in _SPARE] if full else is_trunk
    missing = [theirs for theirs in names.values() if theirs not in state]
    unused = [theirs for theirs in state.keys() - names.values() if theirs not in spare]
    wrong = [
        f"{theirs} {tuple(state[theirs].shape)} for {tuple(own[ours].shape)}"
        for ours, theirs in names.items()
        if theirs in state and state[theirs].shape != own[ours].shape
    ]
    problems = {"missing": sorted(missing), "not used": sorted(unused), "of another shape": sorted(wrong)}
    if any(problems.values()):
        for kind, found in problems.items():
            log.debug("%s: %s: %s", path, kind, ", ".join(found))
        counts = "; ".join(_counts(problems))
        raise ConfigError(f"{path}: {_reason(state, experiment, missing)}{counts}; nothing was loaded")
    return (
        {ours: state[theirs].to(own[ours].dtype) for ours, theirs in names.items()},
        {} if full else {name.removeprefix("backbone."): state[name] for name in is_trunk},
    )


def _reason(state: Mapping[str, Tensor], experiment: Experiment, missing: Iterable[str]) -> str:
    """What the pattern of names says to a person, before the names themselves."""
    tuning, missing = experiment.tuning, set(missing)
    plain = "decode_head.query_embed.weight" in state
    rein = any(name.startswith("backbone.reins.") for name in state)
    if not any(name.startswith("decode_head.") for name in state):
        return "holds no OpenMMLab checkpoint of a network with its head (no decode_head.*): "
    told = len(state["decode_head.cls_embed.weight"]) - 1 if "decode_head.cls_embed.weight" in state else None
    if told not in (None, len(experiment.classes)):
        return f"tells {told} classes apart, and the experiment's data.classes {len(experiment.classes)}: "
    if isinstance(tuning, Rein) and plain and not rein:
        return (
            "holds a plain head with learned queries, of a frozen or fully trained backbone, and the experiment is a "
            "Rein, whose queries come from its tokens; import it with tuning.method=frozen or full: "
        )
    if not isinstance(tuning, Rein) and rein:
        return f"holds a Rein, and the experiment's tuning is {tuning.method}; import it with tuning.method=rein: "
    if isinstance(tuning, Full) and any(name.startswith("backbone.") for name in missing):
        return "lacks tensors of the trunk, which the experiment's tuning trains: "
    return f"does not fit the experiment ({experiment.backbone.name}, {tuning.method}): "


def _counts(problems: Mapping[str, list[str]]) -> Iterable[str]:
    for kind, names in problems.items():
        if names:
            yield f"{len(names)} {kind} ({', '.join(names[:4])}{', ...; -v lists all' if len(names) > 4 else ''})"


def _keep_trunk(trunk: Mapping[str, Tensor], experiment: Experiment, file: Path, machine: Machine) -> Experiment:
    """Put the file's own frozen trunk beside the checkpoint; the experiment then takes its weights from there.

    Raises ConfigError where it is not the trunk of the experiment's backbone.
    """
    checkpoint.write_tensors(file, {name: tensor for name, tensor in trunk.items() if name != "mask_token"})
    backbone = replace(experiment.backbone, weights=str(file))
    Backbone(backbone, Frozen(), experiment.data.crop_size, 0, machine.weights)
    return replace(experiment, backbone=backbone)


def _trunk_origin(experiment: Experiment, trunk: Mapping[str, Tensor]) -> str:
    if trunk:
        return "of the file, kept beside the checkpoint"
    if isinstance(experiment.tuning, Full):
        return "of the file"
    return f"not in the file: backbone.weights={experiment.backbone.weights} of {experiment.backbone.name}"
