"""Sliding windows, sizes and scores against the reference's protocol."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rein import metrics
from rein.config import Experiment
from rein.data import domains
from rein.data.classes import CLASSES
from rein.data.dataset import WholeImages
from rein.data.selection import scored_domains, scored_files
from rein.evaluation import (
    WINDOWS_AT_ONCE,
    Halving,
    Score,
    evaluate,
    fit_inside,
    score_domain,
    sliding_window,
    starts,
)
from rein.models.segmenter import Segmenter, build_model

Tiny = Callable[..., Experiment]
CPU = torch.device("cpu")


class Positional(Segmenter):
    """A stand-in for a network: scores that follow from the pixels and from where in the window they are."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.shapes: list[tuple[int, ...]] = []

    def logits(self, image: Tensor) -> Tensor:
        self.shapes.append(tuple(image.shape))
        height, width = image.shape[-2:]
        ramp = torch.arange(height)[:, None] * 0.1 + torch.arange(width) * 0.01
        grey = image.float().mean(1)
        return torch.stack([grey * (c + 1) + ramp * (19 - c) for c in range(19)], 1)


# ---------------------------------------------------------------- windows


@given(st.integers(1, 3000), st.integers(1, 600), st.integers(1, 600))
def test_windows_cover_the_axis_and_end_with_it(length: int, window: int, stride: int) -> None:
    stride = min(stride, window)
    places = starts(length, window, stride)
    assert len(places) == max(length - window + stride - 1, 0) // stride + 1
    assert places[0] == 0 and places == sorted(set(places))
    assert all(place % stride == 0 for place in places[:-1])
    covered = {i for place in places for i in range(place, min(place + window, length))}
    assert covered == set(range(length))
    assert places[-1] == max(length - window, 0), "the last window is shifted back inside"


@pytest.mark.parametrize(
    ("length", "expected"), [(1024, [0, 341, 512]), (512, [0]), (1280, [0, 341, 682, 768]), (720, [0, 208]), (300, [0])]
)
def test_the_papers_windows(length: int, expected: list[int]) -> None:
    assert starts(length, 512, 341) == expected


@pytest.mark.parametrize(("size", "window", "stride"), [((20, 33), 10, 7), ((9, 25), 10, 6), ((5, 5), 10, 7)])
def test_window_scores_are_averaged_by_cover(size: tuple[int, int], window: int, stride: int) -> None:
    image = torch.rand(1, 3, *size)
    total, cover = np.zeros((19, *size)), np.zeros(size)
    for top in starts(size[0], window, stride):
        for left in starts(size[1], window, stride):
            part = image[..., top : top + window, left : left + window]
            scores = Positional().logits(part)[0].numpy()
            for y in range(part.shape[-2]):
                for x in range(part.shape[-1]):
                    total[:, top + y, left + x] += scores[:, y, x]
                    cover[top + y, left + x] += 1
    assert cover.min() >= 1
    found = sliding_window(Positional(), image, window, stride)
    np.testing.assert_allclose(found[0].numpy(), total / cover, rtol=1e-4)


def test_a_large_image_goes_through_the_network_in_parts() -> None:
    model, image = Positional(), torch.rand(1, 3, 60, 60)
    whole = sliding_window(model, image, 10, 10)
    assert sum(shape[0] for shape in model.shapes) == 36
    assert max(shape[0] for shape in model.shapes) == WINDOWS_AT_ONCE
    assert whole.isfinite().all()


def test_short_of_memory_fewer_windows_go_at_once_to_the_same_scores() -> None:
    class Small(Positional):
        def logits(self, image: Tensor) -> Tensor:
            scores = super().logits(image)
            if len(image) > most:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return scores

    image, most = torch.rand(1, 3, 40, 40), 3
    small = Small()
    found = sliding_window(Halving(small), image, 10, 10)
    assert torch.equal(found, sliding_window(Positional(), image, 10, 10))
    assert [shape[0] for shape in small.shapes] == [8, 4, *[2] * 8]
    most = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        sliding_window(Halving(small), image, 10, 10)
    assert small.shapes[-1][0] == 1


