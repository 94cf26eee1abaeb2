"""What MLflow says of a run, a sweep and the experiment that they are in: Markdown, made from the ledger alone."""

from __future__ import annotations

import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from rein.config import Experiment, Sweep
from rein.ledger import FAILED, Run
from rein.reports.names import written
from rein.sweeps.clock import clock

#: What an axis is in a run's name.
_AXIS = re.compile(r"[\w.]+=")

#: MLflow takes 8,000 characters; so many rows of a table are enough.
ROWS = 24

EXPERIMENT = """\
Runs of [rein](https://arxiv.org/abs/2312.04265), copied from the runs folder, which has all of it and more; `rein sync`
makes this view anew.

A sweep is a parent run; below it hangs a run for every variant and seed. *Views*, above on the right, has a view of
every sweep: its runs grouped by the tag `point`, so that lines and bars are means over seeds.

| metric | is |
| :-- | :-- |
| `targets/miou` | mean mIoU of the domains that no training has seen |
| `source_val` | mean mIoU on the val splits of the sources |
| `DOMAIN/miou`, `DOMAIN/iou/CLASS` | mIoU of a domain, IoU of a class in it; all in 0..1 |
| `loss`, `lr` | mean training loss since the last record, learning rate |
| `parameters.backbone_trainable` | what a tuning trains in the backbone |
"""


def titled(name: str) -> str:
    """A run's name as a list that cuts it off can show it: short values of the axes, then the point, then the seed.

    `Rein, backbone.name=eva02_large_patch14_224.mim_m38m, tuning.rank=64, seed 0` -> `EVA02-L, rank 64, Rein, seed 0`.
    """
    parts = re.split(r", (?=[\w.]+=|seed \d+$)", name)
    axes = [_axis(part) for part in parts if _AXIS.match(part)]
    seed = [part for part in parts[1:] if part.startswith("seed ")]
    point = [part for part in parts if not _AXIS.match(part) and part not in seed]
    return ", ".join([*axes, *point, *seed])


def _axis(part: str) -> str:
    """`EVA02-L`, and a number with what it is a number of."""
    key, _, text = part.partition("=")
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return written(text, {})
    return written(value, {}) if isinstance(value, list | tuple) else f"{written(key, {})} {text}"


def point_of(name: str) -> str:
    """A run's name without its seed: what seeds have in common."""
    return name.rpartition(", seed ")[0] or name


def tags(run: Run, experiment: Experiment, name: str) -> dict[str, str]:
    """What runs are grouped and found by, beside their settings, and the description."""
    data, commit = experiment.data, run.commit()
    return {
        **({"mlflow.source.git.commit": commit} if commit else {}),
        "point": point_of(titled(name)),
        "seed": str(experiment.seed),
        "sources": ", ".join(data.sources),
        "targets": ", ".join(data.targets),
        "mlflow.note.content": of_run(run, experiment),
    }


def of_run(run: Run, experiment: Experiment) -> str:
    """What a run is, what came out, how it is gone on with and where it lies."""
    status, data = run.status(), experiment.data
    backbone = experiment.backbone
    weights = "" if backbone.weights == "pretrained" else f" (weights: {_plain(backbone.weights)})"
    lines = [
        _state(status, _final(run.score_rows())),
        f"`{experiment.tuning.method}` on `{backbone.name}`{weights} with a `{experiment.head.method}` head, "
        f"{experiment.steps:,} steps, seed {experiment.seed}. Trained on {_listed(data.sources)}, tested on "
        f"{_listed(data.targets)}.",
        _scores(_final(run.score_rows())),
        _parameters(status),
        _error(run, status),
        f"Again: `{command(run)}`  \nFolder: `{run.path}`",
    ]
    return "\n\n".join(line for line in lines if line)


def command(run: Run) -> str:
    """The command that takes the run up again, or makes it anew where its folder was moved away."""
    return shlex.join(["rein", "train", str(run.path / "experiment.yaml"), "--runs", str(run.path.parent)])


def _state(status: Mapping[str, Any], rows: list[dict[str, str]]) -> str:
    state = status.get("state", "running")
    took = f" in {clock(status['seconds'])}" if status.get("seconds") else ""
    step = "" if state in ("done", "imported", "running") else f" at step {status.get('step', 0):,}"
    mean = _mean(rows)
    return f"**{state}**{step}{took}" + (f": {100 * mean:.1f} % mIoU, the mean of the targets" if mean else "")


