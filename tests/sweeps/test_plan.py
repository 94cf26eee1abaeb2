"""From a sweep to its runs: points crossed with axes in the file's order, each run once, what is done left out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from rein.config import ConfigError, Sweep, run_id
from rein.config_io import build
from rein.data.domain import DataError
from rein.ledger import Run
from rein.sweeps.plan import Planned, check_data, expand, left


def planned(tiny_file: Path, **sweep: Any) -> list[Planned]:
    return expand(build(Sweep, {"experiment": str(tiny_file), **sweep}))


def test_points_are_crossed_with_axes_in_the_files_order(tiny_file: Path) -> None:
    runs = planned(
        tiny_file,
        points={"b": {"tuning.method": "frozen"}, "a": {}},
        vary={"optim.lr": [0.1, 0.01], "seed": [3, 1]},
    )
    assert [(r.point, r.axes["optim.lr"], r.axes["seed"]) for r in runs] == [
        (point, lr, seed) for point in "ba" for lr in (0.1, 0.01) for seed in (3, 1)
    ]
    for run in runs:
        assert run.experiment.optim.lr == run.axes["optim.lr"] and run.experiment.seed == run.axes["seed"]
        assert run.experiment.tuning.method == ("frozen" if run.point == "b" else "rein")
        assert run.id == run_id(run.experiment)
    assert len({run.id for run in runs}) == 8


def test_a_sweep_without_points_has_unnamed_runs(tiny_file: Path) -> None:
    assert [(r.point, r.axes) for r in planned(tiny_file, vary={"seed": [0, 1]})] == [
        ("", {"seed": 0}),
        ("", {"seed": 1}),
    ]


def test_a_sweep_of_nothing_is_its_experiment(tiny_file: Path) -> None:
    assert len(planned(tiny_file)) == 1


def test_runs_of_a_point_that_are_the_same_come_once(tiny_file: Path) -> None:
    runs = planned(tiny_file, points={"all": {}, "one": {"tuning.rank": 1, "seed": 0}}, vary={"seed": [0, 0, 1]})
    assert [(run.point, run.experiment.seed) for run in runs] == [("all", 0), ("all", 1), ("one", 0)]


def test_two_points_that_are_one_run_are_refused(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"points: 'first' and 'again' are one and the same run"):
        planned(tiny_file, points={"first": {}, "again": {"tuning.rank": 2}})


def test_a_run_is_called_by_its_point_its_axes_and_its_seed(tiny_file: Path) -> None:
    runs = planned(tiny_file, points={"rein": {}}, vary={"tuning.rank": [4, 8], "seed": [0, 1]})
    assert (runs[0].variant, runs[0].label) == ("rein, tuning.rank=4", "rein, tuning.rank=4, seed 0")
    (alone,) = planned(tiny_file)
    assert (alone.variant, alone.label) == ("", alone.id)


def test_data_that_is_not_there_is_said_once_before_anything_starts(tiny_file: Path, toy_data: Path) -> None:
    check_data(planned(tiny_file), toy_data)
    with pytest.raises(DataError, match=r"kitti \(val\).*--data"):
        check_data(planned(tiny_file, points={"a": {"data.targets": ["toy-day", "kitti"]}}), toy_data)


@pytest.fixture
def unlabelled(toy_data: Path, tmp_path: Path) -> Path:
    """A data folder in which a training image and a test image have lost their labels."""
    for style, split in (("game", "train"), ("day", "val")):
        shutil.copytree(toy_data / "toy" / style, tmp_path / "data/toy" / style)
        (tmp_path / f"data/toy/{style}/labels/{split}/000001.png").unlink()
    return tmp_path / "data"


def test_a_missing_label_is_said_before_anything_starts_unless_it_is_skipped(tiny_file: Path, unlabelled: Path) -> None:
    with pytest.raises(DataError, match=r"000001\.png: has no label"):
        check_data(planned(tiny_file), unlabelled)
    check_data(planned(tiny_file, vary={"data.on_error": ["skip"]}), unlabelled)


def test_a_folder_without_any_label_is_never_skipped(tiny_file: Path, unlabelled: Path) -> None:
    (unlabelled / "toy/day/labels/val/000000.png").unlink()
    with pytest.raises(DataError, match=r"2 .*images.* label|has no label.* 2 of 2 images of toy-day"):
        check_data(planned(tiny_file, vary={"data.on_error": ["skip"]}), unlabelled)


def test_the_val_split_of_a_source_is_looked_at_too(tiny_file: Path, unlabelled: Path) -> None:
    (unlabelled / "toy/game/labels/val/000000.png").unlink()
    (unlabelled / "toy/game/images/train/000001.png").unlink()
    with pytest.raises(DataError, match=r"toy-game \(val\)"):
        check_data(planned(tiny_file, points={"a": {"data.sources": ["toy-game"], "data.targets": []}}), unlabelled)


def test_an_axis_of_one_value_names_no_run(tiny_file: Path) -> None:
    assert planned(tiny_file, vary={"tuning.rank": [3], "seed": [0, 1]})[0].axes == {"seed": 0}


def test_points_can_differ_in_a_whole_group(tiny_file: Path) -> None:
    runs = planned(tiny_file, points={"lora": {"tuning.method": "lora", "tuning.rank": 2}, "rein": {}})
    assert [run.experiment.tuning.method for run in runs] == ["lora", "rein"]
    assert not hasattr(runs[0].experiment.tuning, "token_length")


def test_the_base_is_found_by_name() -> None:
    assert expand(Sweep(experiment="toy", vary={"seed": [7]}))[0].experiment.seed == 7


def test_a_wrong_axis_names_file_point_and_key(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"point 'a' \(over .*tiny\.yaml\): unknown key `tuning\.rnk`"):
        planned(tiny_file, points={"a": {"tuning.rnk": 3}})
    with pytest.raises(ConfigError, match=r"tiny\.yaml: unknown key `sead`"):
        planned(tiny_file, vary={"sead": [1]})


def test_an_axis_without_values_is_refused(tiny_file: Path) -> None:
    with pytest.raises(ConfigError, match="vary"):
        planned(tiny_file, vary={"seed": []})


@pytest.mark.parametrize(
    ("state", "again"),
    [("done", False), ("pruned", False), ("failed", True), ("oom", True), ("diverged", True), ("preempted", True),
     ("running", True), (None, True)],
)  # fmt: skip
def test_what_is_left_are_the_runs_that_did_not_come_to_their_end(
    tiny_file: Path, tmp_path: Path, state: Any, again: bool
) -> None:
    (run,) = planned(tiny_file)
    if state:
        record = Run.create(tmp_path, run.experiment)
        record.start()
        if state != "running":
            record.finish(state)
    assert left([run], tmp_path) == ([run] if again else [])


def test_one_seed_more_leaves_only_the_new_runs(tiny_file: Path, tmp_path: Path) -> None:
    for run in planned(tiny_file, vary={"seed": [0, 1]}):
        Run.create(tmp_path, run.experiment).start()
        Run(tmp_path / run.id).finish("done")
    wider = planned(tiny_file, vary={"seed": [0, 1, 2]})
    assert [run.experiment.seed for run in left(wider, tmp_path)] == [2]


def test_a_sweep_survives_yaml(tiny_file: Path, tmp_path: Path) -> None:
    from rein.config_io import load

    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({"experiment": str(tiny_file), "vary": {"optim.lr": ["1e-4", 1e-3]}}))
    assert [run.experiment.optim.lr for run in expand(load(Sweep, path))] == [1e-4, 1e-3]
