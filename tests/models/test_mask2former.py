"""The Mask2Former head against transformers, the sources of its queries, masked attention, semantic inference."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rein.bench.peer import PeerHead, translate
from rein.bench.peer import semantic_inference as peer_inference
from rein.models.mask2former import (
    Mask2FormerHead,
    Prediction,
    QuerySource,
    attention_mask,
    may_read,
    semantic_inference,
)

torch.set_num_threads(1)
CHANNELS = [5, 6, 7, 8]
SIZES = [(22, 30), (11, 15), (6, 8), (3, 4)]


def head(query_source: QuerySource = "own", *, queries: int = 7, seed: int = 0, layers: int = 4) -> Mask2FormerHead:
    torch.manual_seed(seed)
    return Mask2FormerHead(
        CHANNELS,
        num_classes=6,
        width=64,
        encoder_layers=2,
        decoder_layers=layers,
        heads=4,
        queries=queries,
        ffn=48,
        encoder_ffn=40,
        query_source=query_source,
    )


def disturb(model: Mask2FormerHead) -> Mask2FormerHead:
    """Random values everywhere: initial zeros and ones hide mistakes."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return model


def maps(batch: int = 2, dtype: torch.dtype = torch.float32, sizes: list[tuple[int, int]] = SIZES) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(batch, channels, *size, generator=generator, dtype=dtype)
        for channels, size in zip(CHANNELS, sizes, strict=True)
    ]


