"""Every command that README and docs show can be given: its options are known, its files ship, its keys are valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from rein.cli import app
from rein.config import Experiment, Report, Sweep
from rein.config_io import check_domain, load
from rein.data import domains
from rein.reports.write import write
from rein.scaffold import create
from rein.sweeps.plan import expand
from rein.sweeps.search.members import is_adaptive
from rein.trained.importing import experiment_and_changes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(
    page.read_text() for page in PAGES if page.name != "own-tuning.md"
)  # which is about code to be written


def commands() -> list[list[str]]:
    """The words of every `rein ...` in console blocks and in running text."""
    lines = re.findall(r"^\$ (rein .*)$", TEXT, re.MULTILINE) + re.findall(r"`(rein [^`]+)`", TEXT)
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [words for part in parts if (words := shlex.split(part, comments=True)) and words[0] == "rein"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder is one that `rein init` has filled: pages name its files."""
    create(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(domains, "DOMAINS", dict(domains.DOMAINS))


def test_there_are_commands() -> None:
    assert {"train", "sweep", "report", "check", "list", "evaluate", "predict", "import", "export", "init"} <= {
        c[1] for c in commands()
    }


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_readme_can_be_given(words: list[str]) -> None:
    command, rest = get_command(app), words
    while known := getattr(command, "commands", None):  # of a group click itself checks the first word only
        rest = rest[1:]
        command = known[rest[0]]
    given = command.make_context(rest[0], rest[1:]).params
    overrides = given.get("overrides") or []
    match words[1]:
        case "train":
            load(Experiment, given["experiment"], overrides)
        case "import":
            load(Experiment, *experiment_and_changes(given["words"] or ()))
        case "sweep" if given["name"] != "sync":
            sweep = load(Sweep, given["name"], overrides)
            assert is_adaptive(sweep) or expand(sweep)
        case "pack":
            assert [load(Sweep, name) for name in given["sweeps"]]
        case "report":
            load(Report, given["name"], overrides)


def test_the_five_lines_of_an_own_data_set_are_a_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"```yaml\n(# domains/mine\.yaml.*?)```", TEXT, re.DOTALL)
    assert block and len(block[1].splitlines()) <= 5
    (tmp_path / "domains").mkdir()
    (tmp_path / "domains/mine.yaml").write_text(block[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(domains, "DOMAINS", dict(domains.DOMAINS))
    check_domain("mine", "train")
    assert set(domains.find("mine").splits) == {"train", "val"}


def test_the_report_of_the_docs_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"```yaml\n(# reports/rank\.yaml.*?)```", TEXT, re.DOTALL)
    assert block
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/rank.yaml").write_text(block[1])
    monkeypatch.chdir(tmp_path)
    write(load(Report, "rank"), tmp_path / "runs", tmp_path / "out")
    main = (tmp_path / "out/tables/main.md").read_text()
    assert main.index("DINOv2-L") < main.index("EVA02-L") and "| r |" in main and "Published: " in main
