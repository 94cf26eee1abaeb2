"""Vision foundation models from timm as four feature maps; the only file that knows timm."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from jaxtyping import Float
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from rein import config
from rein.config import ConfigError, nearest
from rein.models.tuning import tune

_ASSETS = Path(__file__).parent.parent / "assets"

#: Weight files shipped with the package, by model name.
SHIPPED_WEIGHTS = {"vit_toy_patch8_96": _ASSETS / "vit_toy_patch8_96.safetensors"}


class Backbone(nn.Module):
    """A plain ViT, tuned in one of the ways of `rein.models.tuning`.

    `forward` takes a normalised image (B, 3, H, W), H and W multiples of the patch size, and returns the raw outputs
    (no final norm) of four blocks as (B, c, H / patch, W / patch), and the queries that a linked Rein has for the head.
    Positions are fitted to `image_size` once, as `resize` says; an image of another size has them resized anew by timm.
    """

    def __init__(
        self, backbone: config.Backbone, tuning: config.Tuning, image_size: int, query_width: int, weights: Path
    ) -> None:
        super().__init__()
        vit = create_vit(backbone, image_size)
        load_weights(vit, backbone, weights)
        self.blocks = backbone.blocks or default_blocks(len(vit.blocks))
        _check_blocks(self.blocks, len(vit.blocks))
        _drop_tail(vit, self.blocks[-1])
        self.width: int = vit.embed_dim
        self.patch_size: int = vit.patch_embed.patch_size[0]
        self.full = tuning.method == "full"
        # Registered before the blocks that share it, so that its parameters are named once and here: `backbone.rein.*`.
        self.rein = tune(vit, tuning, query_width)
        self.vit = vit

    def forward(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[list[Float[Tensor, "b c gh gw"]], Float[Tensor, "m q"] | None]:
        features = self.vit.forward_intermediates(image, indices=list(self.blocks), intermediates_only=True)
        return features, None if self.rein is None else self.rein.queries()

    def train(self, mode: bool = True) -> Backbone:
        """Switch the mode of what trains; a frozen trunk stays in eval mode (no dropout, no drop path)."""
        super().train(mode)
        if not self.full:
            self.vit.eval()
        return self


def create_vit(backbone: config.Backbone, image_size: int) -> Any:
    """The timm model at a patch and image size, without a classifier, its weights still random."""
    if not timm.is_model(backbone.name):
        name = backbone.name.split(".")[0]
        raise ConfigError(f"backbone.name: timm knows no model {name!r}{nearest(name, timm.list_models())}")
    size: dict[str, Any] = {} if backbone.patch_size is None else {"patch_size": backbone.patch_size}
    try:
        vit = timm.create_model(backbone.name, num_classes=0, img_size=image_size, dynamic_img_size=True, **size)
    except RuntimeError:  # an architecture that timm knows with a set of weights that it does not
        known = timm.list_pretrained(backbone.name.split(".")[0] + "*")
        raise ConfigError(f"backbone.name: timm knows no {backbone.name!r}{nearest(backbone.name, known)}") from None
    except TypeError as error:
        raise ConfigError(f"backbone.name: {backbone.name} is not a plain ViT ({error})") from None
    if not hasattr(vit, "blocks"):
        raise ConfigError(f"backbone.name: {backbone.name} is not a plain ViT: it has no `blocks`")
    return vit


def default_blocks(depth: int) -> tuple[int, ...]:
    """The blocks that feed the head: the reference's 7, 11, 15, 23 of 24 and the like; quarters of SAM-H's 32."""
    if depth == 32:
        return (7, 15, 23, 31)
    thirds = (max(round(depth * share) - 1, 0) for share in (1 / 3, 1 / 2, 2 / 3))
    return (*thirds, depth - 1)


def _drop_tail(vit: Any, last: int) -> None:
    """Keep only what feeds the head: blocks behind the last one that is read, and the final norm or pooling, would be
    computed or counted for nothing, and have no gradient to train by."""
    vit.blocks = vit.blocks[: last + 1]
    for name in ("norm", "fc_norm", "attn_pool"):
        if hasattr(vit, name):
            setattr(vit, name, nn.Identity())


def known_backbones() -> list[dict[str, Any]]:
    """The foundation models of the paper and the toy's: name, patch, and where the weights come from."""
    rows = []
    for name in ("vit_toy_patch8_96", *(name for name in timm.list_pretrained("vit_*_dinov2*"))):
        config = timm.get_pretrained_cfg(name, allow_unregistered=True)
        hub = config.hf_hub_id if config else None
        licence = (config.license if config else None) or ""
        rows.append({"name": name, "weights": "shipped" if name in SHIPPED_WEIGHTS else hub, "licence": licence})
    return rows


