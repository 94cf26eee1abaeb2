"""The criterion against transformers and closed forms; matching against brute force; batches that are hard to serve."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rein.models.criterion import Criterion, UniformDraws, label_corners, sample
from rein.models.mask2former import Prediction
from rein.models.part import Part
from tests.models.loop_criterion import LoopCriterion
from tests.models.transformers_oracle import FixedDraws, oracle_loss

torch.set_num_threads(1)
TERMS = ("layers_class", "layers_mask", "layers_dice")
K = 6


def criterion(points: int = 64, importance: float = 0.75, **changes: float) -> Criterion:
    return Criterion(num_classes=K, points=points, importance=importance, **changes)  # pyright: ignore[reportArgumentType]


def predictions(
    *, layers: int = 3, batch: int = 2, queries: int = 8, seed: int = 0, dtype: torch.dtype = torch.float32
) -> list[Prediction]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return (2 * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()

    return [Prediction(normal(batch, queries, K + 1), normal(batch, queries, 9, 12)) for _ in range(layers)]


def labels(batch: int = 2, seed: int = 0, classes: int = K) -> Tensor:
    """Blocks of random classes, some void, 36 x 45: neither square nor a multiple of the masks."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, classes + 1, (batch, 4, 5), generator=generator)
    return blocks.where(blocks < classes, 255).repeat_interleave(9, 1).repeat_interleave(9, 2)


class SameDraws:
    """The same points for every image, mask and prediction."""

    def __init__(self, points: int = 400, seed: int = 0) -> None:
        self.points = torch.rand(points, 2, generator=torch.Generator().manual_seed(seed))

    def matching(self, layer: int, rows: int, points: int, device: torch.device) -> Tensor:
        return self.points[:points].expand(rows, -1, -1)

    loss = matching


class PixelDraws:
    """The centres of all pixels of a map, in order: sampling becomes reading."""

    def __init__(self, height: int, width: int) -> None:
        y, x = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
        self.points = torch.stack((x.expand(height, -1), y[:, None].expand(-1, width)), -1).flatten(0, 1)

    def matching(self, layer: int, rows: int, points: int, device: torch.device) -> Tensor:
        return self.points.repeat(1 + points // len(self.points), 1)[-points:].expand(rows, -1, -1)

    loss = matching


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize(("batch", "queries"), [(3, 8), (1, 8), (2, 3)])  # the last with more targets than queries
def test_terms_and_gradients_are_those_of_transformers(
    dtype: torch.dtype, tolerance: float, batch: int, queries: int
) -> None:
    ours = predictions(batch=batch, queries=queries, dtype=dtype)
    theirs = predictions(batch=batch, queries=queries, dtype=dtype)
    loss, label = criterion(), labels(batch)
    crowded = all(len(image.unique()) > queries + 1 for image in label)
    assert crowded == (queries == 3)
    draws = SameDraws() if crowded else FixedDraws()  # transformers draws for matched masks only, we for all
    found, expected = loss(ours, label, draws), oracle_loss(loss, theirs, label, draws)
    for term in TERMS:
        torch.testing.assert_close(found[term], expected[term], atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(found[term].sum(), found[term.replace("layers", "loss")])
    torch.testing.assert_close(found["loss"], sum(expected.values(), torch.zeros(())).sum().to(dtype))
    found["loss"].backward()
    torch.stack(list(expected.values())).sum().backward()
    for mine, other in zip(itertools.chain(*ours), itertools.chain(*theirs), strict=True):
        assert mine.grad is not None and other.grad is not None and other.grad.any()
        torch.testing.assert_close(mine.grad, other.grad, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("kind", ["several", "void", "one void", "one class", "one image", "crowded", "odd"])
def test_one_pass_is_the_loop_on_the_same_random_state(dtype: torch.dtype, tolerance: float, kind: str) -> None:
    batch = 1 if kind == "one image" else 2
    queries, label = (3 if kind == "crowded" else 8), labels(batch)
    match kind:
        case "void":
            label[:] = 255
        case "one void":
            label[1] = 255
        case "one class":
            label[:] = 4
        case "odd":
            label = label[:, :31, 1:8].contiguous()
    made, again = (predictions(batch=batch, queries=queries, dtype=dtype) for _ in range(2))
    torch.manual_seed(3)
    found = criterion()(made, label)
    torch.manual_seed(3)
    expected = LoopCriterion(num_classes=K, points=64)(again, label)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=tolerance, rtol=tolerance)
    found["loss"].backward()
    expected["loss"].backward()
    for mine, other in zip(itertools.chain(*made), itertools.chain(*again), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 4)])
