"""Batches: which crop stands at which step depends on the seed alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rein import seeds
from rein.config import Data
from rein.data import loaders
from rein.data.dataset import DomainDataset
from rein.data.domains import DataError
from rein.data.loaders import Crops, training_batches
from rein.data.transforms import training_crop

DATA = Data(sources=("toy-game",), crop_size=32, batch_size=3)
Batches = list[tuple[Tensor, Tensor]]


def batches(root: Path, steps: range, seed: int = 0, workers: int = 0) -> Batches:
    return list(training_batches(DATA, root, seed, steps, torch.device("cpu"), workers))


def same(first: Batches, second: Batches) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b) for pair, other in zip(first, second, strict=True) for a, b in zip(pair, other, strict=True)
    )


def test_batches_have_the_recipes_shapes(toy_data: Path) -> None:
    found = batches(toy_data, range(2))
    assert len(found) == 2
    for images, labels in found:
        assert images.shape == (3, 3, 32, 32) and images.dtype == torch.uint8
        assert labels.shape == (3, 32, 32) and labels.dtype == torch.int64


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_run_that_was_cut_sees_the_same_batches(toy_data: Path, cut: int) -> None:
    assert same(batches(toy_data, range(4)), batches(toy_data, range(cut)) + batches(toy_data, range(cut, 4)))


def test_the_number_of_workers_changes_nothing(toy_data: Path) -> None:
    assert same(batches(toy_data, range(3)), batches(toy_data, range(3), workers=2))


def test_another_seed_gives_other_batches(toy_data: Path) -> None:
    assert not same(batches(toy_data, range(1)), batches(toy_data, range(1), seed=1))


def test_torchs_random_state_changes_nothing(toy_data: Path) -> None:
    torch.manual_seed(1)
    first = batches(toy_data, range(1))
    torch.manual_seed(2)
    assert same(first, batches(toy_data, range(1)))


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own(
    toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = Crops(DATA, toy_data, seed=0)
    images = [image for image, _ in DomainDataset("toy-game", "train", toy_data)]
    seen: list[int] = []

    def spy(image: Tensor, label: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
        seen.append(next(i for i, known in enumerate(images) if torch.equal(image, known)))
        return training_crop(image, label, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loaders, "training_crop", spy)
    n = len(images)
    for ordinal in range(3 * n):
        crops[ordinal]
    epochs = [seen[i * n : (i + 1) * n] for i in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(n))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_an_image_gets_another_crop_in_every_epoch(toy_data: Path) -> None:
    crops = Crops(DATA, toy_data, seed=0)
    firsts = {crops[ordinal][0].numpy().tobytes() for ordinal in range(14)}
    assert len(firsts) == 14


def test_all_sources_are_seen(toy_data: Path) -> None:
    twice = Data(sources=("toy-game", "toy-game"), crop_size=32)
    assert len(Crops(twice, toy_data, 0).images) == 2 * len(Crops(DATA, toy_data, 0).images)


def test_a_crop_is_drawn_from_its_own_place_of_the_stream(toy_data: Path) -> None:
    crops = Crops(DATA, toy_data, seed=5)
    order = torch.randperm(7, generator=seeds.generator(5, seeds.ORDER, 1))
    image, label = DomainDataset("toy-game", "train", toy_data)[int(order[2])]
    expected = training_crop(image, label, DATA, seeds.generator(5, seeds.CROP, 9))
    assert same([crops[9]], [expected])


@pytest.mark.parametrize(
    ("asked", "device", "number"), [(None, "cpu", 0), (None, "cuda", 4), (0, "cuda", 0), (2, "cpu", 2)]
)
def test_loader_processes_are_as_asked_or_by_device(asked: int | None, device: str, number: int) -> None:
    assert loaders._options(torch.device(device), asked) == {"num_workers": number, "pin_memory": device == "cuda"}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_named_in_one_line_wherever_it_was_read(toy_data: Path, tmp_path: Path, workers: int) -> None:
    shutil.copytree(toy_data / "toy" / "day", tmp_path / "toy" / "day")
    (tmp_path / "toy/day/images/val/000001.png").write_bytes(b"no image")
    images = loaders.whole_images(DomainDataset("toy-day", "val", tmp_path), torch.device("cpu"), workers)
    next(images)
    with pytest.raises(
        DataError, match=r"^/\S*toy/day/images/val/000001\.png: not a readable image .*remove the file$"
    ):
        next(images)
