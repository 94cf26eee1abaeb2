"""Vision foundation models of timm: create one, say how it is built, read its maps; the only file that knows timm."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed, resample_abs_pos_embed_nhwc
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rein import config
from rein.config import ConfigError, nearest

#: How the blocks of a net pass features on: tokens (B, n, c), (B, h, w, c) or (B, c, h, w).
Layout = Literal["nlc", "nhwc", "nchw"]

_ASSETS = Path(__file__).parent.parent / "assets"

_NEITHER = "no plain ViT, ConvNeXt, ResNet, Swin or Hiera"

#: Weight files shipped with the package, by model name.
SHIPPED_WEIGHTS = {"vit_toy_patch8_96": _ASSETS / "vit_toy_patch8_96.safetensors"}

#: What `rein list backbones` shows: the paper's five, today's strongest, hierarchical ones. Other plain ViTs work too.
LISTED = (
    "vit_toy_patch8_96",
    "vit_large_patch14_clip_quickgelu_224.openai",
    "vit_large_patch16_224.mae",
    "samvit_*_patch16.sa1b",
    "eva02_large_patch14_224.mim_m38m",
    "vit_*_patch14_dinov2.lvd142m",
    "vit_*_patch14_reg4_dinov2.lvd142m",
    "vit_*_patch16_dinov3.lvd1689m",
    "vit_*_patch16_siglip_512.v2_webli",
    "vit_pe_spatial_*",
    "vit_*_patch16_radio_v3.c_radio",
    "aimv2_*_patch14_448.apple_pt",
    "beit_large_patch16_512.in22k_ft_in22k_in1k",
    "beitv2_large_patch16_224.in1k_ft_in22k",
    "convnext_*.dinov3_lvd1689m",
    "convnext_large.fb_in22k",
    "resnet50.a1_in1k",
    "resnet101.a1_in1k",
    "swin_*_patch4_window7_224.ms_in22k",
    "sam2_hiera_*_2pt1",
    "hiera_*_224.mae",
)

_HIERARCHICAL = ("convnext", "resnet", "swin_transformer", "swin_transformer_v2", "hiera", "hieradet_sam2")

#: What the head does not read, by the names that timm's families give it: norms, poolings, classifiers, SAM's neck.
_TAIL = ("norm", "fc_norm", "attn_pool", "head", "fc", "global_pool", "neck")


@dataclass(frozen=True)
class Stage:
    """Blocks of one width: `blocks[i]` for i in `indices` can be replaced in place."""

    blocks: Any  # ModuleList or Sequential
    indices: range
    width: int


@dataclass(frozen=True)
class Anatomy:
    """How a net is built: a plain ViT is one stage whose four maps come at one stride, the others have four stages."""

    stages: tuple[Stage, ...]
    layout: Layout
    #: Class and register tokens in front of the patches.
    prefix_tokens: int
    #: Pixels a cell of each of the four maps, finest first.
    strides: tuple[int, int, int, int]
    #: Channels of the four maps.
    widths: tuple[int, int, int, int]
    #: What `forward_intermediates` is asked for.
    taps: tuple[int, ...]
    #: The only image side that the net takes (its position tables have no way to another), or None.
    fixed_size: int | None

    @property
    def plain(self) -> bool:
        """Whether it is a plain ViT."""
        return len(self.stages) == 1


def create(backbone: config.Backbone, image_size: int) -> Any:
    """The timm model at a patch and image size, without a classifier, its weights still random."""
    if not timm.is_model(backbone.name):
        name = backbone.name.split(".")[0]
        raise ConfigError(f"backbone.name: timm knows no model {name!r}{nearest(name, timm.list_models())}")
    family = _family(backbone.name)
    sizes: dict[str, Any] = {}
    if family not in ("convnext", "resnet", "hieradet_sam2"):
        sizes["img_size"] = image_size
    if family.startswith("swin"):  # windows keep their pretrained size and are padded, whatever the image's size
        sizes.update(always_partition=True, strict_img_size=False)
    elif family not in _HIERARCHICAL:
        if backbone.patch_size is not None:
            sizes["patch_size"] = backbone.patch_size
        if family not in ("vision_transformer_sam", "beit"):
            sizes["dynamic_img_size"] = True
    try:
        net = timm.create_model(backbone.name, num_classes=0, **sizes)
    except RuntimeError:  # an architecture that timm knows with a set of weights that it does not
        known = timm.list_pretrained(backbone.name.split(".")[0] + "*")
        raise ConfigError(f"backbone.name: timm knows no {backbone.name!r}{nearest(backbone.name, known)}") from None
    except (TypeError, AssertionError) as error:
        raise ConfigError(f"backbone.name: {backbone.name} is {_NEITHER} ({error})") from None
    if family not in _HIERARCHICAL and not hasattr(net, "blocks"):
        raise ConfigError(f"backbone.name: {backbone.name} is {_NEITHER}: it has no `blocks`")
    return net


def _family(name: str) -> str:
    """The timm module that a model comes from: `eva` for EVA02, DINOv3 and PE, `vision_transformer` for most."""
    return timm.model_entrypoint(name).__module__.rsplit(".", 1)[-1]


def anatomy(net: Any, backbone: config.Backbone, image_size: int) -> Anatomy:
    """How a net of `create` is built, and which of its blocks feed the head."""
    family = _family(backbone.name)
    if family in _HIERARCHICAL:
        if backbone.blocks is not None:
            raise ConfigError(
                f"backbone.blocks: {backbone.name} feeds the head with its four stages; leave the key out"
            )
        stages = _stages(net, family)
        if len(stages) != 4:
            raise ConfigError(f"backbone.name: {backbone.name} has {len(stages)} stages; the head reads four")
        info = [entry for entry in net.feature_info if entry["reduction"] >= 4][-4:]
        first = len(net.feature_info) - 4  # a ResNet counts its stem as the first
        return Anatomy(
            stages=stages,
            layout={"convnext": "nchw", "resnet": "nchw", "hiera": "nlc"}.get(family, "nhwc"),  # type: ignore[arg-type]
            prefix_tokens=0,
            strides=tuple(entry["reduction"] for entry in info),  # type: ignore[arg-type]
            widths=tuple(stage.width for stage in stages),  # type: ignore[arg-type]
            taps=tuple(range(first, first + 4)),
            fixed_size=image_size if family == "hiera" else None,
        )
    depth = len(net.blocks)
    blocks = backbone.blocks or default_blocks(depth)
    if len(blocks) != 4 or list(blocks) != sorted(set(blocks)) or blocks[-1] >= depth:
        raise ConfigError(f"backbone.blocks: {list(blocks)}: four different blocks below {depth}, in ascending order")
    patch = net.patch_embed.patch_size[0]
    if net.patch_embed.grid_size[0] != image_size // patch:  # a hybrid, whose convolutions come before the patches
        raise ConfigError(f"backbone.name: {backbone.name} is {_NEITHER}: its patches are not {patch} pixels wide")
    return Anatomy(
        stages=(Stage(net.blocks, range(blocks[-1] + 1), net.embed_dim),),
        layout="nhwc" if family == "vision_transformer_sam" else "nlc",
        prefix_tokens=getattr(net, "num_prefix_tokens", 0),
        strides=(patch,) * 4,
        widths=(net.embed_dim,) * 4,
        taps=blocks,
        fixed_size=image_size if family == "beit" else None,
    )


def default_blocks(depth: int) -> tuple[int, ...]:
    """The blocks that feed the head: the reference's 7, 11, 15, 23 of 24 and the like; quarters of SAM-H's 32."""
    if depth == 32:
        return (7, 15, 23, 31)
    thirds = (max(round(depth * share) - 1, 0) for share in (1 / 3, 1 / 2, 2 / 3))
    return (*thirds, depth - 1)


def _stages(net: Any, family: str) -> tuple[Stage, ...]:
    widths = [entry["num_chs"] for entry in net.feature_info][-4:]
    match family:
        case "convnext":
            groups = [(stage.blocks, range(len(stage.blocks))) for stage in net.stages]
        case "resnet":
            layers = [net.layer1, net.layer2, net.layer3, net.layer4]
            groups = [(layer, range(len(layer))) for layer in layers]
        case "hiera" | "hieradet_sam2":
            ends = [0, *(end + 1 for end in net.stage_ends)]
            groups = [(net.blocks, range(first, last)) for first, last in itertools.pairwise(ends)]
        case _:  # Swin
            groups = [(layer.blocks, range(len(layer.blocks))) for layer in net.layers]
    return tuple(Stage(blocks, indices, width) for (blocks, indices), width in zip(groups, widths, strict=True))


def drop_tail(net: Any, last: int | None) -> None:
    """Keep only what feeds the head: blocks behind the last one that is read (None: all are), and the final norm or
    pooling, would be computed or counted for nothing, and have no gradient to train by."""
    if last is not None:
        del net.blocks[last + 1 :]  # in place: stages refer to it
    for name in _TAIL:
        if isinstance(getattr(net, name, None), nn.Module):
            setattr(net, name, nn.Identity())


def maps(net: Any, built: Anatomy, image: Tensor, inserted: int) -> list[Tensor]:
    """The four maps (B, c, h, w), finest first; `inserted` tokens that a tuning put before the patches are left out."""
    if not inserted:
        return net.forward_intermediates(image, indices=list(built.taps), intermediates_only=True)
    tokens = net.forward_intermediates(image, indices=list(built.taps), intermediates_only=True, output_fmt="NLC")
    grid = net.patch_embed.dynamic_feat_size(tuple(image.shape[-2:]))
    return [t[:, inserted:].transpose(1, 2).unflatten(2, grid) for t in tokens]


# -------------------------------------------------------------------------------------------------------- weights


def fetch(name: str) -> dict[str, Tensor]:
    """The pretrained weights of a model from the hub, at its own size. Raises what the hub's client raises."""
    return timm.create_model(name, pretrained=True, num_classes=0).state_dict()


