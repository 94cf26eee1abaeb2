"""What `rein list` prints: every kind has rows, and each row's name is one that can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from rein.catalogue import entries, shown
from rein.config import Experiment
from rein.config_io import build, check_domain, find
from rein.data.domains import DOMAINS, FAMILIES, expand
from rein.ledger import Run


@pytest.mark.parametrize("kind", ["experiments", "sweeps", "reports"])
def test_shipped_files_are_listed_with_their_first_comment_or_title(kind: str, tmp_path: Path) -> None:
    from rein import config

    rows = entries(kind, tmp_path)
    assert {"experiments": "toy"}.get(kind, "demo") in {row["name"] for row in rows}
    for row in rows:
        text = find(getattr(config, kind[:-1].capitalize()), row["name"]).read_text()
        assert row["about"] and not row["about"].startswith("rein ")
        assert text.startswith(f"# {row['about']}") or f"\ntitle: {row['about']}\n" in text


def test_domains_are_listed_with_folder_and_splits(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in entries("domains", tmp_path)}
    assert rows["cityscapes"]["folders"] == ("cityscapes",) and rows["cityscapes"]["splits"] == ["train", "val"]
    assert rows["cityscapes"]["evaluation_size"] == (1024, 512) and rows["kitti"]["evaluation_size"] is None
    assert all(row["about"] for row in rows.values())
    for name in rows:
        check_domain(name)


def test_the_notes_of_shipped_domains_are_shown_whole(tmp_path: Path) -> None:
    rows = entries("domains", tmp_path)
    assert [row["about"] for row in shown("domains", rows)] == [row["about"] for row in rows]


def test_a_family_of_domains_is_one_row(tmp_path: Path) -> None:
    names = [row["name"] for row in entries("domains", tmp_path)]
    assert [name for name in names if name.startswith("cityscapes-c")] == ["cityscapes-c"]
    members = {member for family in FAMILIES for member in expand(family)}
    assert set(names) == set(DOMAINS) - members | {"cityscapes-c", "toy-c"}


def test_domains_of_ones_own_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rein.data.domains.DOMAINS", before := dict(DOMAINS))
    monkeypatch.setattr("rein.catalogue.DOMAINS", before)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "domains").mkdir()
    (tmp_path / "domains" / "ours.yaml").write_text(
        "train: {images: a/*.jpg, labels: b/*.png}\nids: train_ids\nnote: two towns"
    )
    row = next(row for row in entries("domains", tmp_path) if row["name"] == "ours")
    assert row == {
        "name": "ours", "folders": ("ours",), "splits": ["train"], "evaluation_size": None, "about": "two towns"
    }  # fmt: skip


def test_tunings_are_listed_with_keys_that_can_be_set(tmp_path: Path) -> None:
    rows = {row["method"]: row for row in entries("tunings", tmp_path)}
    assert {"frozen", "full", "rein", "lora"} <= set(rows)
    assert "rank=16" in rows["rein"]["keys"] and "alpha=8.0" in rows["lora"]["keys"]
    for method, row in rows.items():
        assert row["about"].endswith(".")
        assert build(Experiment, {"tuning": {"method": method}}).tuning.method == method


def test_heads_are_listed_with_keys_that_can_be_set(tmp_path: Path) -> None:
    rows = {row["method"]: row for row in entries("heads", tmp_path)}
    assert set(rows) == {"mask2former", "semfpn", "linear"}
    assert "queries=100" in rows["mask2former"]["keys"] and "dropout=0.1" in rows["semfpn"]["keys"]
    for method, row in rows.items():
        assert row["about"].endswith(".")
        assert build(Experiment, {"head": {"method": method}}).head.method == method


def test_backbones_are_listed_with_their_weights(tmp_path: Path) -> None:
    names = {row["name"] for row in entries("backbones", tmp_path)}
    assert {"vit_toy_patch8_96", "vit_large_patch14_dinov2.lvd142m"} <= names


def test_runs_are_listed_with_their_state_and_progress(tmp_path: Path) -> None:
    assert entries("runs", tmp_path / "nowhere") == []
    waiting, running = (Run.create(tmp_path, Experiment(seed=seed)) for seed in (0, 1))
    running.start(step=7, steps=40_000)
    rows = {row["run"]: row for row in entries("runs", tmp_path)}
    assert rows[waiting.id]["state"] == "to do" and rows[waiting.id]["step"] == "0/40000"
    assert rows[running.id]["state"] == "running" and rows[running.id]["step"] == "7/40000"
    assert rows[running.id]["seed"] == 1 and rows[running.id]["tuning"] == "rein"
