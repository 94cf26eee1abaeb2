"""The augmentation's distributions against the recipe, its arithmetic against torch and colorsys."""

from __future__ import annotations

import colorsys
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
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


@settings(max_examples=40)
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
    assert stats.chisquare(list(counts.values())).pvalue > 0.001


def test_a_size_keeps_the_aspect_and_the_long_side_ends_at_four_crops() -> None:
    for seed in range(50):
        height, width = transforms.random_size((300, 900), data(crop_size=100), seeded(seed))
        assert width == pytest.approx(3 * height, abs=2) and width <= 400
    assert max(transforms.random_size((100, 900), data(crop_size=100, scale=(2, 2)), seeded(0))) == 400


@settings(max_examples=30)
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
    assert stats.chisquare(list(places.values())).pvalue > 0.001


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


@pytest.mark.parametrize(("other", "tries"), [(24, 10), (25, 10), (26, 1)])
def test_a_class_may_cover_less_than_three_quarters(other: int, tries: int) -> None:
    """Of a crop of 100 pixels: 75 are drawn again, 74 are not; the draws that follow tell how often."""
    label = torch.zeros(10, 10, dtype=torch.uint8)
    label.view(-1)[:other] = 1
    generator, counted = seeded(3), seeded(3)
    transforms.random_window(label, (10, 10), 10, 0.75, generator)
    for _ in range(2 * tries):
        torch.randint(1, (), generator=counted)
    assert torch.equal(torch.rand(4, generator=generator), torch.rand(4, generator=counted))


def test_of_ten_tries_the_last_is_taken() -> None:
    label, generator, counted = torch.zeros(50, 50, dtype=torch.uint8), seeded(0), seeded(0)
    rows, cols = transforms.random_window(label, (50, 50), 10, 0.75, generator)
    places = [int(torch.randint(41, (), generator=counted)) for _ in range(20)]
    assert (rows.start, cols.start) == tuple(places[-2:])
    assert len(rows) == len(cols) == 10


def test_every_place_within_the_class_limit_is_equally_likely() -> None:
    label = torch.zeros(20, 60, dtype=torch.uint8)
    label[:, 30:] = torch.arange(30, dtype=torch.uint8) % 3 + 1
    starts = Counter(transforms.random_window(label, (20, 60), 20, 0.75, seeded(seed))[1].start for seed in range(2000))
    # From column 16 on, six columns of twenty are no road: 14 of 20 are less than three quarters.
    allowed = [starts[x] for x in range(16, 41)]
    assert stats.chisquare(allowed).pvalue > 0.001
    assert sum(starts[x] for x in range(16)) <= 5, "all ten tries would have to fail"


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


DRAWS = 2400
#: (nothing done, largest change either way, what rounding may feign) of what is recovered below.
RANGES = {"contrast": (1, 0.5, 0.02), "brightness": (0, 32, 3), "saturation": (1, 0.5, 0.06), "hue": (0, 36, 3)}


def hue(pixel: Tensor) -> float:
    return 360 * colorsys.rgb_to_hsv(*(pixel.double() / 255).tolist())[0]


@pytest.fixture(scope="module")
def draws() -> list[dict[str, float]]:
    """What distortions did, recovered from two greys and a colour that no combination clips."""
    image = torch.tensor([[[130, 35, 135]], [[130, 35, 102]], [[130, 35, 69]]], dtype=torch.uint8)
    found = []
    for seed in range(DRAWS):
        out = transforms.photometric_distortion(image, seeded(seed)).double()[:, 0].T  # (3 pixels, RGB)
        contrast = float(out[0, 0] - out[1, 0]) / 95
        found.append(
            {
                "contrast": contrast,
                "brightness": float(out[0, 0]) / contrast - 130,
                "saturation": float(out[2].max() - out[2].min()) / (66 * contrast),
                "hue": (hue(out[2]) - 30 + 180) % 360 - 180,
            }
        )
    return found


