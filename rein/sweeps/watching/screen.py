"""Runs drawn for a terminal: the one table that `rein sweep` shows while it works and `rein status` at any time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rein.ledger import FAILED
from rein.sweeps.clock import clock
from rein.sweeps.watching.rows import AT_WORK, Row, counts, ended, seconds_left

COLOURS = {
    "done": "green", "imported": "green", "running": "cyan", "scoring": "cyan", "cut": "yellow",
    "failed": "red", "oom": "red", "diverged": "red",
}  # fmt: skip

#: Columns of a screen from which there is room for bars, whole ids and rates.
WIDE = 110
#: Letters of a machine's name that are shown, and of an id where there is little room: as many as tell runs apart.
HOST, SHORT = 14, 8
BAR = 8


def table(rows: Iterable[Row], width: int) -> Table:
    """One line a run, as much of it as a screen of `width` columns has room for; what gives way are the names."""
    rows = list(rows)
    cells = [_cells(row) if width >= WIDE else _few(row) for row in rows]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    columns = _COLUMNS if width >= WIDE else _FEW_COLUMNS
    widths = [max([len(title), *(_width(line[at]) for line in cells)]) for at, (title, _) in enumerate(columns)]
    room = width - sum(widths) + widths[1] - 2 * (len(columns) - 1)
    widths[1] = max(len("variant"), min(widths[1], room))
    for (title, right), needed in zip(columns, widths, strict=True):
        drawn.add_column(title, justify="right" if right else "left", no_wrap=True, width=needed, overflow="ellipsis")
    for line in cells:
        drawn.add_row(*line[:1], shortened(line[1], widths[1]), *line[2:])
    return drawn


def shortened(name: str, room: int) -> str:
    """A name without its middle, where it has no room: its beginning and its seed tell variants apart."""
    if cell_len(name) <= room:
        return name
    end = (room - 1) // 2
    return f"{name[: room - 1 - end]}…{name[len(name) - end :]}"


def headline(name: str, rows: Sequence[Row], trials: int | None = None) -> Text:
    """`demo  13 runs: 5 done, 2 running, 6 to do; ≈ 2:10 left`; of a search `7 of 30 trials: ...`."""
    text = Text(name, style="bold")
    to_come = max(0, (trials or 0) - len(rows))
    many = f"{ended(rows)} of {len(rows) + to_come} trials" if trials else f"{len(rows)} run{'s' * (len(rows) != 1)}"
    text.append(f"  {many}: ", style="not bold")
    for number, (state, count) in enumerate(counts(rows, to_come).items()):
        text.append(", " if number else "", style="not bold")
        text.append(f"{count} {state}", style=f"not bold {COLOURS.get(state, '')}")
    if (left := seconds_left(rows, to_come)) is not None:
        text.append(f"; ≈ {clock(left)} left", style="not bold")
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
        Text(
            f"{row.name} ({row.id}) waits for data {share:.0%} of the time; more --workers or data.cache would help",
            no_wrap=True,
            overflow="ellipsis",
        )
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


_RANKS = (AT_WORK, FAILED, ("cut",))


def _rank(row: Row) -> int:
    return next((rank for rank, states in enumerate(_RANKS) if row.state in states), len(_RANKS))


_COLUMNS = (
    ("run", False), ("variant", False), ("state", False), ("progress", False), ("step", True), ("loss", True),
    ("steps/s", True), ("time", True), ("where", False),
)  # fmt: skip
_FEW_COLUMNS = (
    ("run", False), ("variant", False), ("state", False), ("done", True), ("loss", True), ("time", True),
    ("where", False),
)  # fmt: skip


def _width(cell: Any) -> int:
    return BAR if isinstance(cell, ProgressBar) else cell_len(str(cell))


def _cells(row: Row) -> list[Any]:
    rate = row.rate if row.state == "running" else None
    return [
        row.id,
        row.name,
        _state(row),
        ProgressBar(1.0, row.share, width=BAR) if row.status else "",
        f"{row.step}/{row.steps}" if row.status and row.steps else "",
        _loss(row),
        "" if rate is None else f"{rate:.2f}" if rate < 10 else f"{rate:.0f}",
        _time(row),
        _where(row),
    ]


def _few(row: Row) -> list[Any]:
    share = f"{row.share:.0%}" if row.status and row.steps else ""
    return [row.id[:SHORT], row.name, _state(row), share, _loss(row), _time(row), _where(row)]


def _state(row: Row) -> Text:
    return Text(row.state, style=COLOURS.get(row.state, "dim")).append(skipped(row.status))


def _loss(row: Row) -> str:
    return f"{row.status['loss']:.2f}" if "loss" in row.status else ""


def _time(row: Row) -> str:
    """What is left of a run that is worked on, what one took that is over."""
    if row.state in AT_WORK:
        return "" if row.seconds_left is None else f"≈ {clock(row.seconds_left)} left"
    return "" if row.seconds is None or row.state == "cut" else clock(row.seconds)


def _where(row: Row) -> str:
    """`node3:4711 cuda:0` of a run that is worked on."""
    if row.state not in AT_WORK:
        return ""
    host = str(row.status.get("host", "?")).partition(".")[0][:HOST]
    return f"{host}:{row.status.get('pid', '?')} {row.status.get('device', '')}".strip()
