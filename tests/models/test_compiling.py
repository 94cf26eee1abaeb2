"""Compiled blocks give what eager ones do, for each kind of backbone; in a process of its own, as users have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

from rein import config
from rein.models.compiling import compile_blocks
from rein.models.segmenter import build_model

#: Two blocks' depth of each family at random weights: plain, DINOv2 (layer scale), EVA02 (rotary positions, SwiGLU).
BACKBONES = ("test_vit", "vit_tiny_patch16_224", "vit_small_patch14_dinov2.lvd142m", "eva02_tiny_patch14_224.mim_in22k")


@pytest.mark.parametrize("tuning", [config.Rein(token_length=4, rank=2), config.LoRA(rank=2)], ids=lambda t: t.method)
def test_every_block_is_compiled_whatever_its_depth(monkeypatch: pytest.MonkeyPatch, tuning: config.Tuning) -> None:
    """Dynamo gives up on code of which it has made eight graphs, unless told better."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # no compiler traces the checks of the tests
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    made = config.Experiment(
        backbone=config.Backbone(name="vit_tiny_patch16_224", weights="none"),
        tuning=tuning,
        head=config.Linear(),
        data=config.Data(crop_size=64),
    )
    model = build_model(made).eval()
    compile_blocks(model, backend="eager")
    with torch.no_grad():
        model.logits(torch.zeros(1, 3, 64, 64))
    frames = torch._dynamo.utils.counters["frames"]
    assert frames["ok"] == frames["total"] > 0
    torch.compiler.reset()


@pytest.mark.benchmark  # minutes of compilation: only by -m benchmark
@pytest.mark.parametrize("backbone", BACKBONES)
def test_compiled_is_eager(backbone: str) -> None:
    # jaxtyping's checks, which tests run with, cannot be traced
    check = f"from {__name__} import check; check({backbone!r})"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parent)


def check(backbone: str) -> None:
    """Scores, all predictions and the gradients of what trains, compiled against eager."""
    from rein.config import Experiment
    from rein.config_io import build

    head = {"width": 32, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "encoder_ffn": 32, "decoder_ffn": 32}
    data = {"crop_size": 64}
    values = {"name": backbone, "weights": "none", "patch_size": 16, "blocks": [0, 1, 2, 3]}
    experiment = build(Experiment, {"backbone": values, "head": head, "data": data})
    eager, compiled = build_model(experiment), build_model(experiment)
    compile_blocks(compiled)
    assert eager.state_dict().keys() == compiled.state_dict().keys()
    image = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    gradients = []
    for model in (eager, compiled):
        torch.stack([p.mask_logits.sin().mean() + p.class_logits.sin().mean() for p in model(image)]).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        torch.testing.assert_close(
            gradients[1][name], expected, atol=1e-5, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}"
        )
    with torch.inference_mode():
        torch.testing.assert_close(compiled.eval().logits(image), eager.eval().logits(image), atol=1e-5, rtol=1e-4)
