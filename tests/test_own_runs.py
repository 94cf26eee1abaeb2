"""Runs with a domain of one's own: readable anywhere, and never mixed with another definition."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from rein import catalogue, results
from rein.config import ConfigError, Experiment, Machine, Report, to_dict
from rein.config_io import check_domain
from rein.data.domains import DOMAINS, SHIPPED, find
from rein.ledger import Run
from rein.reports.study import gather
from rein.sweeps.bill.estimate import Estimate
from rein.sweeps.bill.where_it_runs import Place
from rein.sweeps.drive import drive, drive_one
from rein.trained.exporting import export_run
from rein.trained.inference import evaluate_run, load_model, predict_images
from rein.training import train

Tiny = Callable[..., Experiment]

TRAIN = "root: toy/game\ntrain: {images: images/train/*.png, labels: labels/train/*.png}\n"
VAL = "val: {images: images/val/*.png, labels: labels/val/*.png}\n"
MINE = TRAIN + VAL + "ids: train_ids\n"
CHANGED = MINE + "evaluation_size: [96, 48]\n"


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with a `domains` folder; `elsewhere` is another, and what is registered is forgotten."""
    (tmp_path / "study" / "domains").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.delenv("REIN_DOMAINS", raising=False)
    yield tmp_path / "study"
    DOMAINS.clear()
    DOMAINS.update(SHIPPED)


def describe(text: str, name: str = "mine") -> None:
    Path(f"domains/{name}.yaml").write_text(text)


@pytest.fixture
def mine(tiny: Tiny) -> Tiny:
    """The tiny experiment on a domain `mine`, which `MINE` describes until a test writes other words."""
    describe(MINE)
    return lambda changes=None: tiny({"data.sources": ["mine"], "steps": 1, **(changes or {})})


def go_elsewhere(monkeypatch: pytest.MonkeyPatch, study: Path) -> None:
    monkeypatch.chdir(study.parent / "elsewhere")
    with pytest.raises(ConfigError, match="unknown domain 'mine'"):
        check_domain("mine")