def convert(name: str, state: Mapping[str, Tensor], patch: int | None, image_size: int | None) -> dict[str, Tensor]:
    """A file in the names of its authors (Meta, OpenAI, BAAI, Apple ...) under timm's names, by timm's own converter.

    It is converted against a net of the file's own `patch` and `image_size`, so that nothing is resized here.
    """
    module = sys.modules[timm.model_entrypoint(name).__module__]
    converter = getattr(module, "checkpoint_filter_fn", None)
    if converter is None:
        return dict(state)
    sizes = {"patch_size": patch, "img_size": image_size}
    try:
        net = _outline(name, **{key: n for key, n in sizes.items() if n is not None})
    except TypeError:  # a family without such sizes
        net = _outline(name)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it passes over; we say so ourselves
        return converter(dict(state), net)


def hub_name(name: str) -> str | None:
    """What the hub calls a model's pretrained weights; None where there are none, or they are shipped."""
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return cfg.hf_hub_id if cfg and name not in SHIPPED_WEIGHTS else None


def _outline(name: str, **sizes: Any) -> Any:
    """A model of shapes without values."""
    with without_values():
        return timm.create_model(name, num_classes=0, **sizes)


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """What is built inside has shapes alone: it lies on the meta device, and nothing is drawn for it."""
    with torch.device("meta"), _NoValues():
        yield


