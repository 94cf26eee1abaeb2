"""Results as files and as runs again: reports say the same, nothing is overwritten, what was changed is refused."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rein import results
from rein.config import ConfigError, Experiment, Figure, Sweep, Table, run_id
from rein.config.search import Search
from rein.config_io import dump, load
from rein.image_counts import ImageCounts
from rein.image_counts import pack as pack_images
from rein.ledger import Run, write_atomic
from rein.packing import pack, to_runs, unpack
from rein.packing.images import pack_runs, read_runs
from rein.reports.study import gather
from rein.reports.write import write
from tests.reports.made_up_sweep import POINTS, TARGETS, World

FILES = ("environments.json", "images.npz", "results.csv", "runs.jsonl")
TWO = {name: POINTS[name] for name in ("frozen", "lora")}


def finished(folder: Path, points: dict[str, Any] = TWO, seeds: tuple[int, ...] = (0, 1, 2)) -> World:
    """A sweep whose runs are done, each with all that its report could want."""
    world = World(folder, points, seeds, TARGETS)
    draw = np.random.default_rng(0)
    labelled = draw.integers(20_000, 60_000, (12, 1, 19))  # of all runs, for they are scored on the same images
    for number, item in enumerate(world.planned):
        run = world.finish(item, step=200, peak_memory_mib=900 + number, data_wait=0.0123, micro_batch=None,
                           skipped_files={"toy-day": 1} if number == 1 else {}, notes=[f"{folder}/a.png: skipped"],
                           scored={name: {"images": 12, "digest": "ab"} for name in TARGETS})  # fmt: skip
        facts = {"git": {"commit": "abc"}, "python": "3.12", "platform": "Linux-of-mine", "device": f"cpu {number % 2}"}
        write_atomic(run.path / "environment.json", json.dumps(facts))
        hits = draw.integers(0, labelled)
        counts = np.concatenate([hits, labelled, hits + draw.integers(1, 9_000, hits.shape)], 1)
        write_atomic(run.path / "images.npz", pack_images({name: _images(counts) for name in (*TARGETS, "toy-game")}))
    return world


def _images(counts: np.ndarray) -> ImageCounts:
    return ImageCounts(tuple(f"street {number}" for number in range(len(counts))), counts)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sweep_of(world: World) -> Sweep:
    return load(Sweep, world.sweep)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """To be read and not changed."""
    return finished(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def packed(world: World) -> Path:
    pack([sweep_of(world)], world.runs, world.folder / "packed")
    return world.folder / "packed"


# ---------------------------------------------------------------- there and back


def test_a_report_of_unpacked_runs_is_the_report_of_the_runs(world: World, packed: Path, tmp_path: Path) -> None:
    said = unpack(packed, tmp_path / "runs")
    assert said == {"runs": 6, "unpacked": 6, "already there": 0, "in": str(tmp_path / "runs")}
    tables = [Table(name=kind, kind=kind) for kind in ("domains", "classes", "convergence", "resources", "selection")]
    tables.append(Table(name="over images", kind="comparisons", against="frozen"))
    figures = tuple(Figure(name=kind, kind=kind) for kind in ("inverted_u", "curves"))
    report = world.report(tables=tuple(tables), figures=figures)
    write(report, world.runs, tmp_path / "of runs")
    write(report, tmp_path / "runs", tmp_path / "of files")
    first, second = content(tmp_path / "of runs"), content(tmp_path / "of files")
    documents = {name for name in first if name.startswith("report.")}
    changing = documents | {name for name in first if name.endswith(".pdf")}  # a PDF has the time that it was made at
    assert len(first.keys() - changing) >= 3 * len(tables) + 2 * len(figures) + 2
    assert {name for name in first if first[name] != second[name]} <= changing and first.keys() == second.keys()
    texts = [files["report.md"].decode().splitlines() for files in (first, second)]
    assert "over images" in first["tables/over-images.md"].decode().splitlines()[0], "there is such an interval"
    (row,) = [line for line in texts[1] if line not in texts[0]]
    assert row == "- unpacked: 6 runs were not made in this ledger: `rein unpack` took their results"
    assert [line for line in texts[0] if line not in texts[1]] == []


def test_packing_again_and_packing_what_was_unpacked_give_the_same_bytes(
    world: World, packed: Path, tmp_path: Path
) -> None:
    pack([sweep_of(world)], world.runs, tmp_path / "again")
    unpack(packed, tmp_path / "runs")
    pack([sweep_of(world)], tmp_path / "runs", tmp_path / "round")
    assert content(packed) == content(tmp_path / "again") == content(tmp_path / "round")
    assert sorted(content(packed)) == sorted(FILES)
    with ZipFile(packed / "images.npz") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}, "no time of day"


def test_the_files_are_in_the_order_of_ids_and_name_no_place_host_or_process(world: World, packed: Path) -> None:
    frame = pd.read_csv(packed / "results.csv")
    assert list(frame) == ["run_id", "step", "domain", "role", "class", "metric", "value"]
    ids = sorted(item.id for item in world.planned)
    assert list(frame["run_id"].unique()) == ids
    lines = [json.loads(line) for line in (packed / "runs.jsonl").read_text().splitlines()]
    assert [line["run_id"] for line in lines] == ids
    assert len(json.loads((packed / "environments.json").read_text())) == 2, "of six runs two kinds"
    text = "".join((packed / name).read_text() for name in FILES if name != "images.npz")
    for word in (str(world.folder), "Linux-of-mine", '"pid"', '"host"', '"notes"', '"platform"'):
        assert word not in text


def test_a_weight_files_folder_is_left_at_home(tmp_path: Path) -> None:
    world = World(
        tmp_path, {"frozen": ({"tuning.method": "frozen", "backbone.weights": "/my/w.pth"}, 0, 0.4)}, (0,), TARGETS
    )
    world.finish(world.planned[0])
    pack([sweep_of(world)], world.runs, tmp_path / "packed")
    assert "/my" not in (tmp_path / "packed" / "runs.jsonl").read_text()
    unpack(tmp_path / "packed", tmp_path / "again")
    assert Run(tmp_path / "again" / world.planned[0].id).experiment().backbone.weights == "w.pth"


Numbers = st.floats(0, 1) | st.sampled_from([math.nan, 0.1 + 0.2, 5e-324, 1.0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    scores=st.dictionaries(st.integers(1, 9), st.tuples(Numbers, Numbers), min_size=1),
    losses=st.lists(st.tuples(st.integers(1, 9), st.floats(allow_nan=False, allow_infinity=False))),
    name=st.sampled_from(["car", 'a "car", or two', "straße"]),
)
def test_every_number_comes_back_to_the_last_bit(
    tmp_path: Path, scores: dict[int, tuple[float, float]], losses: list[tuple[int, float]], name: str
) -> None:
    place = tmp_path / "one"
    shutil.rmtree(place, ignore_errors=True)
    write_sweep(place)
    run = Run.create(place / "runs", Experiment())
    run.start(step=0, steps=9)
    for step, loss in sorted(losses, key=lambda one: one[0]):
        run.append({"step": step, "loss": loss, "lr": 0.1, "time": 1.0})
    for step, (miou, iou) in scores.items():
        row = {"step": step, "domain": "kitti", "role": "target"}
        run.scores([{**row, "class": "all", "metric": "miou", "value": miou},
                    {**row, "class": name, "metric": "iou", "value": iou}])  # fmt: skip
    run.finish("done")
    pack([load(Sweep, place / "sweep.yaml")], place / "runs", place / "packed")
    unpack(place / "packed", place / "again")
    for kind in (False, True):
        before, after = (results.load(place / root, losses=kind) for root in ("runs", "again"))
        pd.testing.assert_frame_equal(before, after, check_exact=True)
    again = Run(place / "again" / run.id)
    assert again.score_rows() == run.score_rows() and again.experiment() == run.experiment()
    last = {record["step"]: record for record in again.metrics()[0] if "loss" not in record}
    for step, (miou, _) in scores.items():
        expected = {} if math.isnan(miou) else {"kitti/miou": miou, "targets/miou": miou}
        assert last[step] == {"step": step, **expected}


def write_sweep(folder: Path, **changes: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "base.yaml").write_text(dump(Experiment()))
    sweep = {"experiment": str(folder / "base.yaml"), "vary": {"seed": [0]}, **changes}
    (folder / "sweep.yaml").write_text(json.dumps(sweep))


# ---------------------------------------------------------------- what is over


def test_runs_that_are_not_over_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, world: World
) -> None:
    shutil.copytree(world.folder, tmp_path, dirs_exist_ok=True)
    runs = tmp_path / "runs"
    Run(runs / world.planned[0].id).update(state="failed")
    Run(runs / world.planned[1].id).update(state="pruned")
    shutil.rmtree(runs / world.planned[5].id)
    assert pack([sweep_of(world)], runs, tmp_path / "packed")["runs"] == 3
    (said,) = caplog.messages
    assert said == (
        "3 of 6 runs are not over, and so not packed: frozen, seed 0 (failed); frozen, seed 1 (pruned); "
        "lora, seed 2 (not started)"
    )
    assert unpack(tmp_path / "packed", tmp_path / "again")["runs"] == 3


def test_what_a_search_is_through_with_is_packed_and_keeps_its_state(world: World, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(world.runs, runs)
    ids = [item.id for item in world.planned if item.experiment.seed == 0]
    Run(runs / ids[0]).finish("pruned", seconds=30.0)
    Run(runs / ids[1]).finish("diverged", FloatingPointError("step 7: a loss is not finite"))
    search = replace(sweep_of(world), vary={"seed": [0]}, search=Search(sampler="grid"))
    assert pack([sweep_of(world), search], runs, tmp_path / "packed")["left out"] == 0
    unpack(tmp_path / "packed", tmp_path / "again")
    first, second = (Run(tmp_path / "again" / id).status() for id in ids)
    assert first["state"] == "pruned" and first["pruned_at"] == {"step": 200, "seconds": 30.0}
    assert second["state"] == "diverged" and second["error"] == "step 7: a loss is not finite"


def test_a_sweep_without_a_run_that_is_over_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run of this sweep is over .*`rein sweep`"):
        pack([sweep_of(world)], tmp_path / "runs", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


# ---------------------------------------------------------------- a ledger that has something


def test_runs_that_are_there_are_left_alone(
    world: World, packed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done, cut = (item.id for item in world.planned[:2])
    shutil.copytree(world.runs / done, tmp_path / done)
    Run.create(tmp_path, world.planned[1].experiment).start()
    before = content(tmp_path)
    assert unpack(packed, tmp_path) == {"runs": 6, "unpacked": 4, "already there": 2, "in": str(tmp_path)}
    (said,) = caplog.messages
    assert cut in said and done not in said and "remove the folder" in said
    assert before.items() <= content(tmp_path).items()
    assert not Run(tmp_path / done).is_unpacked and Run(tmp_path / world.planned[2].id).is_unpacked
    after = content(tmp_path)
    assert unpack(packed, tmp_path)["unpacked"] == 0 and content(tmp_path) == after


def test_a_run_is_there_whole_or_not_at_all(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def full(path: Path, data: bytes) -> None:
        if len(written) == 8:  # in the middle of the second run
            raise OSError(28, "No space left on device")
        written.append(path.name)
        write_atomic(path, data)

    monkeypatch.setattr(to_runs, "write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(packed, tmp_path)
    (only,) = tmp_path.iterdir()
    assert Run(only).state == "done" and len(written) > len([*only.iterdir()])
    monkeypatch.undo()
    assert unpack(packed, tmp_path)["already there"] == 1


def test_a_run_that_is_started_anew_forgets_what_was_unpacked(packed: Path, world: World, tmp_path: Path) -> None:
    unpack(packed, tmp_path)
    run = Run(tmp_path / world.planned[0].id)
    run.start(step=0, steps=200)
    assert not run.is_unpacked and run.metrics()[0] == [] and run.score_rows() == [] and results.images(run.path) == {}


# ---------------------------------------------------------------- what is refused

Damage = Callable[[Path, str], object]


def edit(name: str, change: Callable[[list[str]], list[str]]) -> Damage:
    """Change the lines of a file."""

    def damage(folder: Path, id: str) -> None:
        path = folder / name
        path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))

    return damage


def rewritten(**changes: Any) -> Damage:
    """Change the first run's line."""
    return edit("runs.jsonl", lambda lines: [json.dumps({**json.loads(lines[0]), **changes}), *lines[1:]])


