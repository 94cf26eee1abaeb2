"""Weight files: resized in two ways, recognised under three kinds of names, loaded whole or refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from rein import config
from rein.config import ConfigError
from rein.models import vfm
from rein.models.backbone import Backbone
from rein.models.weights import digest, load_weights

TINY = config.Backbone(name="test_vit", weights="w.safetensors", patch_size=8)


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Weights of `test_vit` as its hub file holds them: patch 16 at 160 pixels, a 10 x 10 grid."""
    torch.manual_seed(0)
    values = timm.create_model("test_vit", num_classes=0).state_dict()
    return {name: torch.randn_like(tensor) for name, tensor in values.items()}


def load(state: dict[str, Tensor], folder: Path, size: int = 32, **changes: Any) -> Any:
    save_file(state, folder / "w.safetensors")
    backbone = config.Backbone(**{**vars(TINY), **changes})
    vit = vfm.create(backbone, size)
    load_weights(vit, backbone, folder)
    return vit


# ---------------------------------------------------------------- resizing


def test_weights_of_the_same_size_are_untouched(state: dict[str, Tensor], tmp_path: Path) -> None:
    vit = load(state, tmp_path, size=160, patch_size=16)
    for name, tensor in vit.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_reference_resizing_is_plain_bicubic(state: dict[str, Tensor], tmp_path: Path) -> None:
    own = load(state, tmp_path, size=48).state_dict()
    kernel = F.interpolate(state["patch_embed.proj.weight"], (8, 8), mode="bicubic", align_corners=False)
    torch.testing.assert_close(own["patch_embed.proj.weight"], kernel)
    table = state["pos_embed"]
    prefix = table.shape[1] - 100
    grid = table[:, prefix:].reshape(1, 10, 10, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (6, 6), mode="bicubic", align_corners=False)
    expected = torch.cat([table[:, :prefix], grid.permute(0, 2, 3, 1).reshape(1, 36, -1)], dim=1)
    torch.testing.assert_close(own["pos_embed"], expected)
    rest = set(own) - {"patch_embed.proj.weight", "pos_embed"}
    assert all(torch.equal(own[name], state[name]) for name in rest)


def test_timm_resizing_is_timms_own(state: dict[str, Tensor], tmp_path: Path) -> None:
    own = load(state, tmp_path, size=48, resize="timm").state_dict()
    theirs = timm.create_model("test_vit", num_classes=0, img_size=48, patch_size=8)
    theirs.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(dict(state), theirs))
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(own[name], tensor, msg=name)


def test_the_two_ways_of_resizing_differ(state: dict[str, Tensor], tmp_path: Path) -> None:
    first, second = (load(state, tmp_path, size=48, resize=r).state_dict() for r in ("reference", "timm"))
    for name in ("patch_embed.proj.weight", "pos_embed"):
        assert (first[name] - second[name]).norm() > 0.1 * second[name].norm()


#: One small model a family, with a size that its positions have to be fitted to.
FAMILIES = {
    "vit_small_patch14_dinov2.lvd142m": 64,
    "vit_small_patch14_reg4_dinov2.lvd142m": 64,
    "eva02_tiny_patch14_224.mim_in22k": 64,
    "vit_tiny_patch16_224.augreg_in21k": 64,
    "vit_small_patch16_dinov3.lvd1689m": 64,
    "vit_pe_spatial_tiny_patch16_512.fb": 64,
    "beit_base_patch16_224.in22k_ft_in22k": 96,
    "samvit_base_patch16.sa1b": 96,
    "test_resnet.r160_in1k": 64,
    "test_convnext.r160_in1k": 64,
    "swin_tiny_patch4_window7_224.ms_in22k": 96,
    "hiera_tiny_224.mae": 64,
    "sam2_hiera_tiny.fb_r896": 64,
}


