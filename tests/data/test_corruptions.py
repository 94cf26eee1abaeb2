"""The corruptions of Cityscapes-C: plain loops, the standard library and, where it is installed, the published package
as oracles."""

from __future__ import annotations

import colorsys
import dataclasses
import importlib.util
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from rein.config import Data
from rein.data import corruptions, domains, whole
from rein.data.corruptions import CORRUPTIONS, blur, corrupt, noise, pixels, spatter, weather
from rein.data.dataset import WholeImages
from rein.data.domain import DataError, Sample
from rein.data.label_tables import TRAIN_IDS
from rein.data.selection import scored_domains, scored_files
from rein.evaluation import score_domain
from rein.models.segmenter import build_model
from tests.conftest import Tiny

SEVERITIES = range(1, 6)
DRAWN = set(CORRUPTIONS) - {"defocus-blur", "gaussian-blur", "brightness", "contrast", "saturate", "jpeg-compression"}
rng = np.random.default_rng


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package that has the photographs of frost: white, but for one black row."""
    folder = tmp_path / "imagecorruptions/frost"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise AssertionError('none of its code runs')")
    white = np.full((40, 60, 3), 255, np.uint8)
    white[20] = 0
    for name in ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"):
        Image.fromarray(white).save(folder / name)
    find = importlib.util.find_spec
    spec = importlib.util.spec_from_file_location("imagecorruptions", folder.parent / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "imagecorruptions" else find(name))
    return folder


@pytest.fixture
def no_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def street(height: int = 48, width: int = 80) -> torch.Tensor:
    """Smooth shapes with some texture, in colour."""
    values = ndimage.gaussian_filter(rng(0).normal(size=(3, height, width)), (0.7, 3, 3))
    values = 128 + 400 * values + rng(1).normal(size=values.shape) * 4
    return torch.from_numpy(values.clip(0, 255).astype(np.uint8))


def difference(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


# ---------------------------------------------------------------- all of them


def test_they_are_those_that_the_domains_name() -> None:
    assert set(CORRUPTIONS) == set(domains.CORRUPTIONS) and len(CORRUPTIONS) == 16
    for name in domains.expand("cityscapes-c"):
        kind, severity = domains.find(name).corruption or ("", 0)
        assert kind in CORRUPTIONS and severity in SEVERITIES and name == f"cityscapes-c-{kind}-{severity}"


@pytest.mark.usefixtures("photographs")
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_an_image_is_a_function_of_corruption_severity_and_name(kind: str) -> None:
    image = street()
    before = image.clone()
    state = np.random.get_state()[1]  # noqa: NPY002
    first = [corrupt(image, (kind, severity), "a") for severity in SEVERITIES]
    assert (state == np.random.get_state()[1]).all()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    again = [corrupt(image, (kind, severity), "a") for severity in reversed(SEVERITIES)]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    assert torch.equal(image, before)
    assert all(a.dtype == torch.uint8 and a.shape == image.shape and not torch.equal(a, image) for a in first)
    assert torch.equal(first[2], corrupt(image, (kind, 3), "b")) == (kind not in DRAWN)


@pytest.mark.usefixtures("photographs")
@settings(max_examples=4)
@given(height=st.integers(1, 40), width=st.integers(1, 40), severity=st.sampled_from(SEVERITIES), level=st.integers())
def test_any_size_and_any_level_will_do(height: int, width: int, severity: int, level: int) -> None:
    image = torch.full((3, height, width), abs(level) % 256, dtype=torch.uint8)
    for kind in CORRUPTIONS:
        assert corrupt(image, (kind, severity), "a").shape == image.shape


def test_the_order_in_memory_does_not_count() -> None:
    image = street()
    interleaved = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    for kind in sorted(set(CORRUPTIONS) - {"frost"}):
        assert torch.equal(corrupt(image, (kind, 4), "a"), corrupt(interleaved, (kind, 4), "a"))


@pytest.mark.parametrize("kind", sorted(set(CORRUPTIONS) - {"frost"}))
def test_a_photograph_suffers_more_with_severity(kind: str, real_data: Path) -> None:
    photograph = next(iter(sorted((real_data / "kitti/training/image_2").glob("*.*"))))
    image = whole.read_image(photograph)[:, :300, :400]
    errors = [difference(corrupt(image, (kind, severity), "a"), image) for severity in SEVERITIES]
    if kind == "saturate":  # two ways of going wrong
        assert errors[0] < errors[1] and errors[2] < errors[3] < errors[4]
    elif kind == "spatter":  # water, then mud
        assert errors[0] < errors[1] < errors[2] and errors[3] < errors[4]
    elif kind in ("glass-blur", "fog", "snow", "motion-blur"):  # neighbours change places, in the published ones too
        assert errors[0] < errors[2] < errors[4] or errors[0] < errors[3] < errors[4]
    else:
        assert errors == sorted(errors) and errors[0] > 0


# ---------------------------------------------------------------- filters


@settings(max_examples=20)
@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3, 7]), st.sampled_from([1, 5]), st.integers(0, 99))
def test_a_filter_is_a_plain_convolution(height: int, width: int, rows: int, columns: int, seed: int) -> None:
    image = rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8)
    kernel = rng(seed).random((rows, columns), np.float32)
    for border, name in (("edge", "nearest"), ("reflect", "mirror")):
        plain = [ndimage.convolve(colour.astype(float), kernel.astype(float), mode=name) for colour in image]
        np.testing.assert_allclose(pixels.filtered(image, kernel, border), plain, atol=0.01)


def test_a_flat_image_stays_as_it_is_under_every_blur() -> None:
    for level in (0, 1, 100, 254, 255):
        image = torch.full((3, 20, 30), level, dtype=torch.uint8)
        for severity in SEVERITIES:
            for kind in ("motion-blur", "glass-blur", "gaussian-blur"):
                assert torch.equal(corrupt(image, (kind, severity), "a"), image)
            # The published kernel's sum is not quite one.
            assert (corrupt(image, ("defocus-blur", severity), "a").int() - image.int()).abs().max() <= 1


def test_gaussian_blur_has_its_width() -> None:
    for severity, sigma in zip(SEVERITIES, (1, 2, 3, 4, 6), strict=True):
        point = torch.zeros(3, 61, 61, dtype=torch.uint8)
        point[:, 20:41, 20:41] = 255
        plain = ndimage.gaussian_filter(point[0].numpy().astype(float), sigma)
        assert np.abs(corrupt(point, ("gaussian-blur", severity), "")[0].numpy() - plain).max() <= 1.001


def test_defocus_makes_a_disk_of_a_point() -> None:
    for severity, radius in zip(SEVERITIES, (3, 4, 6, 8, 10), strict=True):
        kernel = blur._disk(radius, 0.1)
        rows, columns = np.nonzero(kernel > 0.5 / (math.pi * radius**2))
        distance = np.hypot(rows - len(kernel) // 2, columns - len(kernel) // 2)
        assert distance.max() == radius and kernel.sum() == pytest.approx(1, rel=1e-3)
        assert abs(len(rows) - math.pi * radius**2) < 0.15 * len(rows), severity


@pytest.mark.parametrize(("degrees", "step"), [(0, (0, -1)), (90, (-1, 0)), (-90, (1, 0)), (45, (-1, -1))])
def test_motion_follows_its_angle(degrees: float, step: tuple[int, int]) -> None:
    kernel = pixels.motion_kernel(4, 3, degrees)
    on_the_ray = [float(kernel[8 + i * step[0], 8 + i * step[1]]) for i in range(9)]
    assert sum(on_the_ray) == pytest.approx(1, abs=1e-6) and kernel.sum() == pytest.approx(1, abs=1e-6)
    if 0 in step:
        np.testing.assert_allclose(on_the_ray, np.exp(-(np.arange(9) ** 2) / 18) * on_the_ray[0], rtol=1e-5)


@settings(max_examples=20)
@given(st.integers(1, 25), st.integers(1, 25), st.integers(1, 4), st.integers(0, 99))
def test_glass_copies_pixels_one_after_the_other(height: int, width: int, reach: int, seed: int) -> None:
    inside = [range(reach + 1, length - reach + 1) for length in (height, width)]
    shift = rng(seed).integers(-reach, reach, (2, *map(len, inside)), dtype=np.int8)
    values = np.arange(height * width).reshape(height, width)
    for row in reversed(inside[0]):
        for column in reversed(inside[1]):
            down, right = shift[:, row - reach - 1, column - reach - 1]
            values[row, column] = values[row + down, column + right]
    assert (blur.copied_from(height, width, reach, rng(seed)) == values.ravel()).all()


# ---------------------------------------------------------------- noise

#: What the paper says of each noise, for values in 0..1.
PLAIN: dict[str, tuple[tuple[float, ...], Callable[[Any, float, np.random.Generator], Any]]] = {
    "gaussian-noise": ((0.08, 0.12, 0.18, 0.26, 0.38), lambda x, c, draw: x + c * draw.normal(size=x.shape)),
    "speckle-noise": ((0.15, 0.2, 0.35, 0.45, 0.6), lambda x, c, draw: x + x * c * draw.normal(size=x.shape)),
    "shot-noise": ((60, 25, 12, 5, 3), lambda x, c, draw: draw.poisson(x * c) / c + 1e-9),
    "impulse-noise": (
        (0.03, 0.06, 0.09, 0.17, 0.27),
        lambda x, c, draw: np.where(draw.random(x.shape) < c, draw.integers(0, 2, x.shape), x + 1e-9),
    ),
}


@pytest.mark.parametrize("level", [0, 30, 128, 255])
@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("kind", PLAIN)
def test_noise_has_the_distribution_of_the_paper(kind: str, severity: int, level: int) -> None:
    image = torch.full((3, 150, 150), level, dtype=torch.uint8)
    ours = corrupt(image, (kind, severity), "a").numpy()
    constants, formula = PLAIN[kind]
    drawn = formula(image.numpy() / 255, constants[severity - 1], rng(0))
    plain = np.floor(255 * drawn.clip(0, 1) + 1e-6)
    shares = [np.bincount(values.astype(int).ravel(), minlength=256) / values.size for values in (ours, plain)]
    # Kolmogorov and Smirnov: 0.0106 is exceeded once in 100,000 times with 67,500 values each.
    assert np.abs(np.cumsum(shares[0] - shares[1])).max() < 0.0106


@pytest.mark.parametrize("kind", PLAIN)
def test_noise_does_not_depend_on_place_or_colour(kind: str) -> None:
    image = torch.full((3, 100, 100), 90, dtype=torch.uint8)
    values = corrupt(image, (kind, 3), "a").numpy().astype(float) - 90
    values -= values.mean()
    spread = values.var()
    assert abs((values[0] * values[1]).mean()) < 0.05 * spread
    assert abs((values[:, 1:] * values[:, :-1]).mean()) < 0.05 * spread
    assert abs((values[..., 1:] * values[..., :-1]).mean()) < 0.05 * spread


def test_the_table_has_room_for_one_noise_only() -> None:
    for kind in PLAIN:
        corrupt(street(), (kind, 1), "a")
    assert noise._table.cache_info().currsize == 1


# ---------------------------------------------------------------- colours


def by_colorsys(image: torch.Tensor, change: Callable[[float, float, float], tuple[float, float, float]]) -> Any:
    """Every pixel through HSV and back by the standard library, 0..255."""
    colours = image.reshape(3, -1).T.numpy() / 255
    changed = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*colour))) for colour in colours.tolist()]
    return 255 * np.array(changed).T.reshape(image.shape)


@pytest.fixture(scope="module")
def colours() -> torch.Tensor:
    """Random colours, dark ones, and greys from black to white."""
    drawn = rng(0).integers(0, 256, (3, 300)) // rng(1).integers(1, 40, 300)
    return torch.from_numpy(np.concatenate((drawn, np.tile(np.arange(0, 256, 5), (3, 1))), 1).astype(np.uint8))[:, None]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_is_hsv_value(colours: torch.Tensor, severity: int) -> None:
    plain = by_colorsys(colours, lambda h, s, v: (h, s, min(v + severity / 10, 1)))
    assert np.abs(corrupt(colours, ("brightness", severity), "").numpy() - plain).max() <= 1.001


@pytest.mark.parametrize("severity", SEVERITIES)
def test_saturate_is_hsv_saturation(colours: torch.Tensor, severity: int) -> None:
    factor, offset = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[severity - 1]
    plain = by_colorsys(colours, lambda h, s, v: (h, min(factor * s + offset, 1), v))
    assert np.abs(corrupt(colours, ("saturate", severity), "").numpy() - plain).max() <= 1.001


def test_contrast_keeps_means_and_shrinks_what_departs_from_them() -> None:
    image = street().numpy().astype(float)
    means = image.mean((1, 2), keepdims=True)
    for severity, kept in zip(SEVERITIES, (0.4, 0.3, 0.2, 0.1, 0.05), strict=True):
        plain = means + kept * (image - means)
        assert np.abs(corrupt(street(), ("contrast", severity), "").numpy() - plain).max() <= 1.001


def test_jpeg_is_pillows() -> None:
    import io

    file = io.BytesIO()
    Image.fromarray(street().permute(1, 2, 0).numpy()).save(file, format="JPEG", quality=7)
    plain = np.asarray(Image.open(file)).transpose(2, 0, 1)
    assert (corrupt(street(), ("jpeg-compression", 5), "").numpy() == plain).all()


# ---------------------------------------------------------------- weather


@pytest.mark.parametrize("side", [1, 2, 4, 64])
def test_plasma_covers_0_to_1_and_repeats_without_a_seam(side: int) -> None:
    clouds = weather.plasma(side, 2, rng(0))
    assert clouds.shape == (side, side) and clouds.min() == 0 and clouds.max() == (side > 1)
    if side == 64:
        steps = np.abs(np.diff(clouds, axis=0)).mean()
        assert np.abs(clouds[0] - clouds[-1]).mean() < 3 * steps


def test_plasma_is_the_rougher_the_slower_its_noise_decays() -> None:
    rough, smooth = (np.abs(np.diff(weather.plasma(64, decay, rng(0)))).mean() for decay in (1.4, 2))
    assert rough > 1.5 * smooth


def test_plasma_is_its_neighbours_mean_where_noise_has_died_away() -> None:
    clouds = weather.plasma(16, 1e4, rng(0))  # what is drawn after the first four points is nothing
    corners = clouds[::8, ::8]
    np.testing.assert_allclose(clouds[4, 4], corners.mean(), atol=1e-5)
    np.testing.assert_allclose(clouds[4, 0], clouds[[0, 8, 4, 4], [0, 0, 4, 12]].mean(), atol=1e-5)


def test_fog_never_outshines_the_image() -> None:
    dark = street() // 2
    for severity in SEVERITIES:
        foggy = corrupt(dark, ("fog", severity), "a")
        assert foggy.max() <= dark.max() and foggy.float().std() < dark.float().std() + 20


def test_snow_is_white_and_falls() -> None:
    black = torch.zeros(3, 200, 200, dtype=torch.uint8)
    snowy = corrupt(black, ("snow", 1), "a")
    assert torch.equal(snowy[0], snowy[1]) and torch.equal(snowy[0], snowy[2])
    layer = snowy[0].numpy().astype(float)
    down, along = (np.abs(np.diff(layer, axis=axis)).mean() for axis in (0, 1))
    assert layer.max() > 100 and down < along


@pytest.mark.usefixtures("photographs")
def test_frost_is_a_piece_of_a_photograph() -> None:
    image = torch.full((3, 90, 70), 100, dtype=torch.uint8)
    for severity, (kept, added) in zip(SEVERITIES, ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))):  # noqa: B905
        icy = corrupt(image, ("frost", severity), "a").numpy()
        assert icy.max() == int(kept * 100 + added * 255 + 1e-3)
    seen = {corrupt(image, ("frost", 1), name).numpy().tobytes() for name in "abcdefgh"}
    assert len(seen) > 1


@pytest.mark.usefixtures("no_photographs")
def test_frost_without_photographs_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pip install 'rein-bench\[corruptions\]'"):
        scored_files(Data(), "cityscapes-c-frost-1", tmp_path)


# ---------------------------------------------------------------- spatter


def test_water_adds_light_and_mud_hides() -> None:
    image = street(100, 150)
    for severity in (1, 2, 3):
        assert (corrupt(image, ("spatter", severity), "a") >= image).all()
    mud = torch.tensor([63, 42, 20], dtype=torch.uint8)[:, None]
    for severity in (4, 5):
        dirty = corrupt(image, ("spatter", severity), "a")
        changed = (dirty != image).any(0)
        assert 0.01 < changed.float().mean() < 0.4
        assert ((dirty[:, changed].float() - mud).abs() <= 0.2 * (image[:, changed].float() - mud).abs() + 1.5).all()


def test_rims_are_the_outlines_of_what_stands_out() -> None:
    grey = np.zeros((40, 40), np.uint8)
    grey[10:30, 10:30] = 200
    grey[10:30, 34:38] = 20  # too faint
    edges = spatter.rims(grey)
    outline = np.zeros_like(edges)
    outline[9:31, 9:31] = True
    outline[11:29, 11:29] = False
    assert edges.any() and not (edges & ~outline).any()
    assert ndimage.binary_fill_holes(edges)[15:25, 15:25].all()
    assert not spatter.rims(np.full((9, 9), 77, np.uint8)).any()


def test_a_faint_rim_counts_where_it_touches_a_strong_one() -> None:
    grey = np.zeros((20, 60), np.uint8)
    grey[10:, :20] = 100
    grey[10:, 20:] = 25  # below the upper threshold, above the lower one
    assert spatter.rims(grey)[:, 45:50].any()
    grey[:, :30] = 0
    assert not spatter.rims(grey)[:, 45:50].any()


def test_equalised_levels_fill_the_range_in_their_order() -> None:
    grey = rng(0).choice(np.arange(21, dtype=np.uint8), (50, 50))
    even = spatter._equalised(grey)
    assert even.min() == 0 and even.max() == 255
    assert [len(np.unique(even[grey == level])) for level in range(21)] == [1] * 21
    assert (np.diff([even[grey == level][0] for level in range(21)].copy()).astype(int) > 0).all()


# ---------------------------------------------------------------- where it is wired


def test_the_whole_image_is_corrupted_before_it_is_halved(tmp_path: Path) -> None:
    Image.fromarray(street().permute(1, 2, 0).numpy()).save(tmp_path / "town_1.png")
    sample = Sample(tmp_path / "town_1.png", tmp_path / "town_1.png", TRAIN_IDS, corruption=("shot-noise", 2))
    expected = corrupt(street(), ("shot-noise", 2), "town_1")
    assert torch.equal(whole.whole_image(sample), expected)
    halved = whole.whole_image(dataclasses.replace(sample, halve=True))
    assert torch.equal(halved, whole.halved_image(expected))


def test_corrupted_images_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, label = tmp_path / "1.png", tmp_path / "1_label.png"
    Image.fromarray(street().permute(1, 2, 0).numpy()).save(image)
    Image.fromarray(np.zeros((48, 80), np.uint8)).save(label)
    clean = Sample(image, label, TRAIN_IDS)
    noisy, foggy = (dataclasses.replace(clean, corruption=(kind, 2)) for kind in ("shot-noise", "fog"))
    samples, folder = [clean, noisy, foggy], tmp_path / "cache"
    made: list[tuple[str, int]] = []
    monkeypatch.setattr(
        whole, "corrupt", lambda image, corruption, name: made.append(corruption) or corrupt(image, corruption, name)
    )
    plain = [WholeImages(samples, Data())[i][0] for i in range(3)]
    assert made == [("shot-noise", 2), ("fog", 2)] and not folder.exists()
    for _ in range(2):
        kept = [WholeImages(samples, Data(), folder)[i][0] for i in range(3)]
        assert all(torch.equal(a, b) for a, b in zip(plain, kept, strict=True))
    assert len(made) == 4 and len(list(folder.rglob("*.npy"))) == 2
    monkeypatch.setattr(corruptions, "VERSION", 99)
    assert not torch.equal(WholeImages(samples, Data(), folder)[1][0], plain[1])


def test_a_family_of_targets_is_scored_member_by_member(tiny: Tiny) -> None:
    experiment = tiny({"data.targets": ["toy-day", "cityscapes-c-fog", "cityscapes-c-fog-3"]})
    fog = [(f"cityscapes-c-fog-{severity}", "target") for severity in SEVERITIES]
    assert scored_domains(experiment) == [("toy-day", "target"), *fog, ("toy-game", "source")]


def test_a_score_fills_the_cache(tiny: Tiny, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foggy = dataclasses.replace(domains.find("toy-day"), name="toy-day-fog", corruption=("fog", 5))
    monkeypatch.setitem(domains.DOMAINS, foggy.name, foggy)
    experiment = tiny()
    model, device = build_model(experiment), torch.device("cpu")
    scores = [
        score_domain(model, experiment, foggy.name, "target", toy_data, device, cache=folder)
        for folder in (None, tmp_path)
    ]
    assert torch.equal(scores[0].matrix, scores[1].matrix)
    assert len(list(tmp_path.rglob("*.npy"))) == 1


# ---------------------------------------------------------------- the published package


@pytest.fixture
def published() -> Iterator[Callable[[Any, str, int], Any]]:
    """The package's own `corrupt`, with the draws that this one makes for the file `a`."""
    package = pytest.importorskip("imagecorruptions", reason="the published package is not installed")
    with pytest.MonkeyPatch.context() as patch:

        def run(image: Any, kind: str, severity: int) -> Any:
            stream = corruptions._stream(kind, severity, "a")
            zoom = (3, 2, 4, 4.5, 2.5)[severity - 1] if kind == "snow" else 1

            def normal(size: tuple[int, int], loc: float, scale: float) -> Any:
                # Of snow's noise only the middle is enlarged and seen.
                small = [math.ceil(length / zoom) for length in size]
                top, left = ((length - part) // 2 for length, part in zip(size, small, strict=True))
                drawn = np.zeros(size, np.float32)
                drawn[top : top + small[0], left : left + small[1]] = stream.standard_normal(small, np.float32)
                return drawn * np.float32(scale) + np.float32(loc)

            def uniform(low: float, high: float, size: Any = None) -> Any:
                if size is None:
                    return stream.uniform(low, high)
                return (2 * stream.random(size, np.float32) - 1) * high

            def randint(low: int, high: int | None = None) -> int:
                return int(stream.integers(5 if high is None else high))

            for name, draw in (("normal", normal), ("uniform", uniform), ("randint", randint)):
                patch.setattr(np.random, name, draw)
            return package.corrupt(image, corruption_name=kind.replace("-", "_"), severity=severity)

        yield run


@pytest.mark.parametrize("kind", sorted(set(CORRUPTIONS) - set(PLAIN) - {"glass-blur"}))
def test_values_are_the_published_packages(kind: str, published: Callable[[Any, str, int], Any]) -> None:
    image = street(120, 200)
    for severity in SEVERITIES:
        theirs = published(image.permute(1, 2, 0).numpy(), kind, severity).astype(int).transpose(2, 0, 1)
        off = np.abs(corrupt(image, (kind, severity), "a").numpy() - theirs)
        if kind == "spatter" and severity < 4:
            assert off.mean() < 0.4 and (off > 1).mean() < 0.05
        else:
            assert off.mean() < 0.25 and (off > 1).mean() < 1e-3