def test_an_image_smaller_than_the_window_is_one_smaller_window() -> None:
    model = Positional()
    sliding_window(model, torch.rand(1, 3, 5, 30), 10, 7)
    assert {shape[-2:] for shape in model.shapes} == {(5, 10)}


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("original", "inside", "expected"),
    [
        ((1024, 2048), (1024, 512), (512, 1024)),  # Cityscapes
        ((720, 1280), (1280, 720), (720, 1280)),  # BDD100K
        ((3000, 4000), (1024, 512), (512, 683)),  # Mapillary, 4:3
        ((2448, 3264), (1024, 512), (512, 683)),
        ((1080, 1920), (1024, 512), (512, 910)),  # Mapillary, 16:9
        ((1000, 4000), (1024, 512), (256, 1024)),
        ((4000, 3000), (1024, 512), (683, 512)),  # upright: the long side is still at most 1024
    ],
)
def test_images_go_in_at_the_protocols_size(
    original: tuple[int, int], inside: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit_inside(torch.zeros(1, 3, *original, dtype=torch.uint8), inside).shape[-2:] == expected


def test_fitting_is_bilinear_in_whole_grey_levels_and_none_keeps_the_image() -> None:
    image = torch.randint(0, 256, (1, 3, 20, 40), dtype=torch.uint8)
    assert fit_inside(image, None) is image
    expected = F.interpolate(image.float(), (10, 20), mode="bilinear", align_corners=False)
    assert torch.equal(fit_inside(image, (20, 10)), expected.round())


@settings(max_examples=40)
@given(st.integers(16, 200), st.integers(16, 200), st.integers(16, 200), st.integers(16, 200))
def test_a_fitted_image_is_inside_and_touches_the_frame(height: int, width: int, a: int, b: int) -> None:
    h, w = fit_inside(torch.zeros(1, 3, height, width), (a, b)).shape[-2:]
    assert max(h, w) <= max(a, b) and min(h, w) <= min(a, b)
    assert max(h, w) == max(a, b) or min(h, w) == min(a, b)


# ---------------------------------------------------------------- domains


def test_targets_come_first_and_a_source_is_no_target(tiny: Tiny) -> None:
    experiment = tiny({"data.targets": ["toy-day", "toy-game", "toy-night"]})
    assert scored_domains(experiment) == [("toy-day", "target"), ("toy-night", "target"), ("toy-game", "source")]


def test_a_source_without_a_val_split_is_not_scored(tiny: Tiny) -> None:
    assert scored_domains(tiny({"data.sources": ["gta"]})) == [("toy-day", "target")]


def test_a_score_equals_the_pipeline_by_hand(tiny: Tiny, toy_data: Path) -> None:
    experiment = tiny({"evaluation.images": 2})
    model = build_model(experiment).eval()
    dataset = WholeImages(scored_files(experiment.data, "toy-day", toy_data), experiment.data)
    matrix = np.zeros((19, 19), np.int64)
    with torch.inference_mode():
        for image, label, _ in (dataset[i] for i in range(2)):
            scores = sliding_window(model, image[None], 96, 64)
            prediction = scores.argmax(1)[0]
            for c in range(19):
                for p in range(19):
                    matrix[c, p] += int(((label == c) & (prediction == p)).sum())
    score = score_domain(model, experiment, "toy-day", "target", toy_data, CPU)
    np.testing.assert_array_equal(score.matrix.numpy(), matrix)
    assert score.miou == pytest.approx(metrics.miou(matrix))


def test_what_the_images_add_up_to_is_the_confusion_matrix(tiny: Tiny, toy_data: Path) -> None:
    model = build_model(tiny()).eval()
    one, both = (
        score_domain(model, tiny({"evaluation.images": n}), "toy-day", "target", toy_data, CPU) for n in (1, 2)
    )
    assert both.counts.shape == (2, 3, 19) and both.counts.dtype == torch.int64
    assert torch.equal(both.counts.sum(0), metrics.margins(both.matrix))
    assert torch.equal(both.counts[0], metrics.margins(one.matrix)), "in the order of `files`"
    assert not torch.equal(both.counts[0], both.counts[1])


def test_scores_are_resized_once_to_the_labels_size(
    tiny: Tiny, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that goes in at another size than its label's is still scored on every pixel of the label."""
    halved = replace(domains.find("toy-day"), evaluation_size=(96, 48))
    monkeypatch.setitem(domains.DOMAINS, "toy-day", halved)
    model = build_model(tiny()).eval()
    score = score_domain(model, tiny(), "toy-day", "target", toy_data, CPU)
    assert score.matrix.sum() == 96 * 192
    image, label, _ = WholeImages(scored_files(tiny().data, "toy-day", toy_data, 1), tiny().data)[0]
    small = F.interpolate(image[None].float(), (48, 96), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        scores = F.interpolate(sliding_window(model, small, 96, 64), (96, 192), mode="bilinear", align_corners=False)
    assert torch.equal(score.matrix, metrics.confusion(scores.argmax(1)[0], label.long(), 19))


def test_evaluating_leaves_the_mode_as_it_was(tiny: Tiny, toy_data: Path) -> None:
    model = build_model(tiny())
    for mode in (True, False):
        model.train(mode)
        assert len(list(evaluate(model, tiny(), toy_data, CPU))) == 2
        assert model.training == model.head.training == mode
        assert not model.backbone.vit.training


def test_the_window_defaults_to_the_crop_and_the_stride_to_two_thirds(
    tiny: Tiny, toy_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rein import evaluation

    seen: list[tuple[int, int]] = []

    def spy(model: Segmenter, image: Tensor, window: int, stride: int) -> Tensor:
        seen.append((window, stride))
        return torch.zeros(1, 19, *image.shape[-2:])

    monkeypatch.setattr(evaluation, "sliding_window", spy)
    free = {"evaluation.window": None, "evaluation.stride": None}
    for crop in (512, 1024):
        model, experiment = build_model(tiny()), tiny({**free, "data.crop_size": crop})
        score_domain(model, experiment, "toy-day", "target", toy_data, CPU)
    assert seen == [(512, 341), (1024, 683)]


def test_examples_are_evenly_spaced_and_no_more_than_there_are(tiny: Tiny, toy_data: Path) -> None:
    model, experiment = build_model(tiny()), tiny({"evaluation.images": None})
    for examples, expected in ((0, []), (1, ["000000"]), (9, ["000000", "000001"])):
        score = score_domain(model, experiment, "toy-day", "target", toy_data, CPU, examples=examples)
        assert [stem for stem, *_ in score.examples] == expected
        for _, image, label, prediction in score.examples:
            assert image.shape == (3, 96, 192) and label.shape == prediction.shape == (96, 192)


def test_of_a_family_one_domain_has_examples(tiny: Tiny, toy_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(domains.FAMILIES, "weather", ("toy-fog", "toy-rain"))
    experiment = tiny({"data.targets": ["toy-day", "weather"]})
    scores = evaluate(build_model(experiment), experiment, toy_data, CPU, examples=1)
    assert {score.domain: len(score.examples) for score in scores} == {
        "toy-day": 1, "toy-fog": 0, "toy-rain": 1, "toy-game": 1,
    }  # fmt: skip


def test_scores_come_one_by_one(tiny: Tiny, toy_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rein import evaluation

    done: list[str] = []

    def score(model: Segmenter, experiment: Experiment, domain: str, *_: object) -> str:
        done.append(domain)
        return domain

    monkeypatch.setattr(evaluation, "score_domain", score)
    scores = evaluate(build_model(tiny()), tiny(), toy_data, CPU)
    assert (next(scores), done) == ("toy-day", ["toy-day"])


def test_rows_hold_the_miou_and_the_classes_that_occur() -> None:
    matrix = metrics.zeros(19)
    matrix[0, 0], matrix[0, 13] = 3, 1
    rows = list(Score("kitti", "target", CLASSES, matrix, []).rows(step=5))
    assert rows[0] == {"step": 5, "domain": "kitti", "role": "target", "class": "all", "metric": "miou", "value": 0.375}
    assert [(row["class"], row["value"]) for row in rows[1:]] == [("road", 0.75), ("car", 0.0)]
    assert all(row["metric"] == "iou" and row["class"] in CLASSES for row in rows[1:])


def test_a_domain_without_labelled_pixels_scores_nan() -> None:
    rows = list(Score("kitti", "target", CLASSES, metrics.zeros(19), []).rows(step=5))
    assert len(rows) == 1 and math.isnan(rows[0]["value"])


# ---------------------------------------------------------------- images that are left out


@pytest.fixture
def spoilt(toy_data: Path, tmp_path: Path) -> Path:
    """A data folder of whose three test images one is cut short and one has no label."""
    folder = tmp_path / "toy" / "day"
    shutil.copytree(toy_data / "toy" / "day", folder)
    shutil.copy(folder / "images/val/000001.png", folder / "images/val/000002.png")
    (folder / "images/val/000001.png").write_bytes(b"")
    return tmp_path


def test_skipped_images_are_no_part_of_the_matrix(tiny: Tiny, spoilt: Path, toy_data: Path) -> None:
    model, changes = build_model(tiny()).eval(), {"data.on_error": "skip", "evaluation.images": None}
    score = score_domain(model, tiny(changes), "toy-day", "target", spoilt, CPU, examples=9)
    alone = score_domain(model, tiny({"evaluation.images": 1}), "toy-day", "target", toy_data, CPU)
    assert torch.equal(score.matrix, alone.matrix) and torch.equal(score.counts, alone.counts)
    assert score.files == alone.files == ("000000",) and score.scored == alone.scored
    assert [stem for stem, *_ in score.examples] == ["000000"]
    assert {remark.file.name: remark.kind for remark in score.remarks} == {
        "000001.png": "skipped", "000002.png": "skipped",
    }  # fmt: skip
    assert alone.remarks == ()


def test_counts_are_of_the_images_that_were_scored(tiny: Tiny, toy_data: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_data / "toy" / "day", tmp_path / "toy" / "day")
    (tmp_path / "toy/day/images/val/000000.png").write_bytes(b"")
    model, changes = build_model(tiny()).eval(), {"evaluation.images": None, "data.on_error": "skip"}
    whole, score = (score_domain(model, tiny(changes), "toy-day", "target", root, CPU) for root in (toy_data, tmp_path))
    assert (whole.files, score.files) == (("000000", "000001"), ("000001",))
    assert torch.equal(score.counts, whole.counts[1:])


def test_other_images_have_another_digest(tiny: Tiny, toy_data: Path) -> None:
    model = build_model(tiny()).eval()
    one, both = (
        score_domain(model, tiny({"evaluation.images": n}), "toy-day", "target", toy_data, CPU).scored for n in (1, 2)
    )
    assert (one["images"], both["images"]) == (1, 2) and one["digest"] != both["digest"]
