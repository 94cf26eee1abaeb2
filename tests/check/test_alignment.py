"""A label that was moved against its image is told from one in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.check.alignment import SHIFTS, agreement, common_shift
from rein.check.pair import read_values
from rein.data.domain import Sample
from rein.data.domains import find
from rein.data.listing import samples
from rein.data.reading import read_image

Scores = list[tuple[float, ...]]


def scene(seed: int, height: int = 200, width: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Noise of another level for each of some rectangles, and the rectangles as a label."""
    rng = np.random.default_rng(seed)
    ids = np.zeros((height, width), np.uint8)
    for number in range(1, 12):
        y, x = rng.integers(0, height - 20), rng.integers(0, width - 20)
        ids[y : y + rng.integers(20, 90), x : x + rng.integers(20, 90)] = number
    image = (ids * 20)[..., None] + rng.integers(0, 30, (height, width, 3))
    return image.astype(np.uint8), ids


def moved(right: int, down: int, size: int = 1) -> Scores:
    def one(seed: int) -> tuple[float, ...]:
        image, ids = scene(seed)
        label = np.roll(ids, (down, right), (0, 1))
        return agreement(image, label.repeat(size, 0).repeat(size, 1))

    return [one(seed) for seed in range(12)]


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_shift_is_found_in_its_direction(shift: tuple[int, int]) -> None:
    assert common_shift(moved(*shift)) == (shift, list(range(12)))


def test_labels_in_their_place_are_not_suspected() -> None:
    assert common_shift(moved(0, 0)) == (None, [])


def test_labels_of_another_size_count_in_the_images_pixels() -> None:
    assert common_shift(moved(0, 0, size=2)) == (None, [])
    assert common_shift(moved(-16, 0, size=2))[0] == (-16, 0)


def test_between_two_shifts_their_mean_is_said() -> None:
    near, far = ([0.0] * (1 + len(SHIFTS)) for _ in range(2))
    near[1 + SHIFTS.index((8, 0))] = far[1 + SHIFTS.index((16, 0))] = 1.0
    scores = [tuple(near)] * 6 + [tuple(far)] * 6 + [()] * 5
    assert common_shift(scores) == ((12, 0), list(range(12)))


def test_few_files_and_a_minority_say_nothing() -> None:
    assert common_shift(moved(8, 0)[:9]) == (None, [])
    assert common_shift(moved(8, 0)[:6] + moved(0, 0)[:6]) == (None, [])
    assert common_shift([]) == (None, [])


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 1000))
def test_small_images_of_any_kind_are_no_trouble(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, ids = rng.integers(0, 256, (height, width, 3), np.uint8), rng.integers(0, 5, (height, width), np.uint8)
    scores = agreement(image, ids)
    assert not scores or len(scores) == 1 + len(SHIFTS)


@pytest.mark.parametrize(
    ("domain", "split"), [("camvid-day", "val"), ("camvid-dusk", "val"), ("carla", "train"), ("kitti", "val")]
)
def test_no_real_label_is_suspected_and_a_moved_one_is(
    real_data: Path, domain: str, split: str, first: Callable[[Path, str, str], list[Sample]]
) -> None:
    pairs = [_read(sample) for sample in first(real_data, domain, split)]
    assert common_shift([agreement(image, ids) for image, ids in pairs]) == (None, [])
    if len(pairs) >= 12:
        shift, _ = common_shift([agreement(image, np.roll(ids, 10, 1)) for image, ids in pairs])
        assert shift and 8 <= shift[0] <= 12 and shift[1] == 0


@pytest.fixture
def first() -> Callable[[Path, str, str], list[Sample]]:
    return lambda root, domain, split: samples(find(domain), split, root)[:12]


def _read(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    return read_image(sample.image).permute(1, 2, 0).numpy(), read_values(sample.label, sample.table)[0]