def status(**changes: Any) -> Damage:
    """Change the first run's status."""

    def changed(lines: list[str]) -> list[str]:
        line = json.loads(lines[0])
        return [json.dumps({**line, "status": {**line["status"], **changes}}), *lines[1:]]

    return edit("runs.jsonl", changed)


def images(change: Callable[[dict[str, ImageCounts]], object]) -> Damage:
    """Change the first run's images."""

    def damage(folder: Path, id: str) -> None:
        runs = read_runs(folder / "images.npz")
        change(runs[id])
        (folder / "images.npz").write_bytes(pack_runs(runs))

    return damage


def one_pixel_more(domains: dict[str, ImageCounts]) -> None:
    domains["toy-day"].counts[0, 0, 0] += 1


def another_name(domains: dict[str, ImageCounts]) -> None:
    domains["toy-day"] = replace(domains["toy-day"], names=("lane 0", *domains["toy-day"].names[1:]))


def flipped(folder: Path, id: str) -> None:
    content = bytearray((folder / "images.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (folder / "images.npz").write_bytes(content)


def encoded(encoding: str) -> Damage:
    """As a spreadsheet may save it."""

    def damage(folder: Path, id: str) -> None:
        text = (folder / "results.csv").read_text() + "straße"
        (folder / "results.csv").write_bytes(text.encode(encoding))

    return damage


def rounded(lines: list[str]) -> list[str]:
    rows = list(csv.reader(io.StringIO("\n".join(lines))))
    return [",".join(row) if number != 1 else ",".join([*row[:-1], "0.5"]) for number, row in enumerate(rows)]


CHANGED = "runs.jsonl, line 1: run {id} is not as it was packed"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (edit("runs.jsonl", lambda lines: [lines[0].replace('"seed":', '"seed":1'), *lines[1:]]), "has the experiment"),
        (edit("runs.jsonl", lambda lines: [lines[0].replace('"seed"', '"sed"'), *lines[1:]]), "run {id}: unknown key"),
        (edit("runs.jsonl", lambda lines: lines[1:]), "results.csv: run {id} is in runs.jsonl 0 times"),
        (edit("runs.jsonl", lambda lines: [lines[0], *lines]), "run {id} is in runs.jsonl 2 times"),
        (edit("runs.jsonl", lambda lines: ["<<<<<<< HEAD", *lines]), "cannot be read"),
        (rewritten(run_id="../../x", domains=["../../x"]), "run ../../x has the experiment of {id}"),
        *((rewritten(domains=["a.yaml", name]), f"run {{id}} has a domain's file {name!r}")
          for name in ("../../../../a.yaml", "/a.yaml", "b/a.yaml", "..", ".a.yaml")),
        (rewritten(domains=[""]), "cannot be read"),
        (rewritten(status="x"), "runs.jsonl, line 1: not as `rein pack` writes it"),
        (edit("runs.jsonl", lambda lines: ["[]", *lines]), "runs.jsonl, line 1: not as `rein pack` writes it"),
        (rewritten(environment="0" * 16), "runs.jsonl, line 1: not as `rein pack` writes it"),
        (rewritten(domains=["mine.yaml"]), "mine.yaml: no such file"),
        (status(state="running"), CHANGED),
        (status(seconds=1.0), CHANGED),
        (status(**{"parameters.backbone_trainable": 1}), CHANGED),
        (edit("environments.json", lambda lines: [line.replace("3.12", "3.13") for line in lines]), CHANGED),
        (images(one_pixel_more), CHANGED),
        (images(another_name), CHANGED),
        (images(lambda domains: domains.pop("toy-day")), CHANGED),
        (images(lambda domains: domains.clear()), CHANGED),
        (edit("results.csv", lambda lines: [lines[0].replace("class", "klass"), *lines[1:]]), "klass"),
        (edit("results.csv", lambda lines: [lines[0], *lines[2:]]), CHANGED),
        (edit("results.csv", rounded), CHANGED),
        (edit("results.csv", lambda lines: [lines[0], "\0" + lines[1], *lines[2:]]), CHANGED),
        (edit("results.csv", lambda lines: [*lines, "a" * 200_000]), "results.csv: cannot be read"),
        (encoded("latin-1"), "results.csv: cannot be read"),
        (encoded("utf-16"), "results.csv: cannot be read"),
        (edit("results.csv", lambda lines: [*lines, "a,b"]), "2 values; 7 are due"),
        (edit("results.csv", lambda lines: [*lines, "stranger" + lines[1][12:]]), "run stranger is in runs.jsonl 0"),
        (lambda folder, id: (folder / "results.csv").unlink(), "results.csv: no such file; `rein pack`"),
        (lambda folder, id: (folder / "images.npz").write_bytes(b"PK"), "images.npz: cannot be read"),
        (flipped, "images.npz: cannot be read"),
    ],
)  # fmt: skip
def test_files_that_are_not_as_they_were_packed_are_refused(
    packed: Path, tmp_path: Path, damage: Damage, words: str
) -> None:
    folder, runs = tmp_path / "packed", tmp_path / "runs"
    shutil.copytree(packed, folder)
    id = json.loads((folder / "runs.jsonl").read_text().splitlines()[0])["run_id"]
    (folder / "domains").mkdir()
    (folder / "domains" / "a.yaml").write_text("root: a\n")
    damage(folder, id)
    with pytest.raises(ConfigError) as refused:
        unpack(folder, runs)
    assert words.replace("{id}", id) in str(refused.value)
    assert not runs.exists(), "nothing was written"


