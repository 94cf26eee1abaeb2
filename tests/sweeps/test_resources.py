"""What each run may use: rules, shares of a GPU by measured memory, and what no cluster can hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rein.config import ConfigError, Experiment, Machine, Resources, Sweep, run_id
from rein.config_io import build, override
from rein.ledger import Run
from rein.sweeps.plan import Planned
from rein.sweeps.resources import (
    CONTEXT_MIB,
    MARGIN,
    Allotment,
    Node,
    share_of_gpu,
    share_of_machine,
    slots,
)


def plan(changes: dict[str, Any] | None = None) -> Planned:
    experiment = build(Experiment, override({}, changes or {}))
    return Planned(run_id(experiment), "", {}, experiment)


def sweep(**values: Any) -> Sweep:
    return build(Sweep, {"experiment": "toy", **values})


GIANT = plan({"backbone.name": "vit_giant_patch14_dinov2"})
SMALL = plan({"backbone.name": "vit_small_patch14_dinov2"})


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"backbone.name": "*giant*"}, True),
        ({"backbone.name": "*small*"}, False),
        ({"backbone.name": "*giant*", "data.batch_size": 4}, True),
        ({"backbone.name": "*giant*", "data.batch_size": 8}, False),
        ({"data.sources": ["gta"]}, True),
        ({"tuning.method": "rein"}, True),
        ({"tuning.rank": 16}, True),
    ],
)
def test_a_rule_is_for_runs_that_fulfil_all_of_it(when: dict[str, Any], fits: bool) -> None:
    allotment = Allotment(sweep(resources={"cpu": 3}, rules=[{"when": when, "gpu": 2, "workers": 2}]))
    expected = Resources(cpu=3, gpu=2, workers=2) if fits else Resources(cpu=3)
    assert allotment.of(GIANT.experiment) == expected


def test_the_last_rule_that_fits_counts_key_by_key() -> None:
    rules = [{"when": {"backbone.name": "vit_*"}, "gpu": 1, "cpu": 4}, {"when": {"backbone.name": "*giant*"}, "gpu": 2}]
    allotment = Allotment(sweep(rules=rules))
    assert allotment.of(GIANT.experiment) == Resources(cpu=4, gpu=2)
    assert allotment.of(SMALL.experiment) == Resources(cpu=4, gpu=1)
    assert allotment.declared(GIANT.experiment)[1] == "rules[1]"


def test_a_rule_on_a_key_of_some_tunings_alone_is_no_typo() -> None:
    planned = [plan({"tuning": {"method": "frozen"}}), plan()]
    allotment = Allotment(sweep(rules=[{"when": {"tuning.rank": 16}, "cpu": 2}]), planned)
    assert [allotment.of(one.experiment).cpu for one in planned] == [1, 2]


def test_a_rule_on_a_key_that_no_run_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rules\[0\]\.when: no run has the key backbone\.nam.*`backbone\.name`"):
        Allotment(sweep(rules=[{"when": {"backbone.nam": "*giant*"}, "gpu": 2}]), [GIANT])


@pytest.mark.parametrize(
    "wrong", [{"gpu": -1}, {"gpu": "all"}, {"gpu": True}, {"workers": 0}, {"cpu": 0}, {"memory": 3}]
)
def test_resources_that_make_no_sense_are_refused_by_their_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"resources.{next(iter(wrong))}"):
        sweep(resources=wrong)


# ---------------------------------------------------------------- shares of a GPU


@given(peak=st.floats(1, 100_000), memory=st.floats(1_000, 200_000))
def test_runs_that_share_a_gpu_fit_on_it_and_one_more_would_not(peak: float, memory: float) -> None:
    share = share_of_gpu(peak, memory)
    together = math.floor(10_000 / round(10_000 * share))  # as Ray counts
    needs = peak * MARGIN + CONTEXT_MIB
    assert 0 < share <= 1 and together >= 1
    assert together == 1 or together * needs <= memory
    assert together == 100 or (together + 1) * needs > memory


def measured(runs: Path, one: Planned, peak: int, memory: int | None) -> None:
    run = Run.create(runs, one.experiment)
    run.start(step=0, steps=1)
    run.update(peak_memory_mib=peak)
    run.finish("done")
    (run.path / "environment.json").write_text(json.dumps({"device_memory_mib": memory}))


def test_auto_is_a_whole_gpu_until_a_run_like_it_was_measured(tmp_path: Path) -> None:
    allotment = Allotment(sweep(resources={"gpu": "auto"}))
    seeds = [plan({"seed": seed, "optim.lr": 10.0**-seed}) for seed in range(3)]
    other = plan({"data.batch_size": 8})
    assert allotment.of(seeds[0].experiment).gpu == 1
    measured(tmp_path, seeds[0], 5_000, 24_000)
    allotment.learn(seeds, tmp_path)
    assert allotment.of(seeds[2].experiment).gpu == pytest.approx(1 / 3, abs=1e-4)
    assert allotment.of(other.experiment).gpu == 1, "a larger batch is no run like it"
    measured(tmp_path, seeds[1], 9_000, 24_000)
    allotment.learn([seeds[1]], tmp_path)
    assert allotment.of(seeds[2].experiment).gpu == pytest.approx(1 / 2, abs=1e-4), "the largest peak counts"


def test_memory_of_a_cpu_says_nothing_of_a_gpu(tmp_path: Path) -> None:
    allotment = Allotment(sweep(resources={"gpu": "auto"}))
    measured(tmp_path, SMALL, 900, None)
    allotment.learn([SMALL, GIANT], tmp_path)
    assert allotment.of(SMALL.experiment).gpu == 1


def test_a_sweep_whose_shares_are_given_reads_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "status", lambda run: pytest.fail("read"))
    Allotment(sweep(resources={"gpu": 0.5})).learn([SMALL], tmp_path)


@pytest.mark.parametrize(
    ("resources", "rules", "takes"),
    [({}, [], False), ({"gpu": "auto"}, [], True), ({}, [{"when": {"seed": 0}, "gpu": 1}], True)],
)
def test_whether_a_sweep_takes_gpus(resources: Any, rules: Any, takes: bool) -> None:
    assert Allotment(sweep(resources=resources, rules=rules)).takes_gpus is takes


# ---------------------------------------------------------------- what a cluster can hold

NODES = [Node(4, 1), Node(8, 2), Node(64, 0)]


@pytest.mark.parametrize(
    ("needs", "room"),
    [
        (Resources(), 76),
        (Resources(cpu=4, gpu=1), 3),
        (Resources(gpu=0.5), 6),
        (Resources(cpu=8, gpu=2), 1),
        (Resources(cpu=16, gpu=1), 0),
        (Resources(gpu=3), 0),
    ],
)
def test_how_many_processes_of_a_run_there_is_room_for(needs: Resources, room: int) -> None:
    assert slots(needs, NODES) == room


def test_what_every_run_may_use_is_checked_by_its_own_rule() -> None:
    rules = [{"when": {"backbone.name": "*giant*"}, "gpu": 4}]
    allotment = Allotment(sweep(resources={"gpu": 1}, rules=rules))
    allotment.check([SMALL], NODES)
    with pytest.raises(
        ConfigError, match=rf"rules\[0\]\.gpu: .*{GIANT.id}.*and 1 more: 4 GPU.*4 CPU, 1 GPU.*`rules\[0\]\.gpu`$"
    ):
        allotment.check([SMALL, GIANT, GIANT], NODES)


def test_a_machine_without_end_has_room() -> None:
    assert slots(Resources(cpu=2, gpu=1), [Node(float("inf"), float("inf"))]) > 1000


def test_a_rule_that_fits_no_run_is_said(caplog: pytest.LogCaptureFixture) -> None:
    rules = [{"when": {"backbone.name": "*gaint*"}, "gpu": 4}, {"when": {"backbone.name": "*giant*"}, "gpu": 4}]
    Allotment(sweep(rules=rules), [SMALL, GIANT])
    assert "rules[0]: fits none of the 2 runs" in caplog.text and "rules[1]" not in caplog.text


def test_workers_may_lie_on_several_nodes_but_need_room_in_all() -> None:
    Allotment(sweep(resources={"gpu": 1, "workers": 3})).check([SMALL], NODES)
    with pytest.raises(
        ConfigError, match=r"4 workers of 1 CPU and 1 GPU asked for, the cluster has room for 3.*`resources.workers`"
    ):
        Allotment(sweep(resources={"gpu": 1, "workers": 4})).check([SMALL], NODES)


def test_auto_needs_a_gpu_somewhere() -> None:
    with pytest.raises(ConfigError, match=r"resources\.gpu: .*`gpu: auto`.*no node has one"):
        Allotment(sweep(resources={"gpu": "auto"})).check([SMALL], [Node(64, 0)])


def test_a_run_gets_threads_as_it_has_cpus_and_no_gpu_it_did_not_ask_for() -> None:
    machine = Machine()
    assert (share_of_machine(machine, Resources(cpu=2.5)).threads, share_of_machine(machine, Resources()).device) == (
        2,
        "cpu",
    )
    assert share_of_machine(machine, Resources(cpu=0.5, gpu=1)).device == "auto"
    assert share_of_machine(machine, Resources(cpu=0.5)).threads == 1
    assert share_of_machine(Machine(threads=3), Resources(cpu=8)).threads == 3


def test_an_unknown_key_of_a_rule_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown key `rules\.0\.cpus`.*cpu.*known here: when, cpu, gpu, workers"):
        sweep(rules=[{"when": {"seed": 0}, "cpus": 2}])
