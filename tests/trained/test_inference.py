"""A finished run as a network: the same scores again, other domains, and images of any size."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from rein.config import ConfigError, Data, Experiment, Machine, run_id
from rein.data.classes import PALETTE
from rein.data.domain import DataError, Sample
from rein.data.remarks import Remark
from rein.data.selection import scored_images
from rein.ledger import Run
from rein.models.tuning import trainable
from rein.trained import inference
from rein.trained.exporting import export_run
from rein.training import checkpoint

Tiny = Callable[..., Experiment]


def test_a_run_is_loaded_by_id_folder_or_record(finished: tuple[Run, Machine], tiny: Tiny) -> None:
    run, machine = finished
    saved = load_file(checkpoint.newest(run.path / "checkpoint"))
    for name in (run, run.id, run.id[:6], str(run.path)):
        model, experiment = inference.load_model(name, machine)
        assert experiment == tiny() and not model.training
        assert all(torch.equal(p, saved[n]) for n, p in trainable(model))


def test_scoring_a_run_again_gives_its_scores(finished: tuple[Run, Machine]) -> None:
    run, machine = finished
    recorded = run.metrics()[0][-1]
    rows = inference.evaluate_run(run.id, [], machine)
    assert [(row["domain"], row["role"]) for row in rows] == [("toy-day", "target"), ("toy-game", "source")]
    for row in rows:
        assert row["miou"] == round(100 * recorded[f"{row['domain']}/miou"], 2)


def test_a_run_is_scored_on_other_domains(finished: tuple[Run, Machine]) -> None:
    run, machine = finished
    rows = inference.evaluate_run(run.id, ["toy-night"], machine)
    assert [(row["domain"], row["role"]) for row in rows] == [("toy-night", "target")]


def test_scoring_on_one_domain_reads_no_other(finished: tuple[Run, Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    from rein import evaluation

    read: list[str] = []

    def spy(data: Data, domain: str, *rest: Any) -> tuple[list[Sample], list[Remark]]:
        read.append(domain)
        return scored_images(data, domain, *rest)

    monkeypatch.setattr(evaluation, "scored_images", spy)
    run, machine = finished
    inference.evaluate_run(run.id, ["toy-night"], machine)
    assert read == ["toy-night"], "the sources' data may be on another machine"


def test_skipped_images_are_counted_beside_the_score(
    tiny: Tiny, machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from rein.training import train

    run = train(tiny({"steps": 1, "data.on_error": "skip", "evaluation.images": None}), machine)
    shutil.copytree(machine.data / "toy" / "night", tmp_path / "data/toy/night")
    (tmp_path / "data/toy/night/images/val/000001.png").write_bytes(b"")
    (row,) = inference.evaluate_run(run.id, ["toy-night"], replace(machine, data=tmp_path / "data"))
    assert (row["images"], row["skipped"]) == (1, 1)
    assert "toy-night: " in caplog.text and "000001.png: not a readable image" in caplog.text


def test_an_unknown_domain_is_refused(finished: tuple[Run, Machine]) -> None:
    run, machine = finished
    with pytest.raises(ConfigError, match=r"toy-knight.*did you mean `toy-night`"):
        inference.evaluate_run(run.id, ["toy-knight"], machine)


def test_a_domain_without_a_val_split_is_refused(finished: tuple[Run, Machine]) -> None:
    run, machine = finished
    with pytest.raises(ConfigError, match="gta has no val split"):
        inference.evaluate_run(run.id, ["gta"], machine)


def test_a_source_stays_a_source(finished: tuple[Run, Machine]) -> None:
    run, machine = finished
    rows = inference.evaluate_run(run.id, ["toy-game", "toy-night"], machine)
    assert [row["role"] for row in rows] == ["source", "target"]


def test_an_unfinished_run_is_scored_as_it_stands_and_says_so(
    tiny: Tiny, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    from rein.training import train

    def cut(record: Mapping[str, Any]) -> None:
        if record["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), machine, cut)
    assert len(inference.evaluate_run(run_id(tiny()), ["toy-day"], machine)) == 1
    assert "preempted, not done: this is its network at step 1" in caplog.text


def test_a_run_without_a_checkpoint_says_what_to_do(tiny: Tiny, machine: Machine) -> None:
    run = Run.create(machine.runs, tiny())
    with pytest.raises(ConfigError, match="no checkpoint"):
        inference.load_model(run, machine)


def test_a_truncated_checkpoint_is_never_loaded_silently(finished: tuple[Run, Machine], tmp_path: Path) -> None:
    run, machine = finished
    shutil.copytree(run.path, tmp_path / "runs" / run.id)
    path = checkpoint.newest(tmp_path / "runs" / run.id / "checkpoint")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"step_0000003/model\.safetensors: not a readable checkpoint"):
        inference.load_model(run.id, replace(machine, runs=tmp_path / "runs"))


@pytest.mark.parametrize("size", [(96, 192), (50, 37)])
def test_predictions_have_the_images_size_and_the_palettes_colours(
    finished: tuple[Run, Machine], tmp_path: Path, size: tuple[int, int]
) -> None:
    run, machine = finished
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "street.png")
    mask, overlay = inference.predict_images(run.id, [tmp_path / "street.png"], tmp_path / "out", machine)
    assert (mask.name, overlay.name) == ("street_mask.png", "street_overlay.png")
    ids, colours = np.asarray(Image.open(mask)), np.asarray(Image.open(mask).convert("RGB"))
    assert ids.shape == size and ids.max() < 19
    np.testing.assert_array_equal(colours, np.array(PALETTE)[ids])
    blend = np.asarray(Image.open(overlay)).astype(float)
    np.testing.assert_allclose(blend, (pixels + colours.astype(float)) / 2, atol=0.51)


def test_an_image_that_cannot_be_read_is_named(finished: tuple[Run, Machine], tmp_path: Path) -> None:
    run, machine = finished
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad\.png: not a readable image"):
        list(inference.predict_images(run.id, [tmp_path / "bad.png"], tmp_path / "out", machine))
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        list(inference.predict_images(run.id, [tmp_path / "gone.png"], tmp_path / "out", machine))


def test_a_folder_stands_for_its_images(finished: tuple[Run, Machine], tmp_path: Path) -> None:
    run, machine = finished
    for name in ("b.JPG", "a.png", "c.webp", "._a.png", "notes.txt"):
        Image.new("RGB", (20, 10)).save(tmp_path / name, format="PNG")
    (tmp_path / "inner.png").mkdir()
    (tmp_path / "inner.png" / "d.png").touch()
    files = list(inference.predict_images(run.id, [tmp_path], tmp_path / "out", machine))
    assert [file.name for file in files if "mask" in file.name] == ["a_mask.png", "b_mask.png", "c_mask.png"]
    with pytest.raises(ConfigError, match=r"empty: no image in this folder \(\*\.png, .*\*\.webp\)"):
        (tmp_path / "empty").mkdir()
        list(inference.predict_images(run.id, [tmp_path / "empty"], tmp_path / "out", machine))


def test_images_of_one_name_are_refused_before_any_is_written(finished: tuple[Run, Machine], tmp_path: Path) -> None:
    run, machine = finished
    images = [tmp_path / "a" / "street.png", tmp_path / "b" / "street.png"]
    with pytest.raises(ConfigError, match=r"a/street\.png.*b/street\.png.*one name.*--out"):
        next(inference.predict_images(run.id, images, tmp_path / "out", machine))
    assert not (tmp_path / "out").exists()


def test_a_run_of_unpacked_results_says_that_it_has_no_weights(finished: tuple[Run, Machine], tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / finished[0].id)
    shutil.copytree(finished[0].path, run.path, ignore=shutil.ignore_patterns("checkpoint"))
    run.update(unpacked=True)
    machine = replace(finished[1], runs=tmp_path / "runs")
    words = rf"{run.path}: has no trained weights, since it was unpacked .* remove this folder .*`rein train`"
    with pytest.raises(ConfigError, match=words):
        inference.evaluate_run(run.id, [], machine)
    for kind in ("openmmlab", "merged"):
        with pytest.raises(ConfigError, match=words):
            export_run(run.id, kind, tmp_path / "run.safetensors", machine)