RESIZED = ("patch_embed.proj.weight", "pos_embed", "rel_pos_h", "rel_pos_w", "relative_position_bias_table")


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("resize", ["reference", "timm"])
def test_weights_of_every_family_fit_at_another_patch_and_size(name: str, resize: Any, tmp_path: Path) -> None:
    save_file(timm.create_model(name, num_classes=0).state_dict(), tmp_path / "w.safetensors")
    backbone = config.Backbone(name=name, weights="w.safetensors", patch_size=16, resize=resize)
    size = FAMILIES[name]
    model = Backbone(backbone, config.Frozen(), size, 32, tmp_path).eval()
    features, _ = model(torch.randn(1, 3, size, size))
    assert [f.shape[-1] for f in features] == [size // stride for stride in model.strides]
    state, own = load_file(tmp_path / "w.safetensors"), model.vit.state_dict()
    fitted = {n for n, tensor in own.items() if tensor.shape != state[n].shape}
    assert all(n.endswith(RESIZED) for n in fitted)
    assert all(torch.equal(own[n], state[n]) for n in own.keys() - fitted)
    if resize == "timm" and fitted:
        net = vfm.create(backbone, size)
        theirs = vfm.sys.modules[timm.model_entrypoint(name).__module__].checkpoint_filter_fn(dict(state), net)
        for n in fitted:
            if theirs[n].shape == own[n].shape:  # it leaves Hiera's and SAM's tables to be resized when they are read
                torch.testing.assert_close(own[n], theirs[n], msg=n)


def test_sams_relative_positions_are_fitted_as_sam_does_at_every_call(tmp_path: Path) -> None:
    """A net of another size reads the same attention bias as the one of the file's size does on a small image."""
    theirs = timm.create_model("samvit_base_patch16", num_classes=0)
    save_file({k: torch.randn_like(v) for k, v in theirs.state_dict().items()}, tmp_path / "w.safetensors")
    backbone = config.Backbone(name="samvit_base_patch16", weights="w.safetensors", resize="timm")
    own = vfm.create(backbone, 96)
    load_weights(own, backbone, tmp_path)
    theirs.load_state_dict(load_file(tmp_path / "w.safetensors"))
    from timm.models.vision_transformer_sam import get_rel_pos

    for block, other in zip(own.blocks, theirs.blocks, strict=True):
        if block.window_size == 0:
            resized = get_rel_pos(6, 6, other.attn.rel_pos_h)
            torch.testing.assert_close(get_rel_pos(6, 6, block.attn.rel_pos_h), resized)


# ---------------------------------------------------------------- files under other names


def meta_dinov2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "mask_token": torch.zeros(1, 384)}


def meta_dinov2_registers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """With a position for the class token, which timm adds to the token itself."""
    own = {k.replace("reg_token", "register_tokens"): v for k, v in state.items()}
    place = torch.randn_like(own["cls_token"])
    own["pos_embed"] = torch.cat([place, own["pos_embed"]], dim=1)
    own["cls_token"] = own["cls_token"] - place
    return {**own, "mask_token": torch.zeros(1, 384)}


def meta_sam(state: dict[str, Tensor]) -> dict[str, Tensor]:
    own = {"image_encoder." + k.replace("mlp.fc", "mlp.lin"): v for k, v in state.items()}
    return {**own, "prompt_encoder.x.weight": torch.zeros(2), "mask_decoder.y.weight": torch.zeros(2)}


def openai_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    own = {"visual.proj": torch.zeros(768, 512), "logit_scale": torch.zeros(()), "transformer.x.weight": torch.zeros(2)}
    names = {
        "patch_embed.proj.weight": "conv1.weight", "norm_pre": "ln_pre", "norm.": "ln_post.", "norm1": "ln_1",
        "blocks.": "transformer.resblocks.", "attn.qkv.": "attn.in_proj_", "attn.proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj", "norm2": "ln_2",
    }  # fmt: skip
    for name, tensor in state.items():
        if name == "cls_token":
            own["visual.class_embedding"] = tensor[0, 0]
        elif name == "pos_embed":
            own["visual.positional_embedding"] = tensor[0]
        else:
            for ours, theirs in names.items():
                if ours in name and not (ours == "norm." and name.startswith("blocks")):
                    name = name.replace(ours, theirs)
            own["visual." + name] = tensor
    return own


