"""Who may import whom, proved in fresh processes and from the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from yaml.constructor import SafeConstructor

import rein
from rein import config_io

PACKAGE = Path(rein.__file__).parent
HEAVY = {"torch", "torchvision", "timm", "ray", "mlflow", "torchmetrics"}
#: Modules that describe and read runs, but execute none.
LIGHT = [
    "rein", "rein.config", "rein.config_io", "rein.ledger", "rein.results", "rein.packing", "rein.scaffold",
    "rein.catalogue", "rein.data.classes", "rein.data.domains", "rein.sweeps.plan", "rein.sweeps.watching.watch",
    "rein.sweeps.drive", "rein.cli",
    *sorted(f"rein.reports.{path.stem}" for path in (PACKAGE / "reports").glob("[!_]*.py")),
]  # fmt: skip


def modules_after(code: str) -> tuple[str, str]:
    """Stdout and stderr of a fresh interpreter that runs some code."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_what_describes_runs_imports_nothing_that_executes_them() -> None:
    out, _ = modules_after(
        "import importlib, sys\n"
        f"for name in {LIGHT!r}:\n"
        "    importlib.import_module(name)\n"
        f"    found = sorted({HEAVY!r} & set(sys.modules))\n"
        "    assert not found, f'{name} imports {found}'\n"
        "print('light')"
    )
    assert out.strip() == "light"


def test_help_imports_nothing_heavy() -> None:
    slow = sorted(HEAVY | {"pandas", "numpy", "matplotlib", "seaborn", "scipy", "yaml"})
    _, err = modules_after(
        "import sys\n"
        "sys.argv = ['rein', '--help']\n"
        "from rein.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"print(*(m for m in {slow!r} if m in sys.modules), file=sys.stderr)"
    )
    assert err.strip() == ""


def imports(path: Path) -> set[str]:
    """The top packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize(
    ("package", "home"),
    [("timm", "models/vfm.py"), ("ray", "sweeps/on_ray"), ("mlflow", "tracking")],
)
def test_one_place_knows_each_foreign_framework(package: str, home: str) -> None:
    knows = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if package in imports(path)]
    assert knows and all(path.is_relative_to(home) for path in knows)


def calls(path: Path) -> list[tuple[str, dict[str | None, str]]]:
    """Every call in a file by its dotted name, and its arguments as they are written, by name or place."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return [
        (
            ast.unparse(node.func),
            {
                **{str(place): ast.unparse(value) for place, value in enumerate(node.args)},
                **{key.arg: ast.unparse(key.value) for key in node.keywords},
            },
        )
        for node in nodes
    ]


def test_no_pickle_is_ever_loaded() -> None:
    assert issubclass(config_io.LOADER, SafeConstructor)
    for path in PACKAGE.rglob("*.py"):
        for name, words in calls(path):
            assert name.split(".")[0] not in ("pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"), path
            if name == "torch.load":
                assert words.get("weights_only") == "True", path
            if name.endswith(("np.load", "read_array")):
                assert words.get("allow_pickle", "False") == "False", path
            if name == "yaml.load":
                assert (words.get("Loader") or words.get("1")) == "LOADER", path
            assert name not in ("yaml.unsafe_load", "yaml.full_load", "pd.read_pickle"), path


def test_models_know_no_ledger_tracker_or_sweep() -> None:
    forbidden = ("rein.ledger", "rein.tracking", "rein.sweeps", "rein.results", "rein.training", "rein.cli")
    for path in (PACKAGE / "models").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [name for name in forbidden if name in text], path.name


def test_no_file_is_named_for_nothing() -> None:
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "base", "misc"}


def test_the_public_names_are_these() -> None:
    assert set(rein.__all__) == {
        "Experiment", "Machine", "Report", "Sweep", "build_model", "evaluate", "load", "load_model", "results",
        "train",
    }  # fmt: skip
    for name in rein.__all__:
        assert getattr(rein, name).__name__.removeprefix("rein.") == name
    with pytest.raises(AttributeError, match="nonsense"):
        rein.nonsense  # noqa: B018


def test_results_are_there_where_nothing_but_the_package_is_imported() -> None:
    assert "function load" in modules_after("import rein; print(rein.results.load)")[0]


def test_import_linters_contracts_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    if not command.is_file():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([command], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout
