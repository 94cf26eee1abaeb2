"""A report is a document: tables and figures of the runs of a sweep, or of several reports after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rein.config.search import Axis
from rein.config.strict import STRICT

#: Which checkpoint of a run counts: its `last`, the best on the sources' val split, or (labelled) the best on test.
Selection = Literal["last", "source_val", "oracle"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of variants against columns, with means over seeds in the cells.

    What the columns are and what is measured depends on the `kind`:

    `domains`: mIoU on every target, their mean, the sources' val splits. `classes`: IoU of every class, a run's mean
    over the targets. `pivot`: any `value` over any `columns`. `convergence`: the training loss at the end. `cost`
    and `search`: what a search spent, and its trials. `resources`: hours, memory, storage, parameters. `selection`:
    the rules that choose a checkpoint side by side. `comparisons`: every row against one, with intervals and tests.
    `ranks`: mean ranks over the targets, with the critical difference.
    """

    __pydantic_config__ = STRICT
    #: Of its files, and of its anchor in the document.
    name: str
    #: See above.
    kind: Literal[
        "domains", "classes", "pivot", "convergence", "search", "cost", "resources", "selection", "comparisons", "ranks"
    ] = "domains"
    #: Opens the caption; what the numbers are follows by itself.
    caption: str = ""
    #: Columns of the results that name a row: dotted keys; `point` is a variant's name with its values on the axes,
    #: `name` the sweep's own name of it without them.
    rows: tuple[str, ...] = ("point",)
    #: What the columns of a `pivot` are: a dotted key, `domain` or `class`.
    columns: str = "domain"
    #: The number in a cell of a `pivot`: `miou` (of a domain, or the mean over the targets), `iou`, `source_val` (mIoU,
    #: the mean over the sources' val splits), the final `loss`, or a fact of a run such as `seconds`.
    value: str = "miou"
    #: What follows a mean after ±: the sample standard deviation over seeds, or nothing.
    spread: Literal["sd", "none"] = "sd"
    #: What is marked in a column (of a `pivot` over a key: in a row): its highest value, its lowest, or nothing. None:
    #: what the kind marks.
    best: Literal["max", "min", "none"] | None = None
    #: Keep runs that have these values: dotted key (or `point`, `name`) -> a value, a list of values, or text with `*`.
    filter: dict[str, Any] = field(default_factory=dict)
    #: Targets that are shown, in this order; empty shows all. A family (`cityscapes-c-fog`) is the mean of its members.
    domains: tuple[str, ...] = ()
    #: Of `classes`: those that are shown, in this order.
    classes: tuple[str, ...] = ()
    #: The first rows, by what stands in them (before `rename`); others follow in the sweep's order.
    order: tuple[str, ...] = ()
    #: How keys, values, domains and classes are written, before the names that are shipped (`DINOv2-L`).
    rename: dict[str, str] = field(default_factory=dict)
    #: A table of the published numbers (`Rein T2`) that stand beside the measured ones.
    published: str = ""
    #: The row that `comparisons` hold all others against, by the same text as in `order`; empty takes the first.
    against: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One picture of the results.

    `inverted_u`: target mIoU and training loss over the trainable parameters, with its verdict. `curves`: training
    loss, and target against source mIoU over the checkpoints. `predictions`: images beside what variants made of them.
    `radar`: an axis a target, a line a variant. `scatter`: mIoU over the trainable parameters, published numbers
    hollow. `lines`: mIoU over a numeric key `x`. `heatmap`: IoU of variants against classes. `ranks`: a
    critical-difference diagram. `selection`: how much a rule that looks at the test labels flatters.
    """

    __pydantic_config__ = STRICT
    #: Of its files.
    name: str
    #: See above.
    kind: Literal[
        "inverted_u", "curves", "predictions", "radar", "scatter", "lines", "heatmap", "ranks", "selection"
    ]  # fmt: skip
    #: Opens the caption; how it was drawn follows by itself.
    caption: str = ""
    #: Points to draw; empty draws all.
    points: tuple[str, ...] = ()
    #: As in a table.
    filter: dict[str, Any] = field(default_factory=dict)
    #: As in a table.
    domains: tuple[str, ...] = ()
    #: As in a table.
    rename: dict[str, str] = field(default_factory=dict)
    #: As in a table.
    published: str = ""
    #: The dotted key along the horizontal axis of `lines`.
    x: str = ""
    #: The dotted key whose values have a colour each; empty: the variant itself.
    hue: str = ""
    #: Dotted keys whose values have a panel each.
    panels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A document: a view of the runs of one sweep, or `parts`, the views of several."""

    __pydantic_config__ = STRICT
    title: str
    #: Name or path of the sweep; empty in a document of parts alone.
    sweep: str = ""
    #: Axes in place of the sweep's own: what `rein sweep` was given as `vary=...`. None in a document of parts alone.
    vary: dict[str, Axis] | None = None
    #: Opens the document; blank lines part its paragraphs.
    text: str = ""
    #: In a document of parts any but `last` is that of every part too.
    selection: Selection = "last"
    #: Classes that every mIoU is the mean over, as 16 of 19 where a source labels no more; empty: all that the runs
    #: tell apart. In a document of parts those are of every part too.
    classes: tuple[str, ...] = ()
    #: In the order of the document.
    tables: tuple[Table, ...] = ()
    #: They follow the tables.
    figures: tuple[Figure, ...] = ()
    #: Names or paths of other reports that follow as chapters, each of its own sweep.
    parts: tuple[str, ...] = ()
