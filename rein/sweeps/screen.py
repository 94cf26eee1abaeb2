"""Runs drawn for a terminal: the one table that `rein sweep` shows while it works and `rein status` at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rein.sweeps.board import AT_WORK, WRONG, Row, clock, counts, seconds_left

COLOURS = {
    "done": "green", "imported": "green", "running": "cyan", "scoring": "cyan", "cut": "yellow",
    "failed": "red", "oom": "red", "diverged": "red",
}  # fmt: skip

#: Columns of a screen from which there is room for bars, and for the names of machines.
WIDE, WIDEST = 96, 116
#: Letters of a machine's name that are shown.
HOST = 14
BAR = 10


def table(rows: Iterable[Row], width: int) -> Table:
    """One line a run, as much of it as a screen of `width` columns has room for."""
    drawn = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    drawn.add_column("run", no_wrap=True)
    drawn.add_column("variant", no_wrap=True, overflow="ellipsis", ratio=None)
    drawn.add_column("state", no_wrap=True)
    if width >= WIDE:
        drawn.add_column("", no_wrap=True, width=BAR)
    for column in ("step", "loss", "steps/s", "time", "left"):
        drawn.add_column(column, justify="right", no_wrap=True)
    if width >= WIDEST:
        drawn.add_column("where", no_wrap=True, overflow="ellipsis")
    for row in rows:
        drawn.add_row(*_cells(row, width))
    return drawn


def headline(name: str, rows: Sequence[Row]) -> Text:
    """`demo  13 runs: 5 done, 2 running, 6 to do; about 2:10 left`."""
    text = Text(name, style="bold", no_wrap=True, overflow="ellipsis")
    text.append(f"  {len(rows)} run{'s' * (len(rows) != 1)}: ", style="not bold")
    for number, (state, count) in enumerate(counts(rows).items()):
        text.append(", " if number else "", style="not bold")
        text.append(f"{count} {state}", style=f"not bold {COLOURS.get(state, '')}")
    if (left := seconds_left(rows)) is not None:
        text.append(f"; about {clock(left)} left", style="not bold")
    return text


def trouble(row: Row) -> Text:
    """Why a run went wrong, and where the rest of it is to be read."""
    text = Text(f"{row.name} ({row.id}) {row.state}: ", style=COLOURS["failed"], overflow="fold")
    text.append(row.status.get("error") or "it left no word", style="default")
    if (row.folder / "traceback.txt").is_file():
        text.append(f"\n  traceback: {row.folder / 'traceback.txt'}", style="dim")
    return text


def waits(rows: Iterable[Row]) -> list[Text]:
    """A word on each run that mostly waits for its images."""
    waiting = [(row, row.waits_for_data) for row in rows]
    return [
        Text(f"{row.name} ({row.id}) waits for data {share:.0%} of the time; more --workers or data.cache would help")
        for row, share in waiting
        if share
    ]


def chosen(rows: Sequence[Row], room: int | None) -> list[Row]:
    """All rows where there is room, else as many as there is of those that run or went wrong, in the given order."""
    if room is None or len(rows) <= room:
        return list(rows)
    told = sorted((row for row in rows if _rank(row) < len(_RANKS)), key=_rank)[: max(0, room)]
    kept = {id(row) for row in told}
    return [row for row in rows if id(row) in kept]


def skipped(status: Mapping[str, Any]) -> str:
    """`  3 images skipped`; empty for a run that read all of its files."""
    number = sum(status.get("skipped_files", {}).values())
    return f"  {number} image{'s' * (number > 1)} skipped" if number else ""


_RANKS = (AT_WORK, WRONG, ("cut",))


def _rank(row: Row) -> int:
    return next((rank for rank, states in enumerate(_RANKS) if row.state in states), len(_RANKS))


def _cells(row: Row, width: int) -> list[Any]:
    state, status = row.state, row.status
    cells: list[Any] = [row.id, row.name, Text(state, style=COLOURS.get(state, "dim")).append(skipped(status))]
    if width >= WIDE:
        cells.append(ProgressBar(1.0, row.share, width=BAR) if row.status else "")
    rate, left = row.rate if state == "running" else None, row.seconds_left
    cells += [
        f"{row.step}/{row.steps}" if status and row.steps else "",
        f"{status['loss']:.2f}" if "loss" in status else "",
        "" if rate is None else f"{rate:.2f}" if rate < 10 else f"{rate:.0f}",
        "" if row.seconds is None or state == "cut" else clock(row.seconds),
        "" if left is None else clock(left),
    ]
    return [*cells, _where(row)] if width >= WIDEST else cells


def _where(row: Row) -> str:
    """`node3:4711 cuda:0` of a run that is worked on."""
    if row.state not in AT_WORK:
        return ""
    host = str(row.status.get("host", "?")).partition(".")[0][:HOST]
    return f"{host}:{row.status.get('pid', '?')} {row.status.get('device', '')}".strip()