def test_line_ends_of_another_system_and_another_zip_are_no_damage(packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "packed")
    with np.load(packed / "images.npz") as arrays:
        wider = {name: arrays[name].astype(np.uint64 if name.endswith("/counts") else "U99") for name in arrays.files}
    np.savez(tmp_path / "packed" / "images.npz", **wider)
    for name in ("results.csv", "runs.jsonl"):
        path = tmp_path / "packed" / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    unpack(tmp_path / "packed", tmp_path / "runs")
    unpack(packed, tmp_path / "other")
    assert content(tmp_path / "runs") == content(tmp_path / "other")


def test_a_run_that_is_not_what_its_name_says_is_not_packed(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.runs, tmp_path / "runs")
    id = world.planned[0].id
    (tmp_path / "runs" / id / "experiment.yaml").write_text(dump(Experiment()))
    with pytest.raises(ConfigError, match=f"run {id} has the experiment of {run_id(Experiment())}"):
        pack([sweep_of(world)], tmp_path / "runs", tmp_path / "packed")


# ---------------------------------------------------------------- domains of one's own


def test_definitions_of_domains_go_with_their_runs(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.runs, tmp_path / "runs")
    mine, other = (Run(tmp_path / "runs" / item.id) for item in world.planned[:2])
    for name in ("mine.yaml", "mine.val.txt"):
        mine.domains.mkdir(exist_ok=True)
        (mine.domains / name).write_text(f"of {name}\n")
    pack([sweep_of(world)], tmp_path / "runs", tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "again")
    again = Run(tmp_path / "again" / mine.id)
    assert content(again.domains) == content(mine.domains) and len(content(mine.domains)) == 2
    assert not Run(tmp_path / "again" / other.id).domains.exists()
    (tmp_path / "packed" / "domains" / "mine.yaml").write_bytes(b"of mine.yaml\r\n")
    assert unpack(tmp_path / "packed", tmp_path / "again")["runs"] == 6, "another system's line ends"
    (tmp_path / "packed" / "domains" / "mine.yaml").write_text("of another\n")
    with pytest.raises(ConfigError, match=f"run {mine.id} is not as it was packed"):
        unpack(tmp_path / "packed", tmp_path / "again")
    other.domains.mkdir()
    (other.domains / "mine.yaml").write_text("another")
    with pytest.raises(ConfigError, match=r"two definitions of a domain \(mine\.yaml\)"):
        pack([sweep_of(world)], tmp_path / "runs", tmp_path / "packed")