class _NoValues(TorchFunctionMode):
    """Leaves out the drawing of initial values: nine tenths of the time in which a model of mere shapes is made."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        draws = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        if draws and args and isinstance(args[0], Tensor):
            return args[0]
        return func(*args, **(kwargs or {}))


def resize_kernel(kernel: Tensor, side: int) -> Tensor:
    """timm's resizing of a patch kernel (c, 3, p, p): by the pseudo-inverse of the resize (FlexiViT)."""
    return resample_patch_embed(kernel, [side, side])


def resize_positions(table: Tensor, grid: tuple[int, int], prefix: int) -> Tensor:
    """timm's resizing of a position table (1, prefix + n, c) or (1, h, w, c): bicubic with antialiasing."""
    if table.ndim == 4:
        return resample_abs_pos_embed_nhwc(table, list(grid))
    return resample_abs_pos_embed(table, list(grid), num_prefix_tokens=prefix)


def resize_bias(net: Any, name: str, table: Tensor, shape: torch.Size) -> Tensor:
    """timm's resizing of the relative position biases of BEiT and Swin: (entries, heads) at another window."""
    window = net.get_submodule(name.rpartition(".")[0]).window_size
    return resize_rel_pos_bias_table(table, new_window_size=window, new_bias_shape=tuple(shape))


# ------------------------------------------------------------------------------------------------------- catalogue


def known_backbones() -> list[dict[str, Any]]:
    """One row a foundation model: parameters in millions, native patch and size, mean/std, licence, weights, gated.

    Parameters are the trunk's alone, as timm builds it. The mean and std are those of its pretraining; runs use
    ImageNet's for every model, as the reference does.
    """
    rows = []
    for name in (found for pattern in LISTED for found in _found(pattern)):
        cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
        net = _outline(name)
        patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
        hub = cfg.hf_hub_id if cfg else None
        rows.append(
            {
                "name": name,
                "M": round(sum(p.numel() for p in net.parameters()) / 1e6, 1),
                "patch": patch[0] if patch and _family(name) not in _HIERARCHICAL else None,
                "size": cfg.input_size[-1] if cfg and hub else 96,
                "mean": _numbers(cfg.mean) if cfg and hub else "",
                "std": _numbers(cfg.std) if cfg and hub else "",
                "licence": (cfg.license if cfg else None) or "",
                "weights": "shipped" if name in SHIPPED_WEIGHTS else hub or "",
                # timm publishes its copies without gates, DINOv3's too (facebookresearch/dinov3, issue 145); the
                # originals at facebook/ ask for access.
                "gated": "no" if name in SHIPPED_WEIGHTS or (hub or "").startswith("timm/") else "see the hub",
            }
        )
    return rows


def _found(pattern: str) -> list[str]:
    return [pattern] if pattern in SHIPPED_WEIGHTS else list(dict.fromkeys(timm.list_pretrained(pattern)))


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


# --------------------------------------------------------------------------------------------------------- toy ViT


@register_model
def vit_toy_patch8_96(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """The toy world's foundation model (`python -m rein.assets.make_toy_vit` trained it)."""
    shape = {"img_size": 96, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4, "num_classes": 0}
    kwargs = {k: v for k, v in kwargs.items() if k not in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")}
    return VisionTransformer(**{**shape, **kwargs})