def baai_eva02(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.fc2": "mlp.w3", "mlp.norm": "mlp.ffn_ln"}
    own = {}
    for name, tensor in state.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        own[name.replace("q_proj.bias", "q_bias").replace("v_proj.bias", "v_bias")] = tensor
    extra = {
        "mask_token": torch.zeros(1, 1, 192),
        "lm_head.weight": torch.zeros(2, 192),
        "rope.freqs_cos": torch.zeros(2),
    }
    return {**own, **extra}


def openmmlab_dinov2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = {
        "blocks.": "layers.", "norm1": "ln1", "norm2": "ln2", "mlp.fc1": "ffn.layers.0.0", "mlp.fc2": "ffn.layers.1",
        "ls1.gamma": "attn.gamma1.weight", "ls2.gamma": "ffn.gamma2.weight",
        "patch_embed.proj": "patch_embed.projection",
    }  # fmt: skip
    own = {}
    for name, tensor in state.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        own["backbone." + ("ln1." + name[5:] if name.startswith("norm.") else name)] = tensor
    return {**own, "decode_head.x.weight": torch.zeros(2)}


def meta_convnext(state: dict[str, Tensor]) -> dict[str, Tensor]:
    own = {}
    for name, tensor in state.items():
        name = re.sub(r"stages\.(\d+)\.blocks\.(\d+)", r"stages.\1.\2", name)
        name = re.sub(r"stages\.(\d+)\.downsample\.(\d+)", r"downsample_layers.\1.\2", name)
        name = re.sub(r"^stem\.", "downsample_layers.0.", name)
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv").replace("head.norm", "norm")
        own[name] = tensor
    return {**own, "head.weight": torch.zeros(1000, 64), "head.bias": torch.zeros(1000)}


def openmmlab_convnext(state: dict[str, Tensor]) -> dict[str, Tensor]:
    own = meta_convnext(state)
    return {k.replace("dwconv", "depthwise_conv").replace("pwconv", "pointwise_conv"): v for k, v in own.items()}


@pytest.mark.parametrize(
    ("name", "rename", "wrap"),
    [
        ("vit_small_patch14_dinov2", meta_dinov2, None),
        ("vit_small_patch14_reg4_dinov2", meta_dinov2_registers, None),
        ("samvit_base_patch16", meta_sam, None),
        ("vit_base_patch32_clip_quickgelu_224", openai_clip, None),
        ("eva02_tiny_patch14_224", baai_eva02, "module"),
        ("vit_small_patch14_dinov2", openmmlab_dinov2, "state_dict"),
        ("test_convnext", meta_convnext, "model"),
        ("test_convnext", openmmlab_convnext, "state_dict"),
    ],
)
def test_a_file_under_its_authors_names_is_the_file_under_timms(
    name: str, rename: Callable[..., dict[str, Tensor]], wrap: str | None, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    state = {k: torch.randn_like(v) for k, v in timm.create_model(name, num_classes=0).state_dict().items()}
    save_file(state, tmp_path / "timm.safetensors")
    theirs = rename(state)
    torch.save({wrap: theirs} if wrap else theirs, tmp_path / "theirs.pth")
    first, second = (
        Backbone(config.Backbone(name=name, weights=file), config.Frozen(), 64, 32, tmp_path).state_dict()
        for file in ("timm.safetensors", "theirs.pth")
    )
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, msg=key, atol=1e-6, rtol=1e-6)


def test_beits_own_file_holds_tables_of_indices_that_are_no_weights(tmp_path: Path) -> None:
    net = timm.create_model("beit_base_patch16_224", num_classes=0)
    state = dict(net.state_dict()) | {"blocks.0.attn.relative_position_index": torch.zeros(4, 4)}
    torch.save({"model": state}, tmp_path / "w.pth")
    load_weights(net, config.Backbone(name="beit_base_patch16_224", weights="w.pth"), tmp_path)


@pytest.mark.parametrize("biased", [False, True])
def test_biases_that_a_dinov3_has_no_place_for_are_not_dropped(tmp_path: Path, biased: bool) -> None:
    net = timm.create_model("vit_small_patch16_dinov3", num_classes=0)
    state = {k.replace("gamma_", "ls").replace("reg_token", "storage_tokens"): v for k, v in net.state_dict().items()}
    state = {(k + ".gamma" if ".ls" in k else k): v for k, v in state.items()}
    state |= {f"blocks.{i}.attn.qkv.bias": torch.full((3 * 384,), float(biased)) for i in range(12)}
    torch.save({**state, "mask_token": torch.zeros(1, 384)}, tmp_path / "w.pth")
    backbone = config.Backbone(name="vit_small_patch16_dinov3", weights="w.pth")
    if biased:
        with pytest.raises(ConfigError, match="vit_small_patch16_dinov3_qkvb"):
            load_weights(net, backbone, tmp_path)
    else:
        load_weights(net, backbone, tmp_path)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_a_vits_file_is_refused_by_a_hierarchical_net(name: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=f"does not fit {name}"):
        load_weights(
            vfm.create(config.Backbone(name=name), 64), config.Backbone(name=name, weights="w.safetensors"), tmp_path
        )


# ---------------------------------------------------------------- files that do not fit


def test_missing_and_unused_tensors_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    del state["norm.bias"]
    state["stranger"] = torch.zeros(1)
    with pytest.raises(ConfigError) as caught:
        load(state, tmp_path)
    message = str(caught.value)
    assert "backbone.weights" in message and "w.safetensors" in message
    assert "1 missing: norm.bias" in message and "1 not used: stranger" in message


def test_a_tensor_of_another_shape_is_named_with_both_shapes(state: dict[str, Tensor], tmp_path: Path) -> None:
    state["norm.bias"] = torch.zeros(7)
    with pytest.raises(ConfigError, match=r"of another shape: norm\.bias \(7,\) for \(64,\)"):
        load(state, tmp_path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not fit test_vit"):
        load(timm.create_model("vit_toy_patch8_96").state_dict(), tmp_path)


def test_a_missing_file_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.weights: no file 'gone\.pth'.*--weights"):
        load_weights(vfm.create(TINY, 32), config.Backbone(name="test_vit", weights="gone.pth"), tmp_path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=rf"backbone\.weights: .*{name}: not a readable file"):
        load_weights(vfm.create(TINY, 32), config.Backbone(name="test_vit", weights=name), tmp_path)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_a_torch_file_is_read_with_or_without_its_wrapper(
    state: dict[str, Tensor], tmp_path: Path, wrap: str | None
) -> None:
    torch.save({wrap: state} if wrap else state, tmp_path / "w.pth")
    vit = vfm.create(TINY, 32)
    load_weights(vit, config.Backbone(name="test_vit", weights="w.pth", patch_size=8), tmp_path)
    assert torch.equal(vit.norm.weight, state["norm.weight"])


def test_a_file_that_pickles_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path(tmp_path / "ran").write_text, ("",))

    torch.save({"x": Evil()}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="could run any program: refused"):
        load_weights(vfm.create(TINY, 32), config.Backbone(name="test_vit", weights="w.pth"), tmp_path)
    assert not (tmp_path / "ran").exists()


def test_without_a_network_the_hub_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise OSError("no network")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    backbone = config.Backbone(name="test_vit", patch_size=8)
    with pytest.raises(ConfigError, match=r"no network.*backbone\.weights=FILE"):
        load_weights(vfm.create(backbone, 32), backbone, tmp_path)


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
