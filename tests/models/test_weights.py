"""Weight files: resized in two ways, recognised under three kinds of names, loaded whole or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
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
        load_weights(vfm.create(TINY, 32), config.Backbone(name="test_vit", weights="gone.pth"), tmp_path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(ConfigError, match=rf"backbone\.weights: .*{name} cannot be read"):
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
    with pytest.raises(ConfigError, match="cannot be read"):
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
