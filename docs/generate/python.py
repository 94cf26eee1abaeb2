"""The page of the Python API: what `from rein import ...` gives, with its signature and docstring."""

from __future__ import annotations

import inspect
from typing import Any

import rein
from docs.generate.fields import comments, markdown
from rein import results
from rein.image_counts import ImageCounts

EXAMPLE = """\
```python
from rein import Experiment, load, load_model, results, train

experiment = load(Experiment, "toy", ["tuning.rank=8", "steps=50"])
run = train(experiment)  # as `rein train toy tuning.rank=8 steps=50`, but that MLflow hears nothing of it
model, experiment = load_model(run)  # or "3f2a", the beginning of a run id
frame = results.load("runs", ids=[run.id])
```"""


def python() -> str:
    """Every public name of `rein` and of `rein.results`."""
    return "\n\n".join(
        [
            "# Python",
            "What a script or notebook imports. `import rein` and `rein.results` import no torch.",
            EXAMPLE,
            *_functions(rein.load, rein.train, rein.load_model, rein.build_model, rein.evaluate),
            *_class("rein.Machine", rein.Machine),
            "## rein.Experiment, rein.Sweep, rein.Report",
            "Frozen dataclasses of the keys on the pages [Experiment](experiment.md), [Sweep](sweep.md) and "
            "[Report](report.md).",
            "## rein.results",
            inspect.getdoc(results) or "",
            *_functions(results.load, results.select, results.images, before="results."),
            *_class("rein.image_counts.ImageCounts", ImageCounts),
            *_signed(ImageCounts.miou),
        ]
    )


def _functions(*functions: Any, before: str = "") -> list[str]:
    return [part for one in functions for part in (f"## rein.{before}{one.__name__}", *_signed(one))]


def _class(name: str, kind: type) -> list[str]:
    rows = ((f"`{field}`", what) for field, what in comments(kind).items())
    return [f"## {name}", inspect.getdoc(kind) or "", markdown(("field", "what"), rows)]


def _signed(function: Any) -> list[str]:
    """The `def` as it stands in the source, and the docstring."""
    lines = inspect.getsource(function).splitlines()
    last = next(number for number, line in enumerate(lines) if line.endswith(":"))
    head = inspect.cleandoc("\n".join(["", *lines[: last + 1]]))
    return [f"```python\n{head}\n```", inspect.getdoc(function) or ""]
