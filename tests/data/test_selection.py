"""Which files are trained on and scored: a matter of their names alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rein.config import ConfigError, Data, Experiment
from rein.config_io import build
from rein.data import domains
from rein.data.domain import DataError, Domain, Layout, Sample, Split
from rein.data.label_tables import TRAIN_IDS
from rein.data.selection import first_by_hash, scored_domains, scored_files, scored_images, training_files

NAMES = st.lists(st.text("abcdefgh0123456789", min_size=1, max_size=6), min_size=1, max_size=60, unique=True)
SHARES = st.floats(0.001, 1)


def files(names: list[str], folder: str = "/data/images", ending: str = ".png") -> list[Sample]:
    return [Sample(Path(folder) / f"{name}{ending}", Path("label.png"), TRAIN_IDS) for name in names]


def stems(some: list[Sample]) -> list[str]:
    return [sample.image.stem for sample in some]


def cityscapes() -> list[str]:
    return [f"town{i // 150:02}_{i % 150:06}_000019_leftImg8bit" for i in range(2975)]


# ------------------------------------------------------------------------------------------------ the rule


@given(NAMES, SHARES)
def test_a_share_and_the_rest_are_all_files_in_their_order(names: list[str], share: float) -> None:
    first, rest = first_by_hash(files(names), share, "fraction")
    assert len(first) == max(1, round(share * len(names)))
    assert [name for name in names if name in set(stems(first))] == stems(first)
    assert [name for name in names if name not in set(stems(first))] == stems(rest)


@given(NAMES, SHARES, SHARES)
def test_a_smaller_share_lies_within_a_larger_one(names: list[str], one: float, other: float) -> None:
    small, large = (set(stems(first_by_hash(files(names), share, "fraction")[0])) for share in sorted((one, other)))
    assert small <= large


@given(NAMES, SHARES, st.randoms(use_true_random=False))
def test_neither_order_nor_place_nor_ending_matters(names: list[str], share: float, chance: Random) -> None:
    shuffled = chance.sample(names, len(names))
    here, _ = first_by_hash(files(names), share, "fraction")
    there, _ = first_by_hash(files(shuffled, "/mnt/other disk/Images", ".JPG"), share, "fraction")
    assert set(stems(here)) == set(stems(there))


@given(NAMES, NAMES, SHARES)
def test_files_that_are_added_move_few(names: list[str], added: list[str], share: float) -> None:
    more = sorted({*names, *added})
    before = set(stems(first_by_hash(files(names), share, "holdout")[0]))
    after = set(stems(first_by_hash(files(more), share, "holdout")[0]))
    new = len(more) - len(names)
    # Who leaves gave way to one that was added; who joins does so because the share of more files is larger.
    assert len(before - after) <= new
    assert len((after - before) & set(names)) <= max(0, len(after) - len(before))


def test_a_sixteenth_of_cityscapes_is_186_images() -> None:
    first, rest = first_by_hash(files(cityscapes()), 1 / 16, "fraction")
    assert (len(first), len(rest)) == (186, 2789)


def test_the_rule_is_the_stated_hash() -> None:
    from hashlib import sha256

    names = cityscapes()[:100]
    hashes = {name: sha256(f"fraction/{name}".encode()).hexdigest() for name in names}
    assert set(stems(first_by_hash(files(names), 0.1, "fraction")[0])) == set(
        sorted(names, key=hashes.__getitem__)[:10]
    )


def test_purposes_choose_independently() -> None:
    held_out, kept = (
        set(stems(first_by_hash(files(cityscapes()), 0.5, purpose)[0])) for purpose in ("holdout", "fraction")
    )
    # Hypergeometric: mean 743.9, standard deviation 13.6.
    assert abs(len(held_out & kept) - 744) < 6 * 13.6


def test_names_that_occur_in_several_folders_are_chosen_by_their_paths() -> None:
    twins = [*files(["a", "b"], "/data/1"), *files(["a", "b"], "/data/2")]
    chosen = {sample.image for sample in first_by_hash(twins, 0.75, "fraction")[0]}
    assert chosen == {sample.image for sample in first_by_hash(twins[::-1], 0.75, "fraction")[0]} and len(chosen) == 3


# ------------------------------------------------------------------------------------------------ a run's files


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A data folder with two domains of forty training images: `split` has a val split, `whole` has none."""
    for domain in ("split", "whole"):
        for split, number in (("train", 40), ("val", 3)):
            for kind in ("images", "labels"):
                folder = tmp_path / domain / kind / split
                folder.mkdir(parents=True)
                for i in range(number):
                    Image.fromarray(np.zeros((2, 3), np.uint8)).save(folder / f"{domain}{i:03}.png")
    rules = {
        split: Split((Layout(f"images/{split}/*.png", ((f"labels/{split}/*.png", TRAIN_IDS),)),))
        for split in ("train", "val")
    }
    domains.register(Domain("split", ("split",), rules))
    domains.register(Domain("whole", ("whole",), {"train": rules["train"]}))
    yield tmp_path
    del domains.DOMAINS["split"], domains.DOMAINS["whole"]


DATA = Data(sources=("split", "whole"), targets=())


def test_by_default_all_training_images_are_trained_on(own: Path) -> None:
    assert [len(source) for source in training_files(DATA, own)] == [40, 40]


@given(st.floats(0.01, 0.95))
def test_held_out_and_trained_on_are_disjoint_and_all(holdout: float) -> None:
    held_out, kept = first_by_hash(files(cityscapes()[:200]), holdout, "holdout")
    assert {*stems(held_out)}.isdisjoint(stems(kept)) and len(held_out) + len(kept) == 200


def test_a_source_without_val_is_scored_on_what_is_held_out(own: Path) -> None:
    data = replace(DATA, holdout=0.1)
    split, whole = training_files(data, own)
    scored = scored_files(data, "whole", own)
    assert len(split) == 40, "it has a val split, so nothing is held out of it"
    assert len(scored) == 4 and {*stems(scored)}.isdisjoint(stems(whole))
    assert {*stems(scored), *stems(whole)} == {f"whole{i:03}" for i in range(40)}
    assert len(scored_files(data, "split", own)) == 3


def test_what_is_held_out_does_not_depend_on_the_fraction(own: Path) -> None:
    data = replace(DATA, holdout=0.1)
    part = replace(data, fraction=(1.0, 0.5))
    assert scored_files(part, "whole", own) == scored_files(data, "whole", own)
    assert len(training_files(part, own)[1]) == 18
    assert {*stems(training_files(part, own)[1])} <= {*stems(training_files(data, own)[1])}


def test_a_source_is_scored_where_there_is_something_to_score(own: Path) -> None:
    experiment = Experiment(data=replace(DATA, targets=("toy-day", "split")))
    assert scored_domains(experiment) == [("toy-day", "target"), ("split", "source")]
    held_out = Experiment(data=replace(experiment.data, holdout=0.1))
    assert scored_domains(held_out) == [("toy-day", "target"), ("split", "source"), ("whole", "source")]


def test_a_domain_with_nothing_to_score_says_so(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"whole has no val split; data\.holdout"):
        scored_files(DATA, "whole", own)


def test_holding_everything_out_is_refused(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.holdout: 0\.99 of whole are all 40"):
        training_files(replace(DATA, holdout=0.99), own)


@pytest.mark.parametrize(("fraction", "numbers"), [(0.25, [10, 10]), ((1.0, 0.25), [40, 10]), (1 / 1000, [1, 1])])
def test_a_fraction_is_one_for_all_or_one_a_source(own: Path, fraction: Any, numbers: list[int]) -> None:
    assert [len(source) for source in training_files(replace(DATA, fraction=fraction), own)] == numbers


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_limit_takes_images_evenly(number: int, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rein.data.selection.labelled", lambda *_: files([f"{i:03}" for i in range(number)]))
        taken = [int(name) for name in stems(scored_files(Data(), "toy-day", Path(), limit))]
    assert len(taken) == min(limit, number) and taken[0] == 0
    steps = np.diff(taken)
    assert len(taken) < 2 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


def test_what_is_left_out_is_counted_among_what_was_chosen(own: Path) -> None:
    """An image without a label takes part in the choice: the others that are scored are those of a whole folder."""
    rules = {"val": domains.find("split").splits["train"]}
    domains.register(Domain("split", ("split",), rules))
    data = replace(DATA, on_error="skip")
    whole = scored_files(data, "split", own, 8)
    lost = {sample.image.stem for sample in whole[1:3]} | {"split001"}
    for stem in lost:
        (own / f"split/labels/train/{stem}.png").unlink()
    files, remarks = scored_images(data, "split", own, 8)
    assert files == whole[:1] + whole[3:] == scored_files(data, "split", own, 8)
    assert [remark.file for remark in remarks] == [sample.image for sample in whole[1:3]]
    files, remarks = scored_images(data, "split", own)
    assert (len(files), len(remarks)) == (37, 3)
    with pytest.raises(DataError, match=r"split000\.png: has no label, as all 1 images that split would be scored on"):
        (own / "split/labels/train/split000.png").unlink()
        scored_images(data, "split", own, 1)


# ------------------------------------------------------------------------------------------------ in a config


@pytest.mark.parametrize(("written", "read"), [("1/16", 0.0625), (" 1 / 16 ", 0.0625), (0.5, 0.5), (1, 1.0)])
def test_a_share_may_be_written_as_a_fraction(written: Any, read: float) -> None:
    data = build(Experiment, {"data": {"sources": ["toy-game"], "fraction": written}}).data
    assert data.fraction == read
    assert build(Experiment, {"data": {"fraction": [written], "holdout": "1/20"}}).data.holdout == 0.05


@pytest.mark.parametrize("key", ["weights", "fraction"])
@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_as_many_numbers_as_sources(key: str, values: list[float]) -> None:
    with pytest.raises(ConfigError, match=rf"`data\.{key}` is .*: one number for each of the 2 `data\.sources`"):
        build(Experiment, {"data": {"sources": ["gta", "toy-game"], key: values}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fraction", 0),
        ("fraction", 1.5),
        ("fraction", "3/2"),
        ("holdout", 1),
        ("holdout", -0.1),
        ("weights", [0]),
        ("weights", [float("inf")]),
        ("weights", [float("nan")]),
    ],
)
def test_shares_beyond_their_range_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{key}"):
        build(Experiment, {"data": {key: value}})


@pytest.mark.parametrize("value", ["1/0", "a/b", "1/2/3", "/"])
def test_what_is_no_number_is_refused_by_its_key(value: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.fraction"):
        build(Experiment, {"data": {"fraction": value}})
