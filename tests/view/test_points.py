"""Records and scores as points of charts: each once, with names that MLflow takes."""

from __future__ import annotations

import pytest

from rein.view.points import legal, points

RECORDS = [
    {"step": 1, "loss": 2.0, "lr": 0.1, "time": 10.0},
    {"step": 1, "time": 11.0, "kitti/miou": 0.25, "carla/miou": float("nan")},
]


def row(step: int, name: str, metric: str = "iou") -> dict[str, str]:
    return {"step": str(step), "domain": "kitti", "role": "target", "class": name, "metric": metric, "value": "0.5"}


def test_a_class_has_the_time_of_its_scores_record_and_only_where_that_is_here() -> None:
    rows = [row(1, "all", "miou"), row(1, "traffic light"), row(2, "road")]
    assert points(RECORDS, rows) == [
        ("loss", 2.0, 1, 10.0),
        ("lr", 0.1, 1, 10.0),
        ("kitti/miou", 0.25, 1, 11.0),
        ("kitti/iou/traffic light", 0.5, 1, 11.0),
    ]


def test_of_a_step_that_was_scored_twice_the_classes_are_there_once() -> None:
    again = [*RECORDS, {"step": 1, "time": 20.0, "kitti/miou": 0.25}]
    assert [point for point in points(again, [row(1, "road")]) if "iou/" in point[0]] == [
        ("kitti/iou/road", 0.5, 1, 20.0)
    ]


@pytest.mark.parametrize("name", ["traffic light", "a/b", "50 % grey (dark)", "..", "Straße", "x@y#z"])
def test_every_class_has_a_name_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(f"kitti/iou/{legal(name)}")


def test_records_without_a_time_have_the_one_that_is_given() -> None:
    records = [{key: value for key, value in record.items() if key != "time"} for record in RECORDS]
    found = points(records, [row(1, "road")], 7.0)
    assert [name for name, *_ in found] == ["loss", "lr", "kitti/miou", "kitti/iou/road"]
    assert {seconds for *_, seconds in found} == {7.0}