def assert_same(
    ours: list[Prediction], theirs: list[Prediction], atol: float = 1e-5, batch: slice = slice(None)
) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.class_logits, other.class_logits[batch], atol=atol, rtol=atol)
        torch.testing.assert_close(mine.mask_logits, other.mask_logits[batch], atol=atol, rtol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("sizes", [SIZES, [(16, 16), (8, 8), (4, 4), (2, 2)]])
def test_predictions_and_gradients_are_those_of_transformers(
    dtype: torch.dtype, atol: float, sizes: list[tuple[int, int]]
) -> None:
    model = disturb(head().to(dtype))
    oracle = PeerHead(model)
    ours, theirs = model(maps(2, dtype, sizes)), oracle(maps(2, dtype, sizes))
    assert len(ours) == 5
    assert_same(ours, theirs, atol)
    for predictions in (ours, theirs):
        sum((p.class_logits.sin().mean() + p.mask_logits.sin().mean() for p in predictions), torch.zeros(())).backward()
    expected = dict(oracle.named_parameters())
    found = translate({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        other = expected[name].grad
        assert other is not None
        torch.testing.assert_close(gradient, other, atol=atol, rtol=10 * atol, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize(("batch", "queries"), [(1, 7), (3, 1)])
def test_shapes(batch: int, queries: int) -> None:
    predictions = head(queries=queries)(maps(batch))
    assert len(predictions) == 5
    for prediction in predictions:
        assert prediction.class_logits.shape == (batch, queries, 7)
        assert prediction.mask_logits.shape == (batch, queries, 22, 30)


@settings(max_examples=5)
@given(st.permutations(range(7)))
def test_permuted_queries_give_permuted_predictions(order: list[int]) -> None:
    model = head()
    permuted = copy.deepcopy(model)
    with torch.no_grad():
        permuted.query_embed.copy_(model.query_embed[order])
        permuted.query_feat.copy_(model.query_feat[order])
    expected = [Prediction(p.class_logits[:, order], p.mask_logits[:, order]) for p in model(maps())]
    assert_same(permuted(maps()), expected)


def test_images_of_a_batch_do_not_mix() -> None:
    model = head()
    assert_same(model([f[1:2] for f in maps()]), model(maps()), batch=slice(1, 2))


def test_replace_is_own_with_the_linked_queries_in_place_of_the_learned() -> None:
    linked = torch.randn(9, 64, requires_grad=True)
    model, own = disturb(head("replace")), head("own", queries=9)
    assert not any(name.startswith("query") for name, _ in model.named_parameters())
    shared = {name: p for name, p in model.state_dict().items() if not name.startswith("link")}
    own.load_state_dict({**shared, "query_embed": linked.detach(), "query_feat": model.link_to_feature(linked)})
    predictions = model(maps(), linked)
    assert_same(predictions, own(maps()))
    predictions[-1].mask_logits.sum().backward()
    assert linked.grad is not None and linked.grad.any()


def test_add_starts_as_own_and_adds_to_both() -> None:
    model, own = head("add"), head("own")
    assert not model.link_to_feature.weight.any() and not model.link_to_feature.bias.any()
    linked = torch.randn(7, 64)
    shared = {name: p for name, p in model.state_dict().items() if not name.startswith("link")}
    own.load_state_dict(shared)
    assert_same(model(maps(), torch.zeros(7, 64)), own(maps()))
    feature = disturb(model).link_to_feature(linked) + model.query_feat
    shared = {name: p for name, p in model.state_dict().items() if not name.startswith("link")}
    own.load_state_dict({**shared, "query_embed": model.query_embed + linked, "query_feat": feature})
    assert_same(model(maps(), linked), own(maps()))


@pytest.mark.parametrize("shape", [(7, 32), (2, 7, 64), (64,)])
@pytest.mark.parametrize("source", ["replace", "add"])
def test_linked_queries_of_a_wrong_shape_are_refused(source: QuerySource, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(m, 64\)"):
        head(source)(maps(), torch.zeros(shape))


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="takes no linked"):
        head("own")(maps(), torch.zeros(7, 64))
    with pytest.raises(ValueError, match="needs the linked"):
        head("replace")(maps())
    with pytest.raises(ValueError, match="needs 7 linked queries, got 8"):
        head("add")(maps(), torch.zeros(8, 64))
    with pytest.raises(ValueError, match="4 feature maps"):
        head()(maps()[1:])


def test_a_query_reads_where_its_mask_is_and_everywhere_if_it_is_nowhere() -> None:
    logits = torch.full((1, 3, 4, 4), -1.0, requires_grad=True)
    with torch.no_grad():
        logits[0, 0, :2, :2] = 1.0  # one quadrant
        logits[0, 2] = 1.0  # all
    mask = attention_mask(logits, (2, 2))
    assert mask.shape == (1, 1, 3, 4) and mask.dtype == torch.bool and not mask.requires_grad
    assert mask[0, 0].tolist() == [[True, False, False, False], [True] * 4, [True] * 4]


@pytest.mark.parametrize("sizes", [SIZES, [(16, 16), (8, 8), (4, 4), (2, 2)]])
def test_what_is_read_follows_from_resized_features_as_from_resized_masks(sizes: list[tuple[int, int]]) -> None:
    model, features = disturb(head().double()), maps(2, torch.float64, sizes)
    mask_features, memory = model.pixel_decoder(features)
    _, embedding = model._embed(model.query_feat.expand(2, -1, -1))
    logits = model._predict(model.query_feat.expand(2, -1, -1), mask_features).mask_logits
    for small, m in zip(model._resized(mask_features, memory), memory, strict=True):
        assert torch.equal(may_read(embedding @ small), attention_mask(logits, (m.shape[-2], m.shape[-1])))


@pytest.mark.parametrize("source", ["own", "replace"])
def test_the_last_prediction_alone_is_the_last_of_all(source: QuerySource) -> None:
    model, linked = disturb(head(source)), None if source == "own" else torch.randn(7, 64)
    assert_same([model.last(maps(), linked)], model(maps(), linked)[-1:], atol=1e-6)


@pytest.mark.parametrize("tile", [1, 35, 500])
@pytest.mark.parametrize("size", [(1, 1), (4, 3), (13, 7), (2, 9)])
def test_bands_of_rows_are_the_whole(tile: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    prediction = Prediction(torch.randn(2, 5, 4), 3 * torch.randn(2, 5, 4, 3))
    torch.testing.assert_close(semantic_inference(prediction, size, tile), peer_inference(prediction, size))


def test_masked_pixels_have_no_influence() -> None:
    layer = head().layers[0]
    query, position, key, value = (torch.randn(1, n, 64) for n in (7, 7, 12, 12))
    mask = torch.zeros(1, 1, 7, 12, dtype=torch.bool)
    mask[..., :5] = True
    cut = layer(query, position, key[:, :5], value[:, :5], mask[..., :5])
    torch.testing.assert_close(layer(query, position, key, value, mask), cut)
    assert not torch.allclose(layer(query, position, key, value, ~mask), cut)


def test_the_full_head_has_the_published_size_and_number_of_tensors() -> None:
    with torch.device("meta"):
        model = Mask2FormerHead([1024] * 4, query_source="replace")
    assert sum(p.numel() for p in model.parameters()) == 20_579_796  # "20.6M"
    assert len(model.state_dict()) == 292  # as in the published checkpoints


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_semantic_inference_is_upsample_then_sum_of_products(seed: int, batch: int, height: int, width: int) -> None:
    torch.manual_seed(seed)
    prediction = Prediction(torch.randn(batch, 5, 4), 3 * torch.randn(batch, 5, 4, 3))
    scores = semantic_inference(prediction, (height, width))
    masks = torch.nn.functional.interpolate(prediction.mask_logits, (height, width), mode="bilinear")
    classes = prediction.class_logits.softmax(-1)
    for k in range(3):
        expected = sum(classes[:, q, k, None, None] * masks[:, q].sigmoid() for q in range(5))
        torch.testing.assert_close(scores[:, k], expected)
    assert scores.shape == (batch, 3, height, width)


@pytest.mark.slow
def test_exported_compiled_and_copied_heads_agree() -> None:
    # In a process of its own, as users have it: dynamo cannot trace the shape checks that tests run with.
    check = f"from {__name__} import check_tracing; check_tracing()"
    subprocess.run([sys.executable, "-W", "error:.*lru_cache", "-c", check], check=True, cwd=Path(__file__).parent)


def check_tracing() -> None:
    model = head("replace", layers=2).eval()
    # sizes no other test has: traced with an empty cache of constants, where a traced tensor must not stay
    features, linked = maps(1, sizes=[(18, 26), (9, 13), (5, 7), (3, 4)]), torch.randn(7, 64)
    exported = torch.export.export(model, (features, linked)).module()
    compiled = torch.compile(model, backend="eager", fullgraph=True)(features, linked)
    expected = model(features, linked)
    assert_same([Prediction(*p) for p in exported(features, linked)], expected)
    assert_same(compiled, expected)
    assert_same(copy.deepcopy(model)(features, linked), expected)


@pytest.mark.parametrize("source", ["own", "replace"])
def test_bfloat16_autocast_is_finite_forward_and_backward(source: QuerySource) -> None:
    model = head(source)
    with torch.autocast("cpu", torch.bfloat16):
        prediction = model(maps(), None if source == "own" else torch.randn(7, 64))[-1]
    (prediction.class_logits.float().square().mean() + prediction.mask_logits.float().square().mean()).backward()
    assert prediction.mask_logits.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert semantic_inference(prediction, (44, 60)).dtype == torch.float32
