"""One contract for every backbone family, tuning and head: trained, copied, saved, compiled, exported."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from rein.config import ConfigError, Experiment
from rein.models.heads import build_criterion
from rein.models.merged import merge
from rein.models.segmenter import build_model
from rein.models.tuning import trainable
from rein.training import checkpoint
from rein.training.optim import build_optimizer
from tests.models.tiny_backbones import FAMILIES

Tiny = Callable[..., Experiment]
CROP = 64

TUNINGS: dict[str, dict[str, Any]] = {
    "frozen": {"method": "frozen"},
    "full": {"method": "full"},
    "partial": {"method": "partial", "trainable": 0.3},
    "last_blocks": {"method": "last_blocks", "blocks": 2, "also": ["norm"]},
    "norm": {"method": "norm"},
    "bitfit": {"method": "bitfit"},
    "rein": {"method": "rein", "token_length": 5, "rank": 2},
    "rein, add": {"method": "rein", "token_length": 5, "rank": 2, "link": "add", "also": ["norm"]},
    "rein, core": {"method": "rein", "token_length": 5, "rank": None, "shared": False, "link": "none"},
    "lora": {"method": "lora", "rank": 2},
    "lora, q v": {"method": "lora", "rank": 2, "targets": ["q", "v"]},
    "soma": {"method": "soma", "rank": 2},
    "adaptformer": {"method": "adaptformer", "bottleneck": 4},
    "vpt": {"method": "vpt", "prompts": 3},
    "vpt, shallow": {"method": "vpt", "prompts": 3, "deep": False},
}
HEADS: dict[str, dict[str, Any]] = {
    "mask2former": {},
    "semfpn": {"method": "semfpn", "width": 32, "channels": 32},
    "linear": {"method": "linear"},
}
#: Families whose blocks have no linear layers, no MLP, or no sequence of tokens for prompts to enter.
REFUSED = {
    "lora": {"resnet", "convnext"},
    "lora, q v": {"resnet", "convnext"},
    "soma": {"resnet", "convnext"},
    "adaptformer": {"resnet"},
    "vpt": {"resnet", "convnext", "swin", "hiera", "sam2", "sam", "beit"},
    "vpt, shallow": {"resnet", "convnext", "swin", "hiera", "sam2", "sam", "beit"},
}


def experiment(tiny: Tiny, family: str, tuning: str, head: str) -> Experiment:
    changes = {
        "backbone.name": FAMILIES[family],
        "backbone.patch_size": 16,
        "data.crop_size": CROP,
        "evaluation.window": CROP,
    }
    changes |= {f"tuning.{key}": value for key, value in TUNINGS[tuning].items()}
    return tiny(changes | {f"head.{key}": value for key, value in HEADS[head].items()})


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in [*model.named_parameters(), *model.named_buffers()]}


def batch(size: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (size, 3, CROP, CROP), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 19, (size, 4, 4), generator=generator).repeat_interleave(16, 1).repeat_interleave(16, 2)
    return images, labels


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_it_trains_what_it_names_and_survives_copy_and_file(
    tiny: Tiny, tmp_path: Path, family: str, tuning: str, head: str
) -> None:
    made = experiment(tiny, family, tuning, head)
    if family in REFUSED.get(tuning, ()):
        with pytest.raises(ConfigError, match=r"^tuning\."):
            build_model(made)
        return
    model = build_model(made).train()
    optimizer = build_optimizer(model, made.optim)
    criterion = build_criterion(made.head, 19)
    images, labels = batch()

    before = state(model)
    for label in (labels, torch.full_like(labels, 255), torch.full_like(labels, 7)):
        loss = criterion(model(images), label)["loss"]
        loss.backward()
        assert loss.isfinite()
    criterion(model(images[:1]), labels[:1])["loss"].backward()
    named = dict(trainable(model))
    assert [name for name, p in named.items() if p.grad is None or not p.grad.isfinite().all()] == []
    optimizer.step()
    after = state(model)
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved <= named.keys() and any(name.startswith("head.") for name in moved)
    own = {name for name in named if name.startswith("backbone.")}
    assert bool(own) == (tuning != "frozen")
    assert not own or moved & own
    assert {p for group in optimizer.param_groups for p in group["params"]} == set(named.values())

    model.eval()
    odd = images[:1, :, :50, :61]
    scores = model.logits(odd)
    assert scores.shape == (1, 19, 50, 61) and scores.isfinite().all()
    assert torch.equal(copy.deepcopy(model).logits(odd), scores)
    checkpoint.save(tmp_path / "checkpoint", checkpoint.Place(1), model, optimizer)
    loaded = build_model(made).eval()
    checkpoint.fill(loaded, checkpoint.newest(tmp_path / "checkpoint"))
    torch.testing.assert_close(loaded.logits(odd), scores, atol=1e-5, rtol=1e-4)
    merged = merge(model)
    torch.testing.assert_close(merged.logits(odd), scores, atol=1e-5, rtol=1e-4)
    assert torch.equal(merge(merged).logits(odd), merged.logits(odd))


#: Each family, each tuning and each head at least once: what a compiler sees is their code, not their combination.
PAIRS = sorted(
    {(family, "rein", "linear") for family in FAMILIES}
    | {("dinov2", tuning, "linear") for tuning in TUNINGS}
    | {("dinov2", "rein", head) for head in HEADS}
)


def logits(family: str, tuning: str, head: str, tiny: Tiny) -> tuple[Segmenter, Tensor, Tensor]:
    model = build_model(experiment(tiny, family, tuning, head)).eval().requires_grad_(False)
    images = batch(1)[0].float()
    return model, images, model.logits(images)


@pytest.mark.parametrize(("family", "tuning", "head"), PAIRS)
def test_it_compiles_and_exports(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, family: str, tuning: str, head: str
) -> None:
    model, images, expected = logits(family, tuning, head, tiny)

    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: Tensor) -> Tensor:
            return self.model.logits(image)

    exported = torch.export.export(Scores(), (images,)).module()
    torch.testing.assert_close(exported(images), expected, atol=1e-5, rtol=1e-4)
    torch.compiler.reset()
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # no compiler traces the checks of the tests
    compiled = torch.compile(Scores(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), expected, atol=1e-5, rtol=1e-4)