def _final(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The mIoU by domain at the last step that was scored."""
    last = max((int(row["step"]) for row in rows), default=0)
    return [row for row in rows if row["metric"] == "miou" and int(row["step"]) == last and row["value"] != "nan"]


def _mean(rows: list[dict[str, str]]) -> float | None:
    targets = [float(row["value"]) for row in rows if row["role"] == "target"]
    return fmean(targets) if targets else None


def _scores(rows: list[dict[str, str]]) -> str:
    if not rows:
        return ""
    lines = [f"| {row['domain']} ({_role(row)}) | {100 * float(row['value']):.1f} |" for row in rows[:ROWS]]
    if len(rows) > ROWS:
        lines.append(f"| and {len(rows) - ROWS} more | |")
    return "\n".join([f"| domain | mIoU in %, step {int(rows[0]['step']):,} |", "| :-- | --: |", *lines])


def _role(row: Mapping[str, str]) -> str:
    return "target" if row["role"] == "target" else "source, val split"


def _parameters(status: Mapping[str, Any]) -> str:
    whole, trained = status.get("parameters.backbone"), status.get("parameters.backbone_trainable")
    if not whole or trained is None:
        return ""
    share = f"{100 * trained / whole:.2f} % of its {whole:,}"
    return (
        f"Trains {trained:,} parameters in the backbone ({share}) and {status.get('parameters.head', 0):,} in the head."
    )


def _error(run: Run, status: Mapping[str, Any]) -> str:
    if status.get("state") not in FAILED or not status.get("error"):
        return ""
    return f"    {status['error']}\n\nTraceback: `{run.path / 'traceback.txt'}`"


# ---------------------------------------------------------------- sweeps


def question(header: str, sweep: Sweep, command: str) -> str:
    """What a sweep asks: the comment at the head of its file, its points and axes; and the command that goes on."""
    asked = " ".join(line.removeprefix("#").strip() for line in _comment(header) if not _is_command(line))
    many = {
        key: values for key, values in sweep.vary.items() if not isinstance(values, list | tuple) or len(values) > 1
    }
    axes = [f"* `{key}`: {_values(values)}" for key, values in many.items()]
    points = [f"* points: {', '.join(f'`{point}`' for point in list(sweep.points)[:ROWS])}"] if sweep.points else []
    fixed = [f"`{key}` = {_values(values)}" for key, values in sweep.vary.items() if key not in many]
    base = f"Base experiment: `{sweep.experiment}`" + (f" with {', '.join(fixed)}" if fixed else "") + "."
    base += " What varies:" if points or axes else ""
    search = [f"* a search: {_plain(sweep.search.sampler)}, {sweep.search.trials} trials"] if sweep.search else []
    run = f"`{command}` runs what is left."
    return "\n\n".join(part for part in (_plain(asked), base, "\n".join([*points, *axes, *search]), run) if part)


def of_sweep(asked: str, states: Iterable[str | None], views: Mapping[str, str]) -> str:
    """What a sweep asks, how far it is, and where its answer is; `views`: the addresses of its saved views."""
    counted = Counter(state or "to do" for state in states)
    progress = ", ".join(f"{number} {state}" for state, number in counted.most_common())
    done = f"**{counted['done']} of {counted.total()} runs done** ({progress})."
    links = " · ".join(f"[{_plain(title)}]({address})" for title, address in views.items())
    beside = f"Beside each other: {links}" if views else ""
    how = "What `rein report NAME` writes of it is attached here: *Artifacts*, `report/NAME/report.html`."
    # The UI shows five lines or so before it asks whether one wants more.
    return "\n\n".join(part for part in (done, beside, asked, how) if part)


#: Colours that the colour-blind tell apart (Okabe and Ito's, on white and on black).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#B8A900")
SHADES = (0.0, 0.45, -0.4, 0.7, -0.65)


def colours(names: Iterable[str]) -> dict[str, str]:
    """The point of some runs -> its colour in charts, which its seeds share; none where there are too many points.

    Behind the eight hues come light and dark shades of them.
    """
    found = list(dict.fromkeys(map(point_of, names)))
    shades = [_shade(colour, share) for share in SHADES for colour in COLOURS]
    return dict(zip(found, shades, strict=False)) if len(found) <= len(shades) else {}


def _shade(colour: str, share: float) -> str:
    """Mixed with that share of white, or below 0 of black."""
    end = 255 if share > 0 else 0
    channels = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(one + abs(share) * (end - one)):02X}" for one in channels)


def _comment(header: str) -> list[str]:
    lines = header.splitlines()
    end = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


def _is_command(line: str) -> bool:
    return line.removeprefix("#").strip().startswith("rein ")


def _values(values: Any) -> str:
    return ", ".join(map(_plain, values)) if isinstance(values, list | tuple) else _plain(values)


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - ROWS} more" if len(known) > ROWS else ""
    return ", ".join(map(_plain, known[:ROWS])) + more


def _plain(value: Any) -> str:
    """Text that Markdown leaves as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(str(value).split()))