def changes(draws: list[dict[str, float]], name: str) -> np.ndarray:
    """How far each draw went, where it was large enough to be told from rounding; else 0.

    Draws that leave little contrast or colour to measure by are left out: all four are independent.
    """
    neutral, _, slack = RANGES[name]
    clear = [draw for draw in draws if draw["contrast"] > 0.95 and (name != "hue" or draw["saturation"] > 0.95)]
    values = np.array([draw[name] - neutral for draw in (draws if name == "contrast" else clear)])
    return np.where(abs(values) > slack, values, 0)


@pytest.mark.parametrize("name", RANGES)
def test_each_distortion_comes_with_probability_a_half(draws: list[dict[str, float]], name: str) -> None:
    _, largest, slack = RANGES[name]
    found = changes(draws, name)
    assert stats.binomtest(np.count_nonzero(found), len(found), 0.5 * (1 - slack / largest)).pvalue > 0.001


@pytest.mark.parametrize("name", RANGES)
def test_distortions_are_uniform_over_the_recipes_ranges(draws: list[dict[str, float]], name: str) -> None:
    _, largest, slack = RANGES[name]
    found = changes(draws, name)
    found = found[found != 0]
    assert stats.kstest(abs(found), stats.uniform(slack, largest - slack).cdf).pvalue > 0.001
    assert stats.binomtest(np.count_nonzero(found > 0), len(found), 0.5).pvalue > 0.001
    assert largest - slack < abs(found).max() < largest + slack


def test_distortions_are_drawn_independently(draws: list[dict[str, float]]) -> None:
    clear = [draw for draw in draws if draw["contrast"] > 0.7]
    flags = Counter(
        tuple(abs(draw[name] - neutral) > slack for name, (neutral, _, slack) in RANGES.items()) for draw in clear
    )
    table = np.zeros((2, 2, 2, 2))
    for flag, count in flags.items():
        table[tuple(map(int, flag))] = count
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_contrast_comes_before_or_after_the_colour_with_probability_a_half() -> None:
    """It shows where contrast clips: what is left of the colour is then stretched, or the stretched colour clipped."""
    # Two greys that tell the contrast, a colour that tells the saturation, and one that clips; green is its lowest.
    image = torch.tensor([[[130, 35, 135, 250]], [[130, 35, 102, 150]], [[130, 35, 69, 150]]], dtype=torch.uint8)
    first = []
    for seed in range(3000):
        out = transforms.photometric_distortion(image, seeded(seed)).double()[:, 0].T
        contrast = float(out[0, 0] - out[1, 0]) / 95
        saturation = float(out[2].max() - out[2].min()) / (66 * contrast)
        untouched = abs(float(out[0, 0]) - 130 * contrast) < 1 and out[3, 1] == out[3, 2]  # no brightness, no hue
        if not untouched or not 1.1 < contrast < 1.5 or saturation > 0.8:
            continue
        before = 255 - (255 - 150 * contrast) * saturation
        after = (250 - 100 * saturation) * contrast
        if min(before, 255) - min(after, 255) < -6:
            first.append(abs(float(out[3, 1]) - before) < abs(float(out[3, 1]) - min(after, 255)))
    assert len(first) > 30
    assert stats.binomtest(sum(first), len(first), 0.5).pvalue > 0.001


COLOURS = st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=8)


@settings(max_examples=60)
@given(COLOURS, st.floats(0.5, 1.5))
def test_saturate_equals_colorsys(colours: list[tuple[int, int, int]], factor: float) -> None:
    out = transforms.saturate(torch.tensor(colours).T[:, None].double(), factor)[:, 0].T
    for colour, found in zip(colours, out, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        expected = [255 * c for c in colorsys.hsv_to_rgb(h, min(s * factor, 1), v)]
        assert found.tolist() == pytest.approx(expected, abs=1e-3)


@settings(max_examples=60)
@given(COLOURS, st.floats(-36, 36))
def test_rotate_hue_equals_colorsys(colours: list[tuple[int, int, int]], degrees: float) -> None:
    out = transforms.rotate_hue(torch.tensor(colours).T[:, None].double(), degrees)[:, 0].T
    for colour, found in zip(colours, out, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
        expected = [255 * c for c in colorsys.hsv_to_rgb((h + degrees / 360) % 1, s, v)]
        assert found.tolist() == pytest.approx(expected, abs=1e-3)
