"""The tidy frame of a runs folder, and which checkpoint of a run a table may take."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rein import results
from rein.config import ConfigError, Experiment
from rein.config_io import build
from rein.ledger import Run


def study(root: Path) -> None:
    """Two variants of two seeds, on two domains and two classes: what the module's examples are about."""
    for method, mean in (("lora", 0.41), ("rein", 0.46)):
        for seed in (0, 1):
            run = Run.create(root, build(Experiment, {"tuning": {"method": method}, "seed": seed}))
            run.start(step=0, steps=100)
            for step in (50, 100):
                run.append({"step": step, "loss": 10.0 - seed, "lr": 1.0, "time": 0.0})
                rows = [
                    {"step": step, "domain": domain, "role": role, "class": name, "metric": metric, "value": value}
                    for domain, role in (("gta", "source"), ("kitti", "target"))
                    for name, metric, value in (
                        ("all", "miou", mean + seed / 100 - (100 - step) / 1000),
                        ("road", "iou", 0.9),
                        ("car", "iou", 0.3 if method == "lora" else 0.35),
                    )
                ]
                run.scores(rows)
            run.finish("done")


def test_the_examples_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(results, extraglobs={"results": results})
    assert found.attempted >= 8 and not found.failed


def test_scores_over_some_of_the_classes(tmp_path: Path) -> None:
    study(tmp_path)
    frame = results.load(tmp_path, losses=True)
    of_both, of_cars = (results.of_classes(frame, classes) for classes in (("road", "car"), ("car",)))
    last = of_both[(of_both["metric"] == "miou") & (of_both["tuning.method"] == "rein")]
    assert np.allclose(last["value"], (0.9 + 0.35) / 2) and len(last) == 8, "two seeds, steps and domains"
    assert len(of_both) == len(frame), "losses stay as well"
    assert set(of_cars["class"]) == {"all", "car"}
    assert np.allclose(of_cars.loc[of_cars["metric"] == "miou", "value"].unique(), [0.3, 0.35])
    assert results.of_classes(frame, ("bus",)).query("metric == 'miou'")["value"].isna().all()
    assert frame["value"].max() == 10.0 and set(frame["class"]) == {"all", "road", "car"}, "the frame is as it was"


def record(root: Path, seed: int, scores: dict[int, tuple[float, float]], state: str = "done") -> Run:
    """A run with (source, target) mIoU per step."""
    run = Run.create(root, Experiment(seed=seed))
    run.start(step=0, steps=100)
    for step, values in scores.items():
        run.append({"step": step, "loss": 10.0 / step, "lr": 1.0, "time": 0.0})
        run.scores(
            {"step": step, "domain": domain, "role": role, "class": "all", "metric": "miou", "value": value}
            for domain, role, value in zip(("gta", "kitti"), ("source", "target"), values, strict=True)
        )
    run.update(**{"parameters.backbone": 10, "parameters.backbone_trainable": 2, "seconds": 3.5})
    run.finish(state)  # type: ignore[arg-type]
    return run


def test_load_gives_a_row_per_score_with_the_dotted_config(tmp_path: Path) -> None:
    run = record(tmp_path, 4, {50: (0.2, 0.1), 100: (0.3, 0.4)})
    frame = results.load(tmp_path, losses=True)
    scores = frame[frame["metric"] == "miou"]
    assert len(scores) == 4
    assert set(frame["run_id"]) == {run.id} and set(frame["state"]) == {"done"}
    assert set(frame["tuning.rank"]) == {16} and set(frame["seed"]) == {4}
    assert set(frame["data.targets"]) == {("cityscapes", "bdd100k", "mapillary")}
    assert set(frame["parameters.backbone_trainable"]) == {2} and set(frame["seconds"]) == {3.5}
    losses = frame[frame["metric"] == "loss"]
    assert losses[["step", "value", "role"]].values.tolist() == [[50, 0.2, "train"], [100, 0.1, "train"]]


def test_skipped_files_are_a_column(tmp_path: Path) -> None:
    for seed, skipped in enumerate(({}, {"train": 1, "kitti": 2})):
        record(tmp_path, seed, {1: (0.1, 0.1)}).update(skipped_files=skipped)
    record(tmp_path, 2, {1: (0.1, 0.1)})
    found = results.load(tmp_path).groupby("seed")["skipped_files"].unique().map(list)
    assert found.to_dict() == {0: [0], 1: [3], 2: [0]}


def test_of_a_step_logged_twice_the_later_loss_counts(tmp_path: Path) -> None:
    run = record(tmp_path, 0, {50: (0.2, 0.1)})
    run.append({"step": 50, "loss": 7.0, "lr": 1.0, "time": 1.0})
    frame = results.load(tmp_path, losses=True)
    assert frame.loc[frame["metric"] == "loss", "value"].tolist() == [7.0]


