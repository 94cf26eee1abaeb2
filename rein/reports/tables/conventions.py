"""What tables have in common to say: how their signs and columns are to be read, each in the same words everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from rein.reports.tables.numbers import Best

PERCENT = "mIoU is in percent."
SPREAD = "± is the sample standard deviation over n seeds."
FINISHED = "n counts finished runs, of those planned."
AVERAGE = "Avg. is the plain mean over all targets of a table, taken in every run first."
TRAINABLE = (
    "`trainable` counts the parameters that train in the backbone (the vision foundation model); the head's are not "
    "among them."
)
TOLD = "A count in italics is a published one: no run of the row has counted its own."
GAP = "Δ is measured − published; a dash is not measured, not published, or does not compare."
#: How a table says which checkpoint of a run it shows.
SELECTION = {
    "last": "Checkpoint: the `last` of every run.",
    "source_val": "Checkpoint: the one with the best mIoU on the sources' val split (`source_val`).",
    "oracle": (
        "Checkpoint: `oracle`, the one with the best target mIoU. It is chosen on the test labels and so flatters "
        "every row; it is no estimate of what a method gives on an unseen target."
    ),
}
SINGLE = "† marks a published number that was seen in one source alone; the others of its table were in two that agree."


def percent_over(classes: Sequence[str]) -> str:
    """What an mIoU is where the report names the classes that it is over."""
    return f"mIoU is in percent, the mean over these classes alone: {', '.join(classes)}."


def mean_over(targets: int, what: str = "mIoU") -> str:
    """What an mIoU without the name of a domain is over; empty for a single target."""
    return f"{what} is the mean over {targets} targets." if targets > 1 else ""


def marked(best: Best, line: str = "column") -> str:
    """What bold and underlined say of the numbers of a column or a row; empty where nothing is marked."""
    word = {"max": "highest", "min": "lowest", "none": ""}[best]
    return f"Bold is the {word} mean of a {line}, underlined the next; no test is implied." if word else ""


#: Sentences of which one holds for a table: a document of tables that differ leaves each its own.
ALTERNATIVES = (
    frozenset(SELECTION.values()),
    frozenset(marked(best, line) for best in ("max", "min") for line in ("column", "row")),
)
#: Those that a reader may meet at any table.
GENERAL = frozenset({PERCENT, SPREAD, FINISHED, AVERAGE, TRAINABLE, TOLD, GAP, SINGLE}).union(*ALTERNATIVES)
