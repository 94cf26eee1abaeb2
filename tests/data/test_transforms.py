"""The augmentation's distributions against the recipe, its arithmetic against torch and colorsys."""

from __future__ import annotations

import colorsys
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from rein.config import Data
from rein.data import transforms
from rein.data.classes import VOID


def data(**changes: Any) -> Data:
    return Data(**{"sources": ("toy-game",), "crop_size": 32, **changes})


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int = 48, width: int = 96) -> tuple[Tensor, Tensor]:
    """An image whose pixels say where they are, and a label whose classes do."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([y, x, (x + y) % 256]).to(torch.uint8)
    return image, ((x // 4) % 19).to(torch.uint8)


PLAIN = {"flip": 0.0, "photometric": False, "max_class_share": 1.0, "scale": (1.0, 1.0)}


# ---------------------------------------------------------------- a whole sample


def test_a_sample_is_a_function_of_its_generator() -> None:
    image, label = picture()
    first, again, other = (transforms.training_crop(image, label, data(), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_a_sample_draws_from_its_generator_alone() -> None:
    image, label = picture()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    transforms.training_crop(image, label, data(), seeded(0))
    assert torch.equal(torch.get_rng_state(), before)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**31))
def test_any_image_gives_a_full_crop(height: int, width: int, seed: int) -> None:
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    label = torch.randint(0, 19, (height, width), dtype=torch.uint8)
    pixels, target = transforms.training_crop(image, label, data(), seeded(seed))
    assert pixels.shape == (3, 32, 32) and pixels.dtype == torch.uint8
    assert target.shape == (32, 32) and target.dtype == torch.int64
    assert set(target.unique().tolist()) <= {*range(19), VOID}


def test_image_and_label_stay_in_register() -> None:
    image, label = picture()
    for seed in range(20):
        pixels, target = transforms.training_crop(image, label, data(**{**PLAIN, "flip": 0.5}), seeded(seed))
        # At scale 1 a crop of 32 halves... the short side is resized to 32, so x grows by 48 / 32 a pixel.
        x = pixels[1].float()
        assert ((x / 4).floor() % 19 - target).abs().le(1).float().mean() > 0.95


def test_what_lies_beyond_a_small_image_is_the_mean_colour_and_void() -> None:
    image, label = torch.full((3, 8, 100), 200, dtype=torch.uint8), torch.zeros(8, 100, dtype=torch.uint8)
    # The long side ends at 4 crops = 128, which leaves a short side of 10.
    pixels, target = transforms.training_crop(image, label, data(**PLAIN), seeded(0))
    assert (pixels[:, :10] == 200).all()
    border = pixels[:, 10:].float()
    normalised = (border - torch.tensor(transforms.MEAN).view(3, 1, 1)) / torch.tensor(transforms.STD).view(3, 1, 1)
    assert normalised.abs().max() < 0.01, "nothing, as the reference pads behind the normalisation"
    assert (target[:10] == 0).all() and (target[10:] == VOID).all()


def test_an_image_that_is_all_void_passes() -> None:
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    label = torch.full((40, 40), VOID, dtype=torch.uint8)
    assert (transforms.training_crop(image, label, data(), seeded(0))[1] == VOID).all()


# ---------------------------------------------------------------- size


def test_the_short_side_is_drawn_evenly_from_the_recipes_sixteen() -> None:
    generator = seeded(0)
    counts = Counter(min(transforms.random_size((1052, 1914), data(crop_size=512), generator)) for _ in range(3200))
    assert sorted(counts) == [int(512 * 0.1 * k) for k in range(5, 21)]
    assert all(140 < n < 260 for n in counts.values()), counts


def test_a_size_keeps_the_aspect_and_the_long_side_ends_at_four_crops() -> None:
    for seed in range(50):
        height, width = transforms.random_size((300, 900), data(crop_size=100), seeded(seed))
        assert width == pytest.approx(3 * height, abs=2) and width <= 400
    assert max(transforms.random_size((100, 900), data(crop_size=100, scale=(2, 2)), seeded(0))) == 400


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 60), st.integers(5, 60), st.integers(4, 90), st.integers(4, 90), st.integers(0, 2**31))
def test_resizing_a_window_equals_cutting_it_from_torchs_resized_image(
    height: int, width: int, tall: int, wide: int, seed: int
) -> None:
    generator = seeded(seed)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    label = torch.randint(0, 19, (height, width), dtype=torch.uint8, generator=generator)
    rows, cols = range(tall // 3, tall), range(wide // 4, wide // 2)
    whole = F.interpolate(image[None].double(), (tall, wide), mode="bilinear", align_corners=False)[0]
    cut = transforms.resize_window(image, (tall, wide), rows, cols).double()
    assert (cut - whole[:, rows.start :, cols.start : cols.stop]).abs().max() <= 0.501
    ids = F.interpolate(label[None, None].float(), (tall, wide), mode="nearest-exact")[0, 0]
    window = transforms.nearest_window(label, (tall, wide), rows, cols)
    assert torch.equal(window.float(), ids[rows.start :, cols.start : cols.stop])


def test_a_label_of_another_size_is_brought_to_its_images() -> None:
    label = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.uint8)
    expected = label.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(transforms.match_label(label, (4, 6)), expected)
    assert transforms.match_label(expected, (4, 6)) is expected


# ---------------------------------------------------------------- crop


def test_every_place_of_a_crop_is_equally_likely() -> None:
    label = torch.arange(2, dtype=torch.uint8).repeat(6, 6)  # (6, 12)
    generator = seeded(0)
    places = Counter()
    for _ in range(3000):
        rows, cols = transforms.random_window(label, (6, 12), 4, 1.0, generator)
        assert len(rows) == len(cols) == 4
        places[rows.start, cols.start] += 1
    assert set(places) == {(y, x) for y in range(3) for x in range(9)}
    assert all(60 < n < 170 for n in places.values()), places


def left_crops(label: Tensor, share: float) -> int:
    """How many of 150 crops of 20 from a label (20, 200) lie wholly in its left half."""
    windows = (transforms.random_window(label, (20, 200), 20, share, seeded(seed)) for seed in range(150))
    return sum(cols.stop <= 100 for _, cols in windows)


def test_a_crop_with_too_much_of_a_class_is_drawn_again() -> None:
    label = torch.zeros(20, 200, dtype=torch.uint8)
    label[:2] = 1  # on the left one class covers nine tenths
    label[:, 100:] = torch.arange(100, dtype=torch.uint8) % 4
    assert left_crops(label, 0.75) <= 5  # all ten tries to the left: 0.45 ** 10
    assert left_crops(label, 0.95) > 40


def test_a_crop_of_one_class_alone_is_drawn_again_unless_the_limit_is_off() -> None:
    label = torch.zeros(20, 200, dtype=torch.uint8)
    label[:, 100:] = torch.arange(100, dtype=torch.uint8) % 4
    assert left_crops(label, 0.99) <= 5
    assert left_crops(label, 1.0) > 40


def test_the_class_limit_is_a_share_of_the_labelled_pixels() -> None:
    label = torch.full((10, 40), VOID, dtype=torch.uint8)
    label[:, 0:2], label[:, 2:4] = 1, 2  # a crop at the left holds two classes in equal shares, all else is void
    starts = Counter(transforms.random_window(label, (10, 40), 10, 0.75, seeded(s))[1].start for s in range(300))
    assert starts[0] > 3 * 300 / 31, "half and half of what is labelled is within the limit"


def test_after_ten_tries_the_last_crop_is_taken() -> None:
    rows, cols = transforms.random_window(torch.zeros(50, 50, dtype=torch.uint8), (50, 50), 10, 0.75, seeded(0))
    assert len(rows) == len(cols) == 10


# ---------------------------------------------------------------- flip


@pytest.mark.parametrize(("probability", "low", "high"), [(0.0, 0, 0), (0.5, 100, 200), (1.0, 300, 300)])
def test_flips_come_at_their_rate(probability: float, low: int, high: int) -> None:
    image, label = picture(32, 32)
    settings = data(**{**PLAIN, "flip": probability})
    flipped = 0
    for seed in range(300):
        pixels, target = transforms.training_crop(image, label, settings, seeded(seed))
        mirrored = torch.equal(pixels, image.flip(-1))
        assert torch.equal(pixels, image) != mirrored
        assert torch.equal(target, (label.flip(-1) if mirrored else label).long())
        flipped += mirrored
    assert low <= flipped <= high


# ---------------------------------------------------------------- colour


def hue(pixel: Tensor) -> float:
    return 360 * colorsys.rgb_to_hsv(*(pixel.double() / 255).tolist())[0]


@pytest.fixture(scope="module")
def draws() -> list[dict[str, float]]:
    """What 600 distortions did, recovered from two greys and a colour that no combination clips."""
    image = torch.tensor([[[130, 35, 120]], [[130, 35, 90]], [[130, 35, 60]]], dtype=torch.uint8)
    found = []
    for seed in range(600):
        out = transforms.photometric_distortion(image, seeded(seed)).double()[:, 0].T  # (3 pixels, RGB)
        contrast = float(out[0, 0] - out[1, 0]) / 95
        found.append(
            {
                "contrast": contrast,
                "brightness": float(out[0, 0]) / contrast - 130,
                "saturation": float(out[2].max() - out[2].min()) / (60 * contrast),
                "hue": (hue(out[2]) - 30 + 180) % 360 - 180,
            }
        )
    return found


@pytest.mark.parametrize(
    ("name", "neutral", "low", "high", "slack"),
    [
        ("contrast", 1, 0.5, 1.5, 0.02),
        ("brightness", 0, -32, 32, 4),
        ("saturation", 1, 0.5, 1.5, 0.06),
        ("hue", 0, -36, 36, 3),
    ],
)
def test_distortions_have_the_recipes_ranges_and_rates(
    draws: list[dict[str, float]], name: str, neutral: float, low: float, high: float, slack: float
) -> None:
    values = [draw[name] for draw in draws]
    assert low - slack <= min(values) <= low + 3 * slack
    assert high - 3 * slack <= max(values) <= high + slack
    # Half of the draws leave the image alone; of the rest a share falls within the rounding of it.
    beyond = sum(abs(value - neutral) > slack for value in values) / len(values)
    expected = 0.5 * (1 - 2 * slack / (high - low))
    assert abs(beyond - expected) < 0.09


def test_brightness_and_contrast_are_drawn_independently(draws: list[dict[str, float]]) -> None:
    quiet = [abs(d["contrast"] - 1) < 0.02 and abs(d["brightness"]) < 2 for d in draws]
    assert 0.2 < sum(quiet) / len(quiet) < 0.36


def test_contrast_comes_before_or_after_the_colour() -> None:
    # Contrast clips at 255, so that the order shows: bright red keeps another saturation.
    image = torch.tensor([250.0, 120.0, 120.0]).view(3, 1, 1).to(torch.uint8)
    outcomes = {tuple(transforms.photometric_distortion(image, seeded(s)).flatten().tolist()) for s in range(200)}
    assert len(outcomes) > 50


COLOURS = st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(COLOURS, st.floats(0.5, 1.5))
def test_saturate_equals_colorsys(colours: list[tuple[int, int, int]], factor: float) -> None:
    out = transforms.saturate(torch.tensor(colours).T[:, None].double(), factor)[:, 0].T
    for colour, found in zip(colours, out, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        expected = [255 * c for c in colorsys.hsv_to_rgb(h, min(s * factor, 1), v)]
        assert found.tolist() == pytest.approx(expected, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(COLOURS, st.floats(-36, 36))
def test_rotate_hue_equals_colorsys(colours: list[tuple[int, int, int]], degrees: float) -> None:
    out = transforms.rotate_hue(torch.tensor(colours).T[:, None].double(), degrees)[:, 0].T
    for colour, found in zip(colours, out, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        expected = [255 * c for c in colorsys.hsv_to_rgb((h + degrees / 360) % 1, s, v)]
        assert found.tolist() == pytest.approx(expected, abs=1e-3)