def test_load_takes_only_the_runs_named(tmp_path: Path) -> None:
    runs = [record(tmp_path, seed, {1: (0.1, 0.1)}) for seed in range(3)]
    assert set(results.load(tmp_path, [runs[1].id, runs[2].id])["run_id"]) == {runs[1].id, runs[2].id}


def test_load_of_nothing_is_an_empty_frame_with_the_columns(tmp_path: Path) -> None:
    Run.create(tmp_path, Experiment())
    for frame in (results.load(tmp_path), results.load(tmp_path, [])):
        assert frame.empty and {*results.COLUMNS, *results.FACTS} <= set(frame.columns)


def test_a_folder_or_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = record(tmp_path, 0, {1: (0.1, 0.1)})
    with pytest.raises(ConfigError, match=r"there is no runs folder .*nowhere"):
        results.load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=rf"no run {run.id}x in .*did you mean `{run.id}`"):
        results.load(tmp_path, [run.id, f"{run.id}x"])


SCORES = {10: (0.5, 0.1), 20: (0.9, 0.2), 30: (0.9, 0.7), 40: (0.1, 0.3)}


@pytest.mark.parametrize(("rule", "step"), [("last", 40), ("source_val", 20), ("oracle", 30)])
def test_select_keeps_the_rules_step_and_ties_go_to_the_earlier(
    tmp_path: Path, rule: results.Selection, step: int
) -> None:
    record(tmp_path, 0, SCORES)
    chosen = results.select(results.load(tmp_path), rule)
    assert set(chosen["step"]) == {step} and len(chosen) == 2
    assert "loss" not in set(chosen["metric"])


def test_select_chooses_for_each_run_by_itself(tmp_path: Path) -> None:
    first = record(tmp_path, 0, SCORES)
    second = record(tmp_path, 1, {10: (0.9, 0.1), 20: (0.1, 0.9)})
    chosen = results.select(results.load(tmp_path), "source_val").groupby("run_id")["step"].unique().map(list)
    assert chosen.to_dict() == {first.id: [20], second.id: [10]}


def test_the_oracle_judges_by_the_mean_over_targets(tmp_path: Path) -> None:
    run = Run.create(tmp_path, Experiment())
    run.start()
    for step, values in {1: (0.0, 0.9), 2: (0.5, 0.5)}.items():
        run.scores(
            {"step": step, "domain": d, "role": "target", "class": "all", "metric": "miou", "value": v}
            for d, v in zip(("kitti", "carla"), values, strict=True)
        )
    frame = results.load(tmp_path)
    assert set(results.select(frame, "oracle")["step"]) == {2}
    assert set(results.select(frame, "oracle", ["carla"])["step"]) == {1}
    assert set(results.select(frame, "last", ["carla"])["step"]) == {2}


def test_source_val_drops_a_run_that_has_no_source_score(tmp_path: Path) -> None:
    run = Run.create(tmp_path, Experiment())
    run.start()
    run.scores([{"step": 1, "domain": "kitti", "role": "target", "class": "all", "metric": "miou", "value": 0.5}])
    assert results.select(results.load(tmp_path), "source_val").empty


def test_a_domain_without_labelled_pixels_stays_missing(tmp_path: Path) -> None:
    record(tmp_path, 0, {1: (0.4, float("nan"))})
    frame = results.load(tmp_path)
    assert pd.isna(frame.loc[frame["domain"] == "kitti", "value"]).all()


def test_a_run_of_other_code_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in (0, 1):
        run = Run.create(tmp_path, Experiment(seed=seed))
        run.start(step=0, steps=1)
        run.append({"step": 1, "loss": 1.0, "time": 0.0})
    (run.path / "experiment.yaml").write_text("renamed: 1")
    frame = results.load(tmp_path, losses=True)
    assert set(frame["seed"]) == {0} and run.id not in frame["run_id"].cat.categories
    assert f"{run.path} is left out" in caplog.text and "`renamed`" in caplog.text


def test_a_damaged_scores_file_is_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(tmp_path, 0, {1: (0.1, 0.2)})
    other = record(tmp_path, 1, {1: (0.1, 0.2)})
    (other.path / "scores.csv").write_text("step,domain\n1,kitti\n")
    assert set(results.load(tmp_path)["seed"]) == {0}
    assert f"{other.path}: scores.csv is left out" in caplog.text


def test_values_are_read_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(size=1000).tolist()
    row = {"domain": "kitti", "role": "target", "class": "all", "metric": "miou"}
    record(tmp_path, 0, {}).scores({**row, "step": step, "value": value} for step, value in enumerate(values))
    assert results.load(tmp_path)["value"].tolist() == values


def test_names_that_pandas_takes_for_missing_are_names(tmp_path: Path) -> None:
    run = record(tmp_path, 0, {})
    run.scores([{"step": 1, "domain": "NA", "role": "target", "class": "null", "metric": "iou", "value": 0.5}])
    assert results.load(tmp_path)[["domain", "class"]].values.tolist() == [["NA", "null"]]
