"""What a node is said to lack, without a cluster; test_several_nodes.py asks a real one."""

from __future__ import annotations

from pathlib import Path

from rein.sweeps.on_ray.nodes import differences, look


def test_a_node_like_this_one_has_no_problem(tmp_path: Path) -> None:
    here = look(str(tmp_path / "sign"))
    assert {"torch", "ray", "python"} <= set(here["versions"]) and not here["sees"]
    assert differences({**here, "sees": True}, here) == []


def test_other_versions_and_an_unseen_runs_folder_are_named() -> None:
    here = {"versions": {"torch": "2.14.1", "ray": "2.60.0"}, "sees": True}
    there = {"versions": {"torch": "2.13.0"}, "sees": False}
    assert differences(there, here) == [
        "has torch 2.13.0, the driver 2.14.1; install the same",
        "has ray missing, the driver 2.60.0; install the same",
        "does not see the runs folder; name one by --runs on a disk that all nodes mount at the same path",
    ]
