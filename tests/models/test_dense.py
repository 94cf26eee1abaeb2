"""The loss and the scores of one logit per class and pixel."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rein.models.dense import DenseCriterion, DenseHead


def loss(logits: Tensor, label: Tensor, classes: int = 19) -> Tensor:
    terms = DenseCriterion(classes)(logits, label)
    assert set(terms) == {"loss", "loss_class"} and torch.equal(terms["loss"], terms["loss_class"])
    return terms["loss"]


def test_logits_that_say_nothing_cost_the_logarithm_of_the_classes() -> None:
    label = torch.randint(0, 19, (2, 8, 8))
    assert loss(torch.full((2, 19, 2, 2), 3.0), label).item() == pytest.approx(math.log(19), rel=1e-6)


def test_two_classes_cost_what_a_logistic_regression_does() -> None:
    margin = torch.tensor([[0.0, 1.0], [-2.0, 5.0]])
    label = torch.tensor([[[0, 1], [1, 0]]])
    logits = torch.stack([torch.zeros(2, 2), margin])[None]
    expected = torch.tensor([math.log(2), math.log1p(math.exp(-1)), math.log1p(math.exp(2)), math.log1p(math.exp(5))])
    assert loss(logits, label, 2).item() == pytest.approx(expected.mean().item(), rel=1e-6)


def test_logits_are_brought_to_the_labels_size_and_void_is_left_out_of_the_mean() -> None:
    logits, label = torch.randn(2, 19, 5, 7), torch.randint(0, 19, (2, 20, 28))
    label[0, :10] = 255
    probability = F.interpolate(logits.double(), (20, 28), mode="bilinear", align_corners=False).softmax(1)
    chosen = [
        -probability[b, label[b, y, x], y, x].log() for b, y, x in (label != 255).nonzero().tolist()
    ]  # one pixel after the other
    assert loss(logits, label).item() == pytest.approx(torch.stack(chosen).mean().item(), rel=1e-5)


@pytest.mark.parametrize("void", [255, 19, 254, -1, -100, 10_000])
def test_every_value_that_is_no_class_is_void(void: int) -> None:
    logits, label = torch.randn(1, 19, 4, 4), torch.randint(0, 19, (1, 4, 4))
    label[:, 2:] = void
    alone = loss(logits[:, :, :2], label[:, :2])
    torch.testing.assert_close(loss(logits, label), alone)


def test_a_class_can_be_the_ignored_one() -> None:
    label = torch.tensor([[[0, 1]]])
    assert DenseCriterion(2, ignore_index=1)(torch.tensor([[[[0.0, 9.0]], [[0.0, 0.0]]]]), label)[
        "loss"
    ].item() == pytest.approx(math.log(2))


def test_an_all_void_batch_costs_nothing_and_can_be_trained_on() -> None:
    logits = torch.randn(2, 19, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 16, 16), 255))
    value.backward()
    assert value.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_a_batch_of_one_image_of_one_class() -> None:
    logits = torch.zeros(1, 19, 2, 2)
    logits[:, 4] = 100
    assert loss(logits, torch.full((1, 9, 5), 4)).item() == 0


def test_the_loss_is_computed_in_fp32_under_autocast() -> None:
    logits, label = (8 * torch.randn(2, 19, 4, 4)).bfloat16(), torch.randint(0, 19, (2, 16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, label)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), label))


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 1, 8, 8), (2, 64)])
def test_a_label_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"label must be \(B, H, W\) with B = 2"):
        loss(torch.randn(2, 19, 4, 4), torch.zeros(shape, dtype=torch.long))


class Given(DenseHead):
    """A head whose logits are its first map."""

    def forward(self, features: list[Tensor], linked: None = None) -> Tensor:
        return features[0]


def test_scores_are_the_logits_at_a_size_in_fp32() -> None:
    logits = torch.randn(2, 3, 4, 4).bfloat16()
    scores = Given().scores([logits], None, (9, 5))
    expected = F.interpolate(logits.float(), (9, 5), mode="bilinear", align_corners=False)
    assert torch.equal(scores, expected)