def test_packing_again_removes_definitions_that_no_run_has_any_more(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.runs, tmp_path / "runs")
    first = Run(tmp_path / "runs" / world.planned[0].id)
    first.domains.mkdir()
    (first.domains / "mine.yaml").write_text("root: mine\n")
    pack([sweep_of(world)], tmp_path / "runs", tmp_path / "packed")
    assert (tmp_path / "packed" / "domains" / "mine.yaml").exists()
    shutil.rmtree(first.domains)
    pack([sweep_of(world)], tmp_path / "runs", tmp_path / "packed")
    assert sorted(content(tmp_path / "packed")) == sorted(FILES)


def test_the_definitions_of_a_study_are_not_taken_for_packed_ones(
    world: World, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "study"
    (study / "domains").mkdir(parents=True)
    (study / "domains" / "mine.yaml").write_text("root: mine\n")
    before = content(study)
    with pytest.raises(ConfigError, match="give them a folder"):
        pack([sweep_of(world)], world.runs, study)
    assert content(study) == before
    monkeypatch.chdir(packed)
    with pytest.raises(ConfigError, match="give them a folder"):
        pack([sweep_of(world)], world.runs, Path())


def test_a_study_of_unpacked_runs_knows_them(world: World, packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path)
    study = gather(world.report(), tmp_path)
    assert set(study.runs["state"]) == {"done"} and len(study.done) == 6
    assert study.statuses[world.planned[1].id]["skipped_files"] == {"toy-day": 1}
