"""A report is a document: tables and figures of the runs of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rein.config.search import Axis
from rein.config.strict import STRICT


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of variants against columns of domains, of classes (mean over the targets), or of the training loss."""

    __pydantic_config__ = STRICT
    name: str
    kind: Literal["domains", "classes", "convergence"] = "domains"
    caption: str = ""
    #: Columns of the results that name a row; `point` is the sweep's own name of a variant.
    rows: tuple[str, ...] = ("point",)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One picture of the results."""

    __pydantic_config__ = STRICT
    name: str
    kind: Literal["inverted_u", "curves", "predictions"]
    caption: str = ""
    #: Points to draw; empty draws all.
    points: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """A document: a view of the runs of one sweep."""

    __pydantic_config__ = STRICT
    title: str
    sweep: str
    #: Axes in place of the sweep's own: what `rein sweep` was given as `vary=...`.
    vary: dict[str, Axis] | None = None
    text: str = ""
    #: Which checkpoint of a run counts: its `last`, the best on the sources' val split, or (labelled) the best on test.
    selection: Literal["last", "source_val", "oracle"] = "last"
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
