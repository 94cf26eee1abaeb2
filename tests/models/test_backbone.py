"""Foundation models from timm: names, resized weights, files that do not fit, and where features come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from rein import config
from rein.config import ConfigError, Experiment
from rein.models.backbone import Backbone, create_vit, default_blocks, digest, known_backbones, load_weights

Tiny = Callable[..., Experiment]
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
    vit = create_vit(backbone, size)
    load_weights(vit, backbone, folder)
    return vit


# ---------------------------------------------------------------- which blocks


@pytest.mark.parametrize(
    ("depth", "blocks"), [(24, (7, 11, 15, 23)), (32, (7, 15, 23, 31)), (12, (3, 5, 7, 11)), (6, (1, 2, 3, 5))]
)
def test_the_head_reads_the_blocks_of_the_method(depth: int, blocks: tuple[int, ...]) -> None:
    assert default_blocks(depth) == blocks


@pytest.mark.parametrize("depth", range(6, 49))
def test_default_blocks_are_four_in_order_and_end_with_the_last(depth: int) -> None:
    blocks = default_blocks(depth)
    assert len(set(blocks)) == 4 and list(blocks) == sorted(blocks) and blocks[-1] == depth - 1


def test_features_are_raw_block_outputs_without_the_final_norm() -> None:
    backbone = Backbone(config.Backbone(name="test_vit", weights="none", patch_size=8), config.Frozen(), 32, 32, Path())
    image = torch.randn(2, 3, 32, 48)
    features, queries = backbone.eval()(image)
    vit, outputs = backbone.vit, []
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(image))))
    for block in vit.blocks:
        tokens = block(tokens)
        outputs.append(tokens[:, vit.num_prefix_tokens :].transpose(1, 2).unflatten(2, (4, 6)))
    assert queries is None and [tuple(f.shape) for f in features] == [(2, vit.embed_dim, 4, 6)] * 4
    for feature, index in zip(features, default_blocks(len(vit.blocks)), strict=True):
        torch.testing.assert_close(feature, outputs[index])


# ---------------------------------------------------------------- names


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"backbone\.name.*vit_large_patch14_dinov22.*did you mean `vit_large"):
        create_vit(config.Backbone(name="vit_large_patch14_dinov22", weights="none"), 32)


@pytest.mark.parametrize("name", ["test_vit.nowhere", "vit_small_patch14_dinov2.lvd143m"])
def test_an_unknown_tag_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.name"):
        create_vit(config.Backbone(name=name, weights="pretrained"), 32)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_what_is_no_plain_vit_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"backbone\.name: {name} is not a plain ViT"):
        create_vit(config.Backbone(name=name, weights="none"), 32)


@pytest.mark.parametrize("blocks", [(0, 1, 2), (0, 1, 2, 99), (3, 2, 1, 0)])
def test_blocks_that_cannot_feed_the_head_are_refused(blocks: tuple[int, ...]) -> None:
    backbone = config.Backbone(name="test_vit", weights="none", patch_size=8, blocks=blocks)
    with pytest.raises(ConfigError, match=r"backbone\.blocks"):
        Backbone(backbone, config.Frozen(), 32, 32, Path())


def test_known_backbones_name_the_papers_model_and_the_toys() -> None:
    rows = {row["name"]: row for row in known_backbones()}
    assert rows["vit_toy_patch8_96"]["weights"] == "shipped"
    assert "vit_large_patch14_dinov2.lvd142m" in rows
    assert all(row["weights"] for row in rows.values())


def test_the_default_patch_size_keeps_the_models_own() -> None:
    vit = create_vit(config.Backbone(name="test_vit", weights="none", patch_size=None), 160)
    assert vit.patch_embed.patch_size == (16, 16)


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


@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch14_dinov2.lvd142m",
        "vit_small_patch14_reg4_dinov2.lvd142m",
        "eva02_tiny_patch14_224.mim_in22k",
        "vit_tiny_patch16_224.augreg_in21k",
        "vit_small_patch16_dinov3.lvd1689m",
    ],
)
def test_weights_of_every_family_fit_at_another_patch_and_size(name: str, tmp_path: Path) -> None:
    save_file(timm.create_model(name, num_classes=0).state_dict(), tmp_path / "w.safetensors")
    backbone = config.Backbone(name=name, weights="w.safetensors", patch_size=16)
    model = Backbone(backbone, config.Rein(token_length=4, rank=2), 64, 32, tmp_path).eval()
    features, queries = model(torch.randn(1, 3, 64, 96))
    assert [f.shape[-2:] for f in features] == [(4, 6)] * 4 and queries is not None


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
        load_weights(create_vit(TINY, 32), config.Backbone(name="test_vit", weights="gone.pth"), tmp_path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=rf"backbone\.weights: .*{name} cannot be read"):
        load_weights(create_vit(TINY, 32), config.Backbone(name="test_vit", weights=name), tmp_path)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_a_torch_file_is_read_with_or_without_its_wrapper(
    state: dict[str, Tensor], tmp_path: Path, wrap: str | None
) -> None:
    torch.save({wrap: state} if wrap else state, tmp_path / "w.pth")
    vit = create_vit(TINY, 32)
    load_weights(vit, config.Backbone(name="test_vit", weights="w.pth", patch_size=8), tmp_path)
    assert torch.equal(vit.norm.weight, state["norm.weight"])


def test_a_file_that_pickles_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path(tmp_path / "ran").write_text, ("",))

    torch.save({"x": Evil()}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_weights(create_vit(TINY, 32), config.Backbone(name="test_vit", weights="w.pth"), tmp_path)
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
        load_weights(create_vit(backbone, 32), backbone, tmp_path)


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