def _check_blocks(blocks: tuple[int, ...], depth: int) -> None:
    if len(blocks) != 4 or list(blocks) != sorted(set(blocks)) or blocks[-1] >= depth:
        raise ConfigError(f"backbone.blocks: {list(blocks)}: four different blocks below {depth}, in ascending order")


# -------------------------------------------------------------------------------------------------------- weights


def weight_file(backbone: config.Backbone, folder: Path) -> Path | None:
    """The local file that the weights come from: given, in the weights folder, or shipped. None: hub or random."""
    if backbone.weights == "none":
        return None
    if backbone.weights == "pretrained":
        return SHIPPED_WEIGHTS.get(backbone.name)
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


def load_weights(vit: Any, backbone: config.Backbone, folder: Path) -> None:
    """Fill a ViT with the weights its config names; every tensor is used and every parameter filled, or it raises."""
    if backbone.weights == "none":
        return
    path = weight_file(backbone, folder)
    if path is not None:
        state, origin = _read_state(path), str(path)
    else:
        origin = f"the hub ({backbone.name})"
        try:
            state = timm.create_model(backbone.name, pretrained=True, num_classes=0).state_dict()
        except Exception as error:  # the hub raises what its HTTP client raises
            raise ConfigError(
                f"backbone.weights: {backbone.name} could not be fetched ({type(error).__name__}: {error}); "
                f"give a local file by backbone.weights=FILE, or backbone.weights=none for an untrained net"
            ) from None
    own = vit.state_dict()
    state = {
        name: _fit(name, tensor, own[name], vit, backbone.resize) if name in own else tensor
        for name, tensor in state.items()
    }
    missing, unused = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [
        f"{n} {tuple(state[n].shape)} for {tuple(own[n].shape)}"
        for n in own.keys() & state.keys()
        if state[n].shape != own[n].shape
    ]
    problems = {"missing": missing, "not used": unused, "of another shape": wrong}
    if any(problems.values()):
        lines = (
            f"{len(names)} {kind}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            for kind, names in problems.items()
            if names
        )
        raise ConfigError(f"backbone.weights: {origin} does not fit {backbone.name}: " + "; ".join(lines))
    vit.load_state_dict(state)


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds for a broken file
        raise ConfigError(f"backbone.weights: {path} cannot be read ({type(error).__name__}: {error})") from None
    return state.get("state_dict", state.get("model", state))


def _fit(name: str, tensor: Tensor, own: Tensor, vit: Any, resize: str) -> Tensor:
    """Resize a patch kernel or position table to the model's own: plain bicubic (`reference`) or timm's way."""
    if tensor.shape == own.shape:
        return tensor
    if name == "patch_embed.proj.weight" and tensor.shape[:2] == own.shape[:2]:
        if resize == "timm":
            from timm.layers.patch_embed import resample_patch_embed

            return resample_patch_embed(tensor.float(), list(own.shape[-2:]))
        return F.interpolate(tensor.float(), own.shape[-2:], mode="bicubic", align_corners=False)
    if name == "pos_embed" and tensor.shape[-1] == own.shape[-1]:
        prefix = 0 if vit.no_embed_class else vit.num_prefix_tokens
        return _fit_positions(tensor.float(), vit.patch_embed.grid_size, prefix, antialias=resize == "timm")
    return tensor


def _fit_positions(table: Tensor, grid: tuple[int, int], prefix: int, antialias: bool) -> Tensor:
    side = int((table.shape[1] - prefix) ** 0.5)
    kept, positions = table[:, :prefix], table[:, prefix:]
    square = positions.unflatten(1, (side, -1)).permute(0, 3, 1, 2)  # (1, c, side, side)
    square = F.interpolate(square, grid, mode="bicubic", align_corners=False, antialias=antialias)
    return torch.cat([kept, square.flatten(2).transpose(1, 2)], dim=1)  # (1, prefix + n, c)


# -------------------------------------------------------------------------------------------------------- toy ViT


@register_model
def vit_toy_patch8_96(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """The toy world's foundation model (`python -m rein.assets.make_toy_vit` trained it)."""
    shape = {"img_size": 96, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4, "num_classes": 0}
    kwargs = {k: v for k, v in kwargs.items() if k not in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")}
    return VisionTransformer(**{**shape, **kwargs})
