"""Pretrained weights of a backbone: found, read, renamed, resized, and loaded whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rein import config
from rein.config import ConfigError
from rein.models import tensor_files, vfm

#: What files hold besides a trunk, by the beginning of the name: heads, decoders, final norms, tokens of pretraining.
NOT_TRUNK = (
    "head.", "head_dist.", "fc.", "norm.", "fc_norm.", "attn_pool.", "neck.", "decoder.", "decoder_", "lm_head.",
    "mask_token", "pre_logits.", "logit_scale", "norm0.", "norm1.", "norm2.", "norm3.",
)  # fmt: skip

#: OpenMMLab's names of a plain ViT and a ConvNeXt (mmpretrain), rewritten to timm's or to what timm converts.
_OPENMMLAB = (
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^pre_norm\.", "norm_pre."),
    (r"^ln1\.", "norm."),
    (r"^layers\.(\d+)\.ln(\d)\.", r"blocks.\1.norm\2."),
    (r"^layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
    (r"^layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
    (r"^layers\.(\d+)\.ffn\.w12\.", r"blocks.\1.mlp.fc1."),
    (r"^layers\.(\d+)\.ffn\.w3\.", r"blocks.\1.mlp.fc2."),
    (r"^layers\.(\d+)\.(?:attn\.|ffn\.)?(?:gamma|ls)(\d)\.weight$", r"blocks.\1.ls\2.gamma"),
    (r"^layers\.(\d+)\.attn\.", r"blocks.\1.attn."),
    (r"^(stages\.\d+\.\d+)\.depthwise_conv\.", r"\1.dwconv."),
    (r"^(stages\.\d+\.\d+)\.pointwise_conv(\d)\.", r"\1.pwconv\2."),
)


def weight_file(backbone: config.Backbone, folder: Path) -> Path | None:
    """The local file that the weights come from: given, in the weights folder, or shipped. None: hub or random."""
    if backbone.weights == "none":
        return None
    if backbone.weights == "pretrained":
        return vfm.SHIPPED_WEIGHTS.get(backbone.name)
    for path in (Path(backbone.weights), folder / backbone.weights, folder / Path(backbone.weights).name):
        if path.is_file():
            return path
    raise ConfigError(
        f"backbone.weights: no file {backbone.weights!r}, here or in {folder}; "
        f"give its path, or the folder that holds it by --weights or REIN_WEIGHTS"
    )


def digest(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(net: Any, backbone: config.Backbone, folder: Path) -> None:
    """Fill a net with the weights its config names; every parameter is filled and every tensor used, or it raises.

    Left out are only what no trunk has (`NOT_TRUNK`) and blocks behind the last one that feeds the head.
    """
    if backbone.weights == "none":
        return
    path = weight_file(backbone, folder)
    if path is not None:
        origin, state = str(path), recognise(_read(path), backbone.name, net.state_dict().keys())
    else:
        origin = f"the hub ({backbone.name})"
        try:
            state = vfm.fetch(backbone.name)
        except Exception as error:  # the hub raises what its HTTP client raises
            raise ConfigError(
                f"backbone.weights: {backbone.name} could not be fetched ({type(error).__name__}: {error}); "
                f"give a local file by backbone.weights=FILE, or backbone.weights=none for an untrained net"
            ) from None
    own = net.state_dict()
    state = {name: _fit(name, tensor, own[name], net, backbone) for name, tensor in state.items() if name in own} | {
        name: tensor for name, tensor in state.items() if name not in own and not _spare(name, own)
    }
    problems = {
        "missing": sorted(own.keys() - state.keys()),
        "not used": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{n} {tuple(state[n].shape)} for {tuple(own[n].shape)}"
            for n in sorted(own.keys() & state.keys())
            if state[n].shape != own[n].shape
        ],
    }
    if any(problems.values()):
        lines = (
            f"{len(names)} {kind}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            for kind, names in problems.items()
            if names
        )
        raise ConfigError(f"backbone.weights: {origin} does not fit {backbone.name}: " + "; ".join(lines))
    net.load_state_dict(state)


def recognise(state: Mapping[str, Tensor], name: str, own: Any) -> dict[str, Tensor]:
    """A file's tensors under timm's names: as they are, from OpenMMLab's names, or from the authors' own."""
    for prefix in ("module.", "backbone."):  # of distributed training; of a whole segmenter, whose head stays out
        inner = {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
        state = inner or state
    # Tables of indices, not weights: BEiT's and Swin's own files hold them.
    state = {k: t for k, t in state.items() if not k.endswith(("relative_position_index", "attn_mask"))}
    if own <= state.keys():
        return dict(state)
    for pattern, replacement in _OPENMMLAB:
        state = {re.sub(pattern, replacement, key): tensor for key, tensor in state.items()}
    if own <= state.keys():
        return dict(state)
    try:
        converted = vfm.convert(name, state, *_native_size(state))
    except (KeyError, AttributeError, RuntimeError, AssertionError, ValueError):  # names that timm's converter trips on
        return dict(state)
    # It drops DINOv3's biases for nets without any, which is right while they are zero.
    lost = any(k.endswith("qkv.bias") and t.any() for k, t in state.items())
    if lost and not any(k.endswith(("qkv.bias", "q_bias", "q_proj.bias")) for k in converted):
        raise ConfigError(
            f"backbone.weights: the file has biases of queries and values, {name} has none; name the model that does, "
            f"for DINOv3 {name.split('.')[0]}_qkvb"
        )
    return converted


def _native_size(state: Mapping[str, Tensor]) -> tuple[int | None, int | None]:
    """Patch and image side that a file was made for, from its patch kernel and position table, where it has them."""
    kernels = [t for n, t in state.items() if n.endswith(("patch_embed.proj.weight", "conv1.weight")) and t.ndim == 4]
    tables = [t for n, t in state.items() if n.endswith(("pos_embed", "positional_embedding"))]
    if not kernels:
        return None, None
    patch = kernels[0].shape[-1]
    if not tables:
        return patch, None
    cells = tables[0].shape[1] ** 2 if tables[0].ndim == 4 else tables[0].shape[-2]
    return patch, int(cells**0.5) * patch  # the class token is less than another row


def _spare(name: str, own: Mapping[str, Tensor]) -> bool:
    """Whether a tensor of a file may be left out: no part of a trunk, or of a block behind the last one kept."""
    if name.startswith(NOT_TRUNK):
        return True
    block = _BLOCK.match(name)
    kept = [int(m[1]) for m in map(_BLOCK.match, own) if m]
    return block is not None and bool(kept) and int(block[1]) > max(kept)


_BLOCK = re.compile(r"blocks\.(\d+)\.")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return tensor_files.read(path)[0]
    except ConfigError as error:
        raise ConfigError(f"backbone.weights: {error}") from None


# --------------------------------------------------------------------------------------------------------- resizing


def _fit(name: str, tensor: Tensor, own: Tensor, net: Any, backbone: config.Backbone) -> Tensor:
    """Resize what depends on patch or image size to the net's own: `reference` is plain bicubic, `timm` timm's way."""
    if tensor.shape == own.shape:
        return tensor
    timms, kind = backbone.resize == "timm", name.rpartition(".")[2]
    if name == "patch_embed.proj.weight" and tensor.shape[:2] == own.shape[:2]:
        if timms:
            return vfm.resize_kernel(tensor.float(), own.shape[-1])
        return F.interpolate(tensor.float(), own.shape[-2:], mode="bicubic", align_corners=False)
    if name == "pos_embed" and tensor.shape[-1] == own.shape[-1]:
        prefix = 0 if getattr(net, "no_embed_class", False) else getattr(net, "num_prefix_tokens", 0)
        return _fit_positions(tensor.float(), own, prefix, timms)
    if kind in ("rel_pos_h", "rel_pos_w"):  # SAM resizes them so itself, at every call
        return F.interpolate(tensor.float().T[None], own.shape[0], mode="linear")[0].T
    if kind == "relative_position_bias_table" and hasattr(net, "blocks"):  # BEiT's; Swin's windows have one size
        return vfm.resize_bias(net, name, tensor.float(), own.shape)
    return tensor


def _fit_positions(table: Tensor, own: Tensor, prefix: int, timms: bool) -> Tensor:
    if table.ndim == 4:  # SAM: (1, h, w, c)
        grid = (own.shape[1], own.shape[2])
        if timms:
            return vfm.resize_positions(table, grid, 0)
        return _bicubic(table.permute(0, 3, 1, 2), grid).permute(0, 2, 3, 1)
    side, old = (int((t.shape[1] - prefix) ** 0.5) for t in (own, table))
    if side**2 != own.shape[1] - prefix or old**2 != table.shape[1] - prefix:
        return table
    if timms:
        return vfm.resize_positions(table, (side, side), prefix)
    kept, positions = table[:, :prefix], table[:, prefix:]
    square = positions.unflatten(1, (old, old)).permute(0, 3, 1, 2)  # (1, c, old, old)
    return torch.cat([kept, _bicubic(square, (side, side)).flatten(2).transpose(1, 2)], dim=1)  # (1, prefix + n, c)


def _bicubic(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode="bicubic", align_corners=False)
