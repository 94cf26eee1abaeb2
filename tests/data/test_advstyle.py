"""AdvStyle: the style moves uphill on the loss, content and label stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rein.config import Experiment
from rein.data.advstyle import with_adversarial_styles
from rein.data.transforms import MEAN, STD
from rein.models.heads import build_criterion
from rein.models.segmenter import Segmenter, build_model

Tiny = Callable[..., Experiment]
LABELS = torch.arange(2).view(2, 1, 1).expand(2, 8, 8)


def batch(size: int = 8) -> Tensor:
    return torch.randint(0, 256, (2, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (images.float() - mean) / std


def style(images: Tensor) -> tuple[Tensor, Tensor]:
    """Deviation and mean (B, 3) of normalised images."""
    std, mean = torch.std_mean(normalised(images), dim=(2, 3))
    return std, mean


def quadratic(images: Tensor, labels: Tensor) -> Tensor:
    """A loss whose gradient with respect to a style is known: sum of squares of the normalised pixels."""
    return normalised(images).square().sum()


def test_the_batch_comes_first_and_then_itself_with_its_labels() -> None:
    images, labels = with_adversarial_styles(batch(), LABELS, quadratic, rate=1e-3)
    assert images.shape == (4, 3, 8, 8) and images.dtype == torch.float32 and not images.requires_grad
    assert torch.equal(images[:2], batch().float())
    assert torch.equal(labels, torch.cat([LABELS, LABELS])) and labels.dtype == LABELS.dtype


def test_the_style_makes_one_step_along_its_gradient() -> None:
    images, _ = with_adversarial_styles(batch(), LABELS, quadratic, rate=1e-3)
    (std, mean), (new_std, new_mean) = style(images[:2]), style(images[2:])
    # sum (c s + m)^2 over n pixels of zero mean and unit (sample) deviation c: (n - 1) s^2 + n m^2
    torch.testing.assert_close(new_mean, mean + 1e-3 * 2 * 64 * mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(new_std, std + 1e-3 * 2 * 63 * std, rtol=1e-4, atol=1e-5)


def test_the_content_stays() -> None:
    images, _ = with_adversarial_styles(batch(), LABELS, quadratic, rate=1e-3)
    std, mean = torch.std_mean(images, dim=(2, 3), keepdim=True)
    content = (images - mean) / std
    torch.testing.assert_close(content[2:], content[:2], rtol=1e-4, atol=1e-4)


def test_without_a_step_the_styles_are_the_images_own() -> None:
    images, _ = with_adversarial_styles(batch(), LABELS, quadratic, rate=0)
    torch.testing.assert_close(images[2:], images[:2], rtol=1e-4, atol=1e-3)


def test_the_loss_is_asked_at_the_images_own_style() -> None:
    seen: list[Tensor] = []

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        assert torch.equal(labels, LABELS)
        seen.append(images.detach())
        return quadratic(images, labels)

    with_adversarial_styles(batch(), LABELS, loss)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], batch().float(), rtol=1e-4, atol=1e-3)


def test_an_image_of_one_colour_has_a_style_too() -> None:
    flat = torch.full((2, 3, 8, 8), 77, dtype=torch.uint8)
    images, _ = with_adversarial_styles(flat, LABELS, quadratic, rate=1e-3)
    assert images.isfinite().all()
    assert not torch.equal(images[2:], images[:2]), "its mean has moved"


def test_a_loss_that_does_not_see_the_image_moves_nothing() -> None:
    images, _ = with_adversarial_styles(batch(), LABELS, lambda pixels, _: 0 * pixels.sum())
    torch.testing.assert_close(images[2:], images[:2], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("head", ["mask2former", "semfpn", "linear"])
@pytest.mark.parametrize("tuning", ["frozen", "rein", "full"])
def test_a_networks_loss_rises_and_its_parameters_get_no_gradient(tiny: Tiny, head: str, tuning: str) -> None:
    # A small step, in evaluation mode and with the same points drawn: nothing but the style may move the loss.
    experiment = tiny({"head.method": head, "tuning.method": tuning})
    model = build_model(experiment).eval()
    criterion = build_criterion(experiment.head, 19)
    images, labels = batch(32), torch.randint(0, 19, (2, 32, 32), generator=torch.Generator().manual_seed(1))

    def loss(pixels: Tensor, target: Tensor) -> Tensor:
        torch.manual_seed(0)
        return criterion(model(pixels), target)["loss"]

    both, _ = with_adversarial_styles(images, labels, loss, rate=1e-3 if head == "mask2former" else 1)
    assert all(p.grad is None for p in model.parameters())
    assert loss(both[2:], labels) > loss(both[:2], labels)


def test_the_segmenter_takes_what_comes_out(tiny: Tiny) -> None:
    model: Segmenter = build_model(tiny({"head.method": "linear"}))
    images, _ = with_adversarial_styles(batch(32), torch.zeros(2, 32, 32).long(), quadratic, rate=1e-3)
    assert model(images).shape == (4, 19, 4, 4)
