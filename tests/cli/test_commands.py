"""The command line: results on stdout, one clear line on stderr, and an exit status that a script can trust."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from rein import cli
from rein.config import Experiment, Machine, run_id
from rein.data.domains import DOMAINS
from rein.ledger import Run
from rein.training import checkpoint

Tiny = Callable[..., Experiment]


class Said(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Rein = Callable[..., Said]


@pytest.fixture
def rein(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], machine: Machine, tmp_path: Path
) -> Iterator[Rein]:
    """`rein` as a function, with the toy data and an empty runs folder from the environment."""
    monkeypatch.setenv("REIN_DATA", str(machine.data))
    monkeypatch.setenv("REIN_RUNS", str(machine.runs))
    monkeypatch.setenv("REIN_DEVICE", "cpu")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    root, package = logging.getLogger(), logging.getLogger("rein")
    handlers, levels = list(root.handlers), (root.level, package.level)

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["rein", *map(str, words)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        assert isinstance(code, int)
        return Said(code, out, err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])


def assert_one_line(said: Said, code: int, *words: str) -> None:
    """The command ended with a status and a line that holds the words, and without a traceback."""
    assert said.code == code, said.err
    assert "Traceback" not in said.err and said.out == ""
    (line,) = (line for line in said.err.splitlines() if line.startswith("rein: "))
    assert [word for word in words if word not in line] == [], line


# ---------------------------------------------------------------- words that are wrong


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("tuning.rnk=3", ["tiny.yaml", "`tuning.rnk`", "did you mean `rank`"]),
        ("tuning.rank=big", ["`tuning.rank`", "'big'"]),
        ("tuning.rank", ["'tuning.rank'", "dotted.key=value"]),
        ("data.targets=[atlantis]", ["`data.targets`", "'atlantis'"]),
        ("data.targets=[toy-knight]", ["did you mean `toy-night`"]),
        ("tuning.method=lara", ["`tuning.method`", "'lara'", "did you mean `lora`"]),
    ],
)
def test_a_wrong_override_is_one_line_and_status_2(
    rein: Rein, tiny_file: Path, machine: Machine, change: str, words: list[str]
) -> None:
    assert_one_line(rein("train", tiny_file, change), 2, *words)
    assert not machine.runs.exists(), "nothing was started"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "backbone.name=vit_large_patch14_dinov22",
            ["backbone.name", "vit_large_patch14_dinov22", "did you mean `vit_"],
        ),
        ("backbone.name=vgg11", ["backbone.name", "vgg11", "no plain ViT"]),
        ("backbone.weights=gone.safetensors", ["backbone.weights", "gone.safetensors", "--weights"]),
    ],
)
def test_a_backbone_that_cannot_be_built_is_one_line_and_status_2(
    rein: Rein, tiny_file: Path, change: str, words: list[str]
) -> None:
    assert_one_line(rein("train", tiny_file, change, "--no-track"), 2, *words)


@pytest.mark.parametrize("command", ["train", "sweep", "report"])
def test_an_unknown_name_is_one_line_and_status_2(rein: Rein, command: str) -> None:
    near = {"train": "toyy", "sweep": "demoo", "report": "demoo"}[command]
    assert_one_line(rein(command, near), 2, near, f"did you mean `{near[:-1]}`")
    assert_one_line(rein(command, "gone.yaml"), 2, "gone.yaml: no such file")


def test_an_unknown_run_is_one_line_and_status_2(rein: Rein) -> None:
    assert_one_line(rein("evaluate", "abc"), 2, "abc", "no run of that id")


@pytest.mark.parametrize("words", [["trian"], ["train"], ["train", "toy", "--nonsense"], ["list", "nonsense"]])
def test_a_wrong_command_or_option_is_status_2(rein: Rein, words: list[str]) -> None:
    said = rein(*words)
    assert said.code == 2 and said.err and "Traceback" not in said.err


# ---------------------------------------------------------------- files that are wrong


def test_missing_data_is_one_line_and_status_1(rein: Rein, tiny_file: Path) -> None:
    said = rein("train", tiny_file, "data.targets=[kitti]", "--no-track")
    assert_one_line(said, 1, "kitti (val)", "is not there", "--data")


def test_a_corrupt_image_is_one_line_and_status_1(
    rein: Rein, tiny_file: Path, machine: Machine, tmp_path: Path
) -> None:
    shutil.copytree(machine.data, tmp_path / "data")
    for path in (tmp_path / "data/toy/game/images/train").iterdir():
        path.write_bytes(b"no image")
    said = rein("train", tiny_file, "--data", tmp_path / "data", "--no-track")
    assert_one_line(said, 1, "toy/game/images/train/", "not a readable image")


def test_a_truncated_checkpoint_is_one_line_and_status_2(
    rein: Rein, finished: tuple[Run, Machine], machine: Machine
) -> None:
    run, _ = finished
    shutil.copytree(run.path, machine.runs / run.id)
    path = checkpoint.newest(machine.runs / run.id / "checkpoint")
    path.write_bytes(path.read_bytes()[:99])
    assert_one_line(rein("evaluate", run.id), 2, "step_0000003/model.safetensors", "not a readable checkpoint")


def test_verbose_logs_the_traceback(rein: Rein, tiny_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ("train", tiny_file, "data.targets=[kitti]", "--no-track")
    assert rein(*words).code == 1 and "Traceback" not in caplog.text
    assert rein("-v", *words).code == 1 and "Traceback" in caplog.text


# ---------------------------------------------------------------- what works


def test_train_prints_the_run_and_its_scores_and_the_same_command_returns_them(
    rein: Rein, tiny_file: Path, tiny: Tiny, machine: Machine
) -> None:
    said = rein("train", tiny_file, "--no-track", "--json")
    assert said.code == 0
    result = json.loads(said.out)
    assert result["run"] == run_id(tiny()) and result["state"] == "done"
    assert 0 <= float(result["toy-day/miou"]) <= 100
    again = rein("train", tiny_file, "--no-track", "--json")
    assert json.loads(again.out) == result
    assert Run(machine.runs / result["run"]).status()["attempt"] == 1
    assert result["run"] in rein("train", tiny_file, "--no-track").out, "people get the same in columns"


def test_a_run_keeps_what_it_decodes_in_the_folder_that_is_named(
    rein: Rein, tiny_file: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", tiny_file, "--no-track", "data.cache=48")
    assert rein(*words, "--cache", tmp_path / "given").code == 0
    kept = {path.name for path in (tmp_path / "given").rglob("*.npy")}
    assert len(kept) == 2 * 6, "an image and a label for each of three steps of two crops"
    (cold,) = machine.runs.iterdir()
    first = [json.loads(line)["loss"] for line in (cold / "metrics.jsonl").read_text().splitlines() if "loss" in line]
    shutil.rmtree(cold)
    monkeypatch.setenv("REIN_CACHE", str(tmp_path / "given"))
    assert rein(*words).code == 0
    (warm,) = machine.runs.iterdir()
    second = [json.loads(line)["loss"] for line in (warm / "metrics.jsonl").read_text().splitlines() if "loss" in line]
    assert cold == warm, "the folder is no part of the run's name"
    assert first == second and {path.name for path in (tmp_path / "given").rglob("*.npy")} == kept


def test_an_interrupted_run_is_status_130_and_goes_on(
    rein: Rein, tiny_file: Path, tiny: Tiny, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rein.training import one_run

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(one_run, "make_steps", interrupt)
        said = rein("train", tiny_file, "--no-track")
    assert said.code == 130 and "goes on" in said.err and "Traceback" not in said.err
    assert Run(machine.runs / run_id(tiny())).state == "preempted"
    assert rein("train", tiny_file, "--no-track").code == 0


def test_an_interrupted_check_speaks_of_no_run(rein: Rein, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rein.check.data.check_data", interrupt)
    said = rein("check", "toy-day")
    assert said.code == 130 and said.err.splitlines()[-1] == "interrupted"


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["stop", "train"], "rein.sweeps.watching.stopping.stop"),
        (["sweep", "sync"], "rein.sweeps.watching.syncing.sync"),
        (["-q", "sweep", "demo", "--dry-run"], "rein.sweeps.bill.estimate.bill_of"),
    ],
)
def test_no_run_is_promised_to_who_interrupts_what_works_on_none(
    rein: Rein, monkeypatch: pytest.MonkeyPatch, words: list[str], place: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupt)
    said = rein(*words)
    assert said.code == 130 and said.err.splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("option", ["--compile", "--no-track", "--track", "--keep-going", "--device=cpu"])
def test_sync_refuses_an_option_by_the_name_it_was_given_by(rein: Rein, option: str) -> None:
    assert_one_line(rein("sweep", "sync", option), 2, f"sync: {option.partition('=')[0]} is no option")


def test_a_ui_of_nothing_or_on_a_port_that_is_taken_is_one_line_and_status_2(
    rein: Rein, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_line(rein("ui", "--port", port), 2, f":{port}", "--port")
    assert_one_line(rein("ui", "--port", port), 2, str(machine.runs), "no run")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert rein("ui") == (0, "http://tracker:5000\n", "")


def test_a_report_survives_a_tracker_that_is_away(
    rein: Rein, tiny_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "seeds.yaml").write_text(f"experiment: {tiny_file}\nvary: {{seed: [0]}}\n")
    (tmp_path / "mine.yaml").write_text(f"title: T\nsweep: {tmp_path / 'seeds.yaml'}\ntables: [{{name: main}}]\n")
    asked: list[tuple[list[str], str]] = []

    def away(runs: Path, sweeps: list[str], name: str, root: Path, paths: list[Path]) -> None:
        asked.append((sweeps, name))
        assert all(path.is_file() and path.is_relative_to(root) for path in paths)
        raise OSError("no answer")

    monkeypatch.setattr("rein.sweeps.watching.attaching.attach", away)
    said = rein("report", tmp_path / "mine.yaml", "--out", tmp_path / "out")
    assert said.code == 0 and "report.html" in said.out and "not attached to its sweep: no answer" in caplog.text
    assert rein("report", tmp_path / "mine.yaml", "--out", tmp_path / "out", "--no-track").code == 0
    assert asked == [(["seeds"], "mine")]


def test_a_report_prints_its_documents_and_says_what_is_not_done(
    rein: Rein, tiny_file: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "seeds.yaml").write_text(f"experiment: {tiny_file}\nvary: {{seed: [0]}}\n")
    parts = "tables: [{name: main}]\nfigures: [{name: how, kind: curves}]"
    (tmp_path / "mine.yaml").write_text(f"title: T\nsweep: {tmp_path / 'seeds.yaml'}\n{parts}\n")
    words, out = ("report", tmp_path / "mine.yaml", "--no-track", "--no-pdf", "--out"), tmp_path / "out"
    with caplog.at_level("INFO", "rein"):
        said = rein(*words, out).out.splitlines()
    assert said == [*(str(out / f"report.{end}") for end in ("md", "tex", "html")), f"1 table in {out}"]
    assert "partial: 0 of 1 runs done" in caplog.text and "figure how: Not drawn:" in caplog.text
    every = {Path(path).name for path in json.loads(rein(*words, out, "--json").out)}
    assert {"report.html", "runs.csv", "main.csv"} <= every
    assert_one_line(rein(*words, "/proc/x"), 2, "--out /proc/x", "can be written to")


def test_evaluate_and_predict_read_a_finished_run(rein: Rein, finished: tuple[Run, Machine], tmp_path: Path) -> None:
    run, machine = finished
    said = rein("evaluate", run.id, "--runs", machine.runs, "--domains", "toy-night", "--json")
    assert said.code == 0
    assert [row["domain"] for row in json.loads(said.out)] == ["toy-night"]
    for words in (("--domains", "toy-night", "toy-day"), ("toy-night", "toy-day")):
        said = rein("evaluate", run.id, *words, "--runs", machine.runs, "--json")
        assert [row["domain"] for row in json.loads(said.out)] == ["toy-night", "toy-day"]
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "x.png")
    said = rein("predict", run.id, tmp_path / "x.png", "--runs", machine.runs, "--out", tmp_path / "out")
    assert said.code == 0
    assert [Path(line).name for line in said.out.splitlines()] == ["x_mask.png", "x_overlay.png"]
    assert all(Path(line).is_file() for line in said.out.splitlines())


def test_a_run_goes_out_and_comes_in_again(
    rein: Rein, finished: tuple[Run, Machine], tiny_file: Path, machine: Machine, tmp_path: Path
) -> None:
    run, _ = finished
    said = rein("export", run.path, "--format", "openmmlab", "--out", tmp_path / "o.pth", "--json")
    assert said.code == 0 and json.loads(said.out)["difference"] == 0
    said = rein("import", tmp_path / "o.pth", tiny_file, "--json")
    assert said.code == 0
    name = json.loads(said.out)["run"]
    scores = [rein("evaluate", r, "toy-night", "--json").out for r in (run.path, name, machine.runs / name)]
    assert scores[0] == scores[1] == scores[2]
    assert "imported" in rein("list", "runs").out
    assert_one_line(rein("import", tmp_path / "o.pth", tiny_file, "tuning.method=frozen"), 2, "holds a Rein")
    assert_one_line(rein("import", tmp_path / "o.pth"), 2, "does not fit", "of another shape")
    assert_one_line(rein("export", name, "--format", "torch", "--out", "x.pth"), 2, "x.pth", ".pt2")


def test_a_dry_run_prints_the_plan_and_starts_nothing(rein: Rein, tiny_file: Path, machine: Machine) -> None:
    sweep = {"experiment": str(tiny_file), "points": {"a": {}}, "vary": {"seed": [0, 1]}}
    Path("s.yaml").write_text(yaml.safe_dump(sweep))
    said = rein("sweep", "s.yaml", "vary.seed=[0, 1, 2]", "--dry-run", "--json")
    assert said.code == 0, said
    bill = json.loads(said.out)
    assert said.code == 0 and [(row["variant"], row["seed"]) for row in bill["runs"]] == [("a", 0), ("a", 1), ("a", 2)]
    assert {row["state"] for row in bill["runs"]} == {"to do"} and bill["totals"]["to_do"] == bill["totals"][
        "left"
    ] == 3
    assert [path.name for path in machine.runs.iterdir()] == ["probes.json"], "figures are kept, no run is made"
    assert rein("sweep", "s.yaml", "--dry-run").out.startswith("s: 2 runs: 2 to do")


def test_a_dry_run_of_what_cannot_be_run_is_status_2(rein: Rein, tiny_file: Path) -> None:
    sweep = {"experiment": str(tiny_file), "vary": {"backbone.weights": ["nowhere.pth"]}}
    Path("s.yaml").write_text(yaml.safe_dump(sweep))
    said = rein("sweep", "s.yaml", "--dry-run")
    assert said.code == 2 and "problem" in said.out and "nowhere.pth" in said.out


def test_a_dry_run_refuses_what_the_run_would(rein: Rein) -> None:
    said = rein("sweep", "demo", "--dry-run", "--executor", "local", "--address", "auto")
    assert_one_line(said, 2, "drop --executor local")


def test_a_dry_run_of_a_shipped_sweep_counts_its_networks(rein: Rein) -> None:
    said = rein("sweep", "demo", "--dry-run", "--executor", "local")
    assert said.code == 0, said
    assert said.out.startswith("demo: ") and "FLOPs/step" in said.out and "problem" not in said.out


def test_check_is_status_0_for_sound_data_and_1_for_a_problem(rein: Rein, machine: Machine, tmp_path: Path) -> None:
    said = rein("check", "toy-night", "--json")
    assert said.code == 0 and [row["problems"] for row in json.loads(said.out)["splits"]] == [[]]
    assert json.loads(said.out)["totals"] == {"domains": 1, "images": 2, "problems": 0, "remarks": 0}
    assert rein("check", "toy-night").out.splitlines()[-1] == "1 domain, 2 images: no problem"
    shutil.copytree(machine.data, tmp_path / "data")
    (tmp_path / "data/toy/night/images/val/000000.png").write_bytes(b"no image")
    said = rein("check", "toy-night", "--data", tmp_path / "data")
    assert said.code == 1 and "000000.png: not a readable" in said.out
    assert said.out.splitlines()[-1] == "1 domain, 2 images: 1 problem"


@pytest.mark.parametrize("words", [("--data", "nope"), ("--data", "empty"), ()])
def test_a_data_folder_without_data_is_a_problem(
    rein: Rein, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("REIN_DATA")
    (tmp_path / "empty").mkdir()
    said = rein("check", *words)
    assert said.code == 1 and said.out.splitlines()[-1] == "0 domains, 0 images: 1 problem"
    assert words == ("--data", "empty") or "does not exist" in " ".join(said.out.split())


def test_check_draws_a_sheet_and_names_it(rein: Rein, tmp_path: Path) -> None:
    said = rein("check", "toy-day", "toy-fog", "--files", "1", "--sheet", tmp_path / "sheets")
    drawn = [tmp_path / "sheets/toy-day.png", tmp_path / "sheets/toy-fog.png"]
    assert said.code == 0 and said.out.splitlines()[-2:] == list(map(str, drawn))
    assert all(path.is_file() for path in drawn)


def test_a_sheet_that_is_no_png_is_refused_before_anything_is_read(rein: Rein) -> None:
    assert_one_line(rein("check", "toy-day", "--sheet", "bad.jpg"), 2, "bad.jpg", "PNG")


@pytest.mark.parametrize(
    "kind", ["experiments", "sweeps", "reports", "runs", "domains", "tunings", "heads", "backbones"]
)
def test_list_prints_every_kind(rein: Rein, kind: str) -> None:
    said = rein("list", kind, "--json")
    assert said.code == 0 and isinstance(json.loads(said.out), list)
    assert rein("list", kind).code == 0


def test_domains_fit_a_terminal_of_a_hundred_columns(
    rein: Rein, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DOMAINS, "ours", DOMAINS["gta"])  # undone in the end, as its registration
    (tmp_path / "domains").mkdir()
    note = "a note that goes on and on " * 5
    (tmp_path / "domains/ours.yaml").write_text(f"val: {{images: i/*.png}}\nids: train_ids\nnote: {note}\n")
    lines = rein("list", "domains").out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["name", "folder", "splits", "scored", "about"]
    (cityscapes,) = (line for line in lines if line.startswith("cityscapes "))
    assert cityscapes.split()[1:6] == ["cityscapes", "train,", "val", "1024x512", "2,975"]


def test_init_makes_a_study_once(rein: Rein, tmp_path: Path) -> None:
    said = rein("init", tmp_path / "study")
    assert said.code == 0 and len(said.out.splitlines()) == 4
    assert said.err == f"next: cd {tmp_path}/study && rein train mine\n"
    assert_one_line(rein("init", tmp_path / "study"), 2, "is there already")


def test_help_answers_and_names_every_command(rein: Rein) -> None:
    said = rein("--help")
    assert said.code == 0
    for command in (
        "train",
        "evaluate",
        "predict",
        "sweep",
        "report",
        "list",
        "check",
        "init",
        "import",
        "export",
        "ui",
    ):
        assert command in said.out
        assert rein(command, "-h").code == 0


@pytest.mark.parametrize("command", ["sweep", "check"])
def test_help_names_every_form_of_an_address(rein: Rein, command: str) -> None:
    assert "auto, HEAD:6379, ray://HEAD:10001" in " ".join(rein(command, "-h").out.split())


def test_the_installed_command_is_this_one() -> None:
    command = Path(sys.executable).with_name("rein")
    if not command.is_file():
        pytest.skip("the package is not installed as a command")
    done = subprocess.run([command, "list", "experiments"], capture_output=True, text=True)
    assert done.returncode == 0 and "toy" in done.stdout