def test_a_run_is_read_from_anywhere(
    mine: Tiny, machine: Machine, study: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = train(mine(), machine)
    here = evaluate_run(run.id, [], machine)
    Image.new("RGB", (96, 96)).save(study.parent / "street.png")
    go_elsewhere(monkeypatch, study)
    load_model(run, machine)
    assert find("mine").class_names, "what a loaded network is scored on from Python"
    assert [row["run"] for row in catalogue.entries("runs", machine.runs)] == [run.id]
    assert set(results.load(machine.runs)["domain"]) == {"mine", "toy-day"}
    assert evaluate_run(run.id, [], machine) == here
    assert evaluate_run(run.id, ["mine"], machine) == [row for row in here if row["domain"] == "mine"]
    assert len(evaluate_run(run.id, ["toy-night"], machine)) == 1
    assert len(list(predict_images(run.id, [study.parent / "street.png"], Path("out"), machine))) == 2
    merged = Path("net.safetensors")
    export_run(run.id, "merged", merged, machine)
    DOMAINS.pop("mine", None)
    assert len(evaluate_run(str(merged), ["toy-day"], machine)) == 1
    assert train(run.experiment(), machine).path == run.path
    assert not caplog.records


def test_a_changed_definition_neither_skips_nor_resumes_a_run(mine: Tiny, machine: Machine) -> None:
    run = train(mine(), machine)
    describe("# in other words\nnote: mine\n" + MINE.replace("images/", "./images/"))
    assert train(mine(), machine).path == run.path
    describe(CHANGED)
    words = rf"{run.path}: .*definition of mine than .*domains/mine\.yaml; give .* another name, or remove"
    with pytest.raises(ConfigError, match=words):
        train(mine(), machine)
    with pytest.raises(ConfigError, match=words):
        drive_one(mine(), machine, "mine", track=False)
    with pytest.raises(ConfigError, match=words):
        evaluate_run(run.id, ["mine"], machine)
    assert len(evaluate_run(run.id, ["toy-night"], machine)) == 1
    run.update(state="preempted")
    with pytest.raises(ConfigError, match=words):
        train(mine(), machine)


def test_a_sweep_refuses_a_changed_definition_in_plan_and_work(mine: Tiny, machine: Machine) -> None:
    Path("base.yaml").write_text(yaml.safe_dump(to_dict(mine())))
    Path("sweep.yaml").write_text("experiment: base.yaml\nvary: {seed: [0, 1]}\n")
    drive("sweep.yaml", ["vary={seed: [0]}"], machine, "local", track=False)
    describe(CHANGED)
    for start in (
        lambda: Estimate("sweep.yaml", [], Place.find(machine)),
        lambda: drive("sweep.yaml", [], machine, "local"),
    ):
        with pytest.raises(ConfigError, match="another definition of mine"):
            start()


def test_a_report_never_averages_over_two_definitions(
    mine: Tiny, machine: Machine, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("base.yaml").write_text(yaml.safe_dump(to_dict(mine())))
    Path("sweep.yaml").write_text(f"experiment: {study}/base.yaml\nvary: {{seed: [0, 1, 2]}}\n")
    report = Report(title="", sweep=f"{study}/sweep.yaml")
    for seed in (0, 1):
        Run.create(machine.runs, mine({"seed": seed})).append({"step": 1, "loss": 1.0, "time": 0.0})
    go_elsewhere(monkeypatch, study)
    assert gather(report, machine.runs).sources == ["mine"]
    monkeypatch.chdir(study)
    describe(CHANGED)
    Run.create(machine.runs, mine({"seed": 2})).append({"step": 1, "loss": 1.0, "time": 0.0})
    with pytest.raises(ConfigError, match="two definitions of mine"):
        gather(report, machine.runs)


def test_a_corrected_file_counts_before_there_are_results(mine: Tiny, machine: Machine) -> None:
    describe(MINE.replace("train_ids", "{0: road, 254: car}"))
    with pytest.raises(Exception, match="table"):
        train(mine(), machine)
    describe(MINE)
    run = train(mine(), machine)
    assert run.state == "done" and yaml.safe_load((run.domains / "mine.yaml").read_text()) == yaml.safe_load(MINE)


def test_lists_of_names_are_kept_and_compared(mine: Tiny, machine: Machine) -> None:
    Path("lists").mkdir()
    Path("lists/few.txt").write_text("000001\n000003\n")
    describe(MINE.replace("train/*.png}", "train/*.png, names: ../lists/few.txt}"))
    run = train(mine(), machine)
    assert {file.name for file in run.domains.iterdir()} == {"mine.yaml", "mine.train.txt"}
    Path("lists/few.txt").write_bytes("000001\r\n000003\r\n".encode("utf-16"))
    train(mine(), machine)
    Path("lists/few.txt").write_text("000001\n")
    with pytest.raises(ConfigError, match="another definition of mine"):
        train(mine(), machine)


def test_a_shipped_domain_that_a_file_replaces_is_kept(
    tiny: Tiny, machine: Machine, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(tiny({"steps": 1}), machine)
    assert not plain.domains.exists()
    describe(MINE.replace("toy/game", "toy/night"), "toy-day")
    with pytest.raises(ConfigError, match="another definition of toy-day"):
        train(tiny({"steps": 1}), machine)
    other = train(tiny({"steps": 1, "seed": 1}), machine)
    here = evaluate_run(other.id, ["toy-day"], machine)
    monkeypatch.chdir(study.parent / "elsewhere")
    assert evaluate_run(other.id, ["toy-day"], machine) == here != evaluate_run(plain.id, ["toy-day"], machine)
    with pytest.raises(ConfigError, match="another definition of toy-day than the shipped one"):
        drive_one(tiny({"steps": 1, "seed": 1}), machine, "other", track=False)
    assert find("toy-day") == SHIPPED["toy-day"]


def test_a_run_without_results_is_not_started_by_a_file_that_is_gone(tiny: Tiny, machine: Machine) -> None:
    describe(MINE, "toy-day")
    Run.create(machine.runs, tiny())
    Path("domains/toy-day.yaml").unlink()
    with pytest.raises(ConfigError, match="another definition of toy-day than the shipped one"):
        drive_one(tiny(), machine, "tiny", track=False)


def test_what_was_held_out_is_scored_by_itself(mine: Tiny, machine: Machine) -> None:
    describe(TRAIN + "ids: train_ids")
    run = train(mine({"data.holdout": "2/7", "data.targets": []}), machine)
    assert [row["role"] for row in evaluate_run(run.id, ["mine"], machine)] == ["source"]
    assert evaluate_run(run.id, ["mine"], machine) == evaluate_run(run.id, [], machine)


def test_a_run_is_not_scored_on_what_it_cannot_tell_apart(mine: Tiny, machine: Machine) -> None:
    run = train(mine(), machine)
    describe(VAL + "ids: {0: road, 1: lane}", "lanes")
    with pytest.raises(ConfigError, match="lanes labels 'lane', which is none of the 19 classes"):
        evaluate_run(run.id, ["lanes"], machine)
    describe(VAL + "ids: {0: void}", "nothing")
    with pytest.raises(ConfigError, match="nothing labels none of the 19 classes"):
        evaluate_run(run.id, ["nothing"], machine)


def test_a_domain_without_labelled_pixels_has_no_score(mine: Tiny, machine: Machine, tmp_path: Path) -> None:
    """Its file names a class that no image shows."""
    describe(TRAIN + VAL + f"ids: {{{', '.join(f'{id}: void' for id in range(19))}, 255: void, 300: car}}", "empty")
    run = train(mine({"data.targets": ["toy-day", "empty"]}), machine)

    def no_constant(text: str) -> None:
        raise AssertionError(text)

    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    last = [json.loads(line, parse_constant=no_constant) for line in lines][-1]
    assert "empty/miou" not in last and last["targets/miou"] == last["toy-day/miou"]
    assert [row["miou"] for row in evaluate_run(run.id, ["empty"], machine)] == [None]