def test_corners_of_a_label_are_reads_of_its_masks(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    label = torch.randint(0, K + 1, (2, *size))
    points = torch.rand(3, 200, 2, dtype=torch.float64)
    points[:, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    image = torch.tensor([1, 0, 1])
    corners, weights = label_corners(criterion()._framed(label), points, image)
    for k in range(K):
        expected = sample((label == k)[image][:, None].double(), points)[:, 0]
        torch.testing.assert_close((weights * (corners == k)).sum(-1), expected)


def test_a_void_image_counts_as_one_target_where_transformers_counts_none() -> None:
    made, label, draws = predictions(batch=2), labels(2), FixedDraws()
    label[1] = 255
    count = len(set(label[0].flatten().tolist()) - {255})
    found, expected = criterion()(made, label, draws), oracle_loss(criterion(), made, label, draws)
    torch.testing.assert_close(found["layers_class"], expected["layers_class"])
    for term in ("layers_mask", "layers_dice"):
        torch.testing.assert_close(found[term], expected[term] * count / (count + 1))


def test_on_all_pixels_the_mask_terms_are_the_plain_ones() -> None:
    """One class, one query, points on the pixel centres: binary cross-entropy and dice over the map, by hand."""
    label = torch.full((1, 9, 12), 255)
    label[0, 2:5, 3:9] = 4
    made = predictions(layers=1, batch=1, queries=1)
    terms = criterion(points=108, importance=0.0)(made, label, PixelDraws(9, 12))
    logits, target = made[0].mask_logits[0, 0], (label[0] == 4).float()
    overlap, area = (logits.sigmoid() * target).sum(), logits.sigmoid().sum() + target.sum()
    expected_mask = 5 * F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(terms["loss_mask"], expected_mask)
    torch.testing.assert_close(terms["loss_dice"], 5 * (1 - (2 * overlap + 1) / (area + 1)))
    torch.testing.assert_close(terms["loss_class"], -2 * made[0].class_logits[0, 0].log_softmax(-1)[4])


def test_the_class_term_weighs_queries_without_target() -> None:
    made, label = predictions(layers=1, batch=2, queries=3), labels(2)
    label[:] = 255
    label[0, :9] = 2  # one target in the whole batch
    terms = criterion()(made, label, SameDraws())
    entropy = -made[0].class_logits.log_softmax(-1)
    options = []
    for query in range(3):
        weighted, total = 0.0, 1 + 5 * 0.1
        for b, q in itertools.product(range(2), range(3)):
            hit = (b, q) == (0, query)
            weighted += entropy[b, q, 2 if hit else K].item() * (1 if hit else 0.1)
        options.append(2 * weighted / total)
    assert min(abs(option - terms["loss_class"].item()) for option in options) < 1e-5


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_matching_is_the_cheapest_of_all_assignments(seed: int, queries: int, classes: int) -> None:
    """Costs by the formulas of the paper, one query and one target at a time, and every assignment tried."""
    made, label = predictions(layers=2, batch=1, queries=queries, seed=seed), labels(1, seed, classes)
    loss, draws = criterion(points=40), FixedDraws(seed, torch.float32)
    classes_stacked = torch.stack([p.class_logits for p in made])
    matching = loss._match(classes_stacked, [p.mask_logits for p in made], loss._framed(label), draws)
    present = matching.classes.tolist()
    assert present == sorted(set(label.flatten().tolist()) - {255})
    for layer, prediction in enumerate(made):
        grid = 2 * draws.matching(layer, 1, 40, label.device)[:, None] - 1
        logits = F.grid_sample(prediction.mask_logits.detach(), grid, align_corners=False)[0, :, 0]  # (Q, P)
        cost = torch.zeros(queries, len(present))
        for (q, x), (t, k) in itertools.product(enumerate(logits), enumerate(present)):
            y = F.grid_sample((label == k).float()[None], grid, align_corners=False)[0, 0, 0]
            dice = 1 - (2 * (x.sigmoid() * y).sum() + 1) / (x.sigmoid().sum() + y.sum() + 1)
            probability = prediction.class_logits[0, q].softmax(-1)[k]
            cost[q, t] = -2 * probability + 5 * F.binary_cross_entropy_with_logits(x, y) + 5 * dice
        pairs = [(q, t) for t, q in enumerate(matching.query[layer].tolist()) if matching.matched[layer, t]]
        assert len(pairs) == min(queries, len(present)) == len({q for q, _ in pairs})
        for q, t in pairs:
            assert matching.labels[layer, 0, q] == present[t]
        assert (matching.labels[layer] != K).sum() == len(pairs)
        found = sum(cost[q, t].item() for q, t in pairs)
        small, large = sorted((queries, len(present)))
        swap = queries > len(present)
        best = min(
            sum(cost[(p, i) if swap else (i, p)].item() for i, p in enumerate(chosen))
            for chosen in itertools.permutations(range(large), small)
        )
        assert found == pytest.approx(best, abs=1e-4)


@settings(max_examples=10)
@given(st.permutations(range(8)), st.permutations(range(3)))
def test_order_of_queries_and_images_does_not_matter(queries: list[int], images: list[int]) -> None:
    made, label = predictions(batch=3), labels(3)
    moved = [Prediction(c[images][:, queries], m[images][:, queries]) for c, m in made]
    found, expected = criterion()(moved, label[images], SameDraws()), criterion()(made, label, SameDraws())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize("void", [255, 19, -1, 254])
def test_a_batch_without_targets_trains_the_classes_only(void: int) -> None:
    made = predictions()
    terms = criterion()(made, torch.full((2, 36, 45), void))
    assert terms["loss_mask"] == terms["loss_dice"] == 0
    expected = torch.stack([-2 * p.class_logits.log_softmax(-1)[..., K].mean() for p in made])
    torch.testing.assert_close(terms["layers_class"], expected.detach())
    terms["loss"].backward()
    for prediction in made:
        assert prediction.class_logits.grad is not None and prediction.class_logits.grad.any()
        assert prediction.mask_logits.grad is not None and not prediction.mask_logits.grad.any()


def test_ignored_index_may_be_a_class() -> None:
    label = labels(2)
    without = label.where(label != 3, 255)
    assert (label == 3).any()
    ignoring = Criterion(num_classes=K, ignore_index=3, points=64)
    torch.testing.assert_close(
        ignoring(predictions(), label, FixedDraws())["loss"],
        criterion()(predictions(), without, FixedDraws())["loss"],
    )


def test_a_right_prediction_costs_next_to_nothing() -> None:
    label = torch.zeros(1, 36, 48, dtype=torch.long)
    label[:, :, 24:] = 5
    classes, masks = torch.full((1, 3, K + 1), -20.0), torch.full((1, 3, 36, 48), -20.0)
    for query, k, half in [(0, 5, slice(24, 48)), (2, 0, slice(0, 24))]:
        classes[0, query, k] = 20.0
        masks[0, query, :, half] = 20.0
    classes[0, 1, K] = 20.0
    right = criterion(importance=0.0)([Prediction(classes, masks)], label, PixelDraws(36, 48))
    assert right["loss"] < 0.01
    wrong = criterion(importance=0.0)([Prediction(classes.roll(1, 1), masks)], label, PixelDraws(36, 48))
    assert wrong["loss_class"] > 10 and wrong["loss_mask"] < 0.01


def test_points_are_the_most_uncertain_candidates_and_the_uniform_ones() -> None:
    ramp = torch.linspace(-4, 4, 33).expand(2, 1, 5, 33)  # logit 0 in the middle column
    draws, loss = FixedDraws(dtype=torch.float32), criterion(points=40)
    points = loss._points(1, ramp, draws)
    drawn = draws.loss(1, 2, 130, ramp.device)
    assert points.shape == (2, 40, 2)
    torch.testing.assert_close(points[:, 30:], drawn[:, 120:])
    candidates, kept = (sample(ramp, p)[:, 0].abs().sort().values for p in (drawn[:, :120], points[:, :30]))
    torch.testing.assert_close(kept, candidates[:, :30])


def test_each_prediction_draws_its_own_points_as_many_as_asked_for() -> None:
    calls: list[tuple[str, int, int, int]] = []

    class Recorder(UniformDraws):
        def matching(self, layer: int, images: int, points: int, device: torch.device) -> Tensor:
            calls.append(("matching", layer, images, points))
            return super().matching(layer, images, points, device)

        def loss(self, layer: int, masks: int, points: int, device: torch.device) -> Tensor:
            calls.append(("loss", layer, masks, points))
            return super().loss(layer, masks, points, device)

    label = labels(2)
    count = sum(len(set(image.flatten().tolist()) - {255}) for image in label)
    criterion(points=100)(predictions(), label, Recorder())
    drawn = [("matching", layer, 2, 100) for layer in range(3)] + [("loss", layer, count, 325) for layer in range(3)]
    assert calls == drawn


def test_a_generator_makes_the_loss_repeatable() -> None:
    def loss(seed: int) -> float:
        draws = UniformDraws(torch.Generator().manual_seed(seed))
        return criterion()(predictions(), labels(), draws)["loss"].item()

    assert loss(1) == loss(1) != loss(2)


@pytest.mark.parametrize(("value", "part"), [(math.nan, 0), (math.inf, 0), (math.nan, 1), (-math.inf, 1)])
@pytest.mark.parametrize("void", [False, True])
def test_a_diverged_prediction_is_named(value: float, part: int, void: bool) -> None:
    made = [Prediction(c.detach(), m.detach()) for c, m in predictions()]
    made[2][part][1, 3] = value
    label = torch.full_like(labels(), 255) if void else labels()
    with pytest.raises(FloatingPointError, match="prediction 2 of 3"):
        criterion()(made, label)


def test_autocast_changes_nothing_inside() -> None:
    made = [Prediction(c.bfloat16(), m.bfloat16()) for c, m in predictions()]
    expected = criterion()([Prediction(c.float(), m.float()) for c, m in made], labels(), FixedDraws())
    with torch.autocast("cpu", torch.bfloat16):
        found = criterion()(made, labels(), FixedDraws())
    assert found["loss"].dtype == torch.float32
    assert torch.equal(found["loss"], expected["loss"])


PARTS = [[[0], [1], [2]], [[0, 1], [2]], [[0, 2], [1]]]


def rows(places: list[int]) -> tuple[slice, ...]:
    return tuple(slice(place, place + 1, 1) for place in places)


@pytest.mark.parametrize("queries", [8, 3])
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("void", [None, 1, "all"])
def test_the_losses_and_gradients_of_parts_add_up_to_the_batchs(
    parts: list[list[int]], void: int | str | None, queries: int
) -> None:
    label = labels(3)
    label[slice(None) if void == "all" else slice(0) if void is None else void] = 255
    loss = criterion()
    counts = loss.counts(label)
    assert counts.tolist() == [len(set(image.flatten().tolist()) - {255}) for image in label]
    whole, apart = (predictions(batch=3, queries=queries, dtype=torch.float64) for _ in range(2))
    torch.manual_seed(7)
    expected = loss(whole, label)
    after = torch.rand(4)
    found: dict[str, Tensor] = {}
    for places in parts:
        torch.manual_seed(7)
        mine = [Prediction(classes[places], masks[places]) for classes, masks in apart]
        for name, term in loss(mine, label[places], part=Part(rows(places), counts)).items():
            found[name] = found.get(name, torch.zeros(())) + term
        assert torch.equal(torch.rand(4), after), "what is drawn next is what the whole batch would draw"
    for name, term in expected.items():
        torch.testing.assert_close(found[name], term)
    expected["loss"].backward()
    found["loss"].backward()
    for mine, other in zip(itertools.chain(*apart), itertools.chain(*whole), strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match="oversample"):
        Criterion(oversample=0.5)
    with pytest.raises(ValueError, match=r"\(B, H, W\) with B = 2"):
        criterion()(predictions(), labels(3))
    with pytest.raises(ValueError, match=r"\(B, H, W\)"):
        criterion()(predictions(), labels()[:, None])
