"""The whole network: any image size, normalisation inside, and what `build_model` makes of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from rein.config import ConfigError, Experiment
from rein.models.mask2former import Mask2FormerHead
from rein.models.segmenter import build_model

Tiny = Callable[..., Experiment]


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (33, 47), (96, 192)])
def test_logits_have_the_images_size(tiny: Tiny, size: tuple[int, int]) -> None:
    model = build_model(tiny()).eval()
    scores = model.logits(torch.randint(0, 256, (2, 3, *size)))
    assert scores.shape == (2, 19, *size)
    assert (scores >= 0).all(), "sums of products of probabilities"


@pytest.mark.parametrize("link", ["replace", "add", "none"])
def test_a_linked_rein_has_as_many_queries_as_tokens(tiny: Tiny, link: str) -> None:
    model = build_model(tiny({"tuning.link": link, "tuning.token_length": 7})).eval()
    predictions = model(torch.randint(0, 256, (2, 3, 32, 32)))
    queries = 5 if link == "none" else 7
    assert len(predictions) == 2
    assert all(p.class_logits.shape == (2, queries, 20) for p in predictions)
    assert all(p.mask_logits.shape == (2, queries, 16, 16) for p in predictions)
    names = {name for name, _ in model.head.named_parameters()}
    assert ("query_embed" in names) == (link != "replace")


def test_images_are_normalised_with_imagenets_statistics(tiny: Tiny) -> None:
    model = build_model(tiny())
    seen: list[Any] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    model(image)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    expected = (image.double() - mean.double().view(3, 1, 1)) / std.double().view(3, 1, 1)
    torch.testing.assert_close(seen[0], expected.float())
    model(image.float())
    assert torch.equal(seen[0], seen[1]), "uint8 and float images of the same values are the same image"


def test_an_odd_size_is_padded_below_and_right_with_the_mean(tiny: Tiny) -> None:
    model = build_model(tiny())
    seen: list[Any] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.full((1, 3, 33, 40), 255))
    assert seen[0].shape == (1, 3, 40, 40)
    assert (seen[0][..., 33:, :] == 0).all() and (seen[0][..., :33, :] > 0).all()


def test_the_head_sees_the_maps_at_four_two_one_and_a_half_times_their_size(tiny: Tiny) -> None:
    head = build_model(tiny({"tuning.method": "frozen"})).eval().head
    options = {"width": 32, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "queries": 5, "ffn": 32}
    plain = Mask2FormerHead([64] * 4, encoder_ffn=32, **options).eval()
    plain.load_state_dict(head.state_dict())
    maps = list(torch.randn(4, 2, 64, 8, 6))
    sizes = [(32, 24), (16, 12), (8, 6), (4, 3)]
    resized = [
        F.interpolate(feature, size, mode="bilinear", align_corners=False)
        for feature, size in zip(maps, sizes, strict=True)
    ]
    for prediction, expected in zip(head(maps), plain(resized), strict=True):
        assert prediction.mask_logits.shape[-2:] == (32, 24)
        torch.testing.assert_close(prediction.mask_logits, expected.mask_logits, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(prediction.class_logits, expected.class_logits, rtol=1e-3, atol=1e-4)


def test_the_model_follows_from_the_experiment_and_its_seed(tiny: Tiny) -> None:
    def weights(experiment: Experiment) -> list[torch.Tensor]:
        return [p.detach() for p in build_model(experiment).parameters()]

    torch.manual_seed(1)
    first = weights(tiny())
    torch.manual_seed(2)
    again, other = weights(tiny()), weights(tiny({"seed": 1}))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_tunings_of_one_seed_start_with_the_same_head_but_for_its_queries(tiny: Tiny) -> None:
    links = [{"tuning.link": link, "tuning.token_length": 3} for link in ("none", "replace", "add")]
    first, *others = (
        build_model(tiny(change)).head.state_dict()
        for change in ({"tuning.method": "frozen"}, {"tuning.method": "full"}, *links)
    )
    shared = {name for name in first if not name.startswith(("query_", "link_"))}
    assert {"class_embed.weight", "mask_embed.4.bias", "level_embed", "layers.0.cross_norm.weight"} <= shared
    for head in others:
        assert [name for name in shared if not torch.equal(head[name], first[name])] == []


@pytest.mark.parametrize(("crop", "patch", "taken"), [(60, 8, 64), (24, 8, 32), (32, 16, 64), (48, 16, 64)])
def test_a_crop_that_would_be_padded_is_refused(tiny: Tiny, crop: int, patch: int, taken: int) -> None:
    """Masks would cover the padded crop, labels the crop itself."""
    with pytest.raises(ConfigError, match=rf"data\.crop_size: {crop} is no size .* next is {taken};.*patch_size"):
        build_model(tiny({"data.crop_size": crop, "backbone.patch_size": patch}))


def test_a_window_that_the_backbone_cannot_take_is_refused_before_training(tiny: Tiny) -> None:
    changes = {"backbone.name": "beit_base_patch16_224", "backbone.patch_size": 16, "data.crop_size": 64}
    with torch.device("meta"), pytest.raises(ConfigError, match=r"evaluation\.window: 96 x 96 pixels for a Beit"):
        build_model(tiny({**changes, "evaluation.window": 96, "tuning.method": "frozen"}))


@pytest.mark.parametrize("size", [(1, 1), (8, 64), (33, 8)])
def test_tiny_images_pass(tiny: Tiny, size: tuple[int, int]) -> None:
    logits = build_model(tiny()).eval().logits(torch.zeros(1, 3, *size, dtype=torch.uint8))
    assert logits.shape == (1, 19, *size) and logits.isfinite().all()


def test_predictions_do_not_depend_on_the_rest_of_the_batch(tiny: Tiny) -> None:
    model = build_model(tiny()).eval()
    images = torch.randint(0, 256, (2, 3, 32, 32))
    torch.testing.assert_close(model.logits(images)[:1], model.logits(images[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tuning", ["frozen", "full", "rein", "lora"])
def test_the_parameters_of_the_papers_head_are_20_6_million(tuning: str) -> None:
    from rein.config_io import build
    from rein.models.tuning import count

    experiment = build(Experiment, {"backbone": {"weights": "none"}, "tuning": {"method": tuning}})
    with torch.device("meta"):
        model = build_model(experiment)
    assert count(model.head) == pytest.approx(20.6e6, rel=0.01)
