"""`rein status`: how all runs of a ledger are doing, by sweep. It reads the ledger alone, so it works from any machine
that sees the disk, whatever executes the runs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rein.config import ConfigError, Sweep
from rein.config_io import load
from rein.disk import free_bytes
from rein.ledger import FAILED, Run, Statuses
from rein.ledger.lease import Holder
from rein.sweeps.folder import Member, SweepFolder, sweep_folders
from rein.sweeps.search.members import known
from rein.sweeps.watching import screen
from rein.sweeps.watching.rows import AT_WORK, Row, counts, described, seconds_left

#: What runs are listed under that no sweep has brought here.
SINGLE = "runs of no sweep"
#: Seconds between two looks.
INTERVAL = 2.0
#: Errors that are written out under a sweep's table on a screen that has to hold everything.
TROUBLES = 3


@dataclass(frozen=True)
class Board:
    """One sweep, or the runs that belong to none."""

    name: str
    rows: Sequence[Row]
    drivers: Sequence[Holder] = ()
    #: Why it was asked to stop.
    stopped: str | None = None
    #: How many runs its search will come to.
    trials: int | None = None

    @property
    def to_come(self) -> int:
        """Runs that its search has not chosen yet."""
        return max(0, (self.trials or 0) - len(self.rows))

    @property
    def latest(self) -> tuple[bool, float]:
        """What sorts by: whether something is worked on, and when anything last began or ended."""
        times = (row.status.get(key) or 0.0 for row in self.rows for key in ("started", "ended"))
        return any(row.state in AT_WORK for row in self.rows), max(times, default=0.0)


class Ledger:
    """A runs folder, looked at again and again."""

    def __init__(self, runs: Path, names: Sequence[str] = ()) -> None:
        self.runs, self.statuses = runs, Statuses(runs)
        self.names = {name: planned_members(runs, name) for name in names}

    def boards(self) -> list[Board]:
        """The sweeps that were named, in that order; else all and the other runs, recently active ones first."""
        if self.names:
            return [self._board(SweepFolder(self.runs, Path(name).stem), rows) for name, rows in self.names.items()]
        boards = [self._board(folder) for folder in sweep_folders(self.runs)]
        known = {row.id for board in boards for row in board.rows}
        single = [self._row(Member(id, "", 0)) for id, _ in self.statuses.all() if id not in known]
        return sorted([*boards, *([Board(SINGLE, single)] if single else [])], key=lambda b: b.latest, reverse=True)

    def _board(self, folder: SweepFolder, planned: Sequence[Member] = ()) -> Board:
        members = folder.members() or planned
        rows = [self._row(member) for member in members]
        return Board(folder.name, rows, folder.drivers(), folder.asked_to_stop(), folder.trials())

    def _row(self, member: Member) -> Row:
        status = self.statuses.of(member.id)
        run = Run(self.runs / member.id)
        held = status.get("state") == "running" and run.holder() is not None
        return Row(run.path, member.name, status, member.steps, held)


def planned_members(runs: Path, name: str) -> list[Member]:
    """The runs of a sweep that was started in this ledger, or else of its file.

    Raises ConfigError where there is neither.
    """
    folder = SweepFolder(runs, Path(name).stem)
    if members := folder.members():
        return members
    try:
        return [Member.of(plan) for plan in known(load(Sweep, name), runs, to_run=False)]
    except ConfigError as error:
        started = ", ".join(folder.name for folder in sweep_folders(runs))
        raise ConfigError(f"{error}; started in {runs}: {started or 'none'}") from None


def summary(ledger: Ledger) -> dict[str, Any]:
    """All of it for a program."""
    return {
        "runs": str(ledger.runs),
        "free_bytes": free_bytes(ledger.runs),
        "sweeps": [
            {
                "name": board.name,
                "counts": counts(board.rows, board.to_come),
                "trials": board.trials,
                "seconds_left": seconds_left(board.rows, board.to_come),
                "drivers": [{"host": driver.host, "pid": driver.pid} for driver in board.drivers],
                "stopped": board.stopped,
                "runs": [_facts(row) for row in board.rows],
            }
            for board in ledger.boards()
        ],
    }


def show(ledger: Ledger, console: Console, watch: bool, every_run: bool = False) -> None:
    """Draw the ledger once, or as one screen again and again until Ctrl-C."""
    if not watch:
        for part in parts(ledger, console.width, every_run):
            console.print(part, soft_wrap=isinstance(part, Text))
        return
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(drawn(ledger, console.width, console.height, every_run), refresh=True)
            time.sleep(INTERVAL)


def parts(ledger: Ledger, width: int, every_run: bool = False) -> list[RenderableType]:
    """All there is to say, one below the other."""
    boards = ledger.boards()
    if not boards:
        return [_nothing(ledger)]
    return [*(part for board in boards for part in (*_full(board, width, every_run), Text())), _foot(ledger)]


def drawn(ledger: Ledger, width: int, height: int, every_run: bool = False) -> RenderableType:
    """The ledger as it fits on one screen of that size."""
    boards = ledger.boards()
    if not boards:
        return _nothing(ledger)
    return Group(*_fitted(boards, width, height - 2, every_run), _foot(ledger))


def _nothing(ledger: Ledger) -> Text:
    return Text(f"no runs in {ledger.runs}; `rein train` and `rein sweep` make some, --runs names another folder")


def _foot(ledger: Ledger) -> Text:
    return Text(f"{ledger.runs}: {_gigabytes(free_bytes(ledger.runs))} free", style="dim")


def _full(board: Board, width: int, every_run: bool) -> list[RenderableType]:
    rows = list(board.rows) if every_run else screen.chosen(board.rows, len(board.rows) - 1)
    wrong = [screen.trouble(_named(row)) for row in board.rows if row.state in FAILED]
    return [*_head(board), *([screen.table(map(_named, rows), width)] if rows else []), *screen.waits(rows), *wrong]


def _fitted(boards: Sequence[Board], width: int, room: int, every_run: bool) -> list[RenderableType]:
    """The boards from the first on, as far as there is room; each at least by its headline, as long as there is any."""
    fitted: list[RenderableType] = []
    for number, board in enumerate(boards):
        others = len(boards) - number - 1
        if room < 2:
            fitted.append(Text(f"and {others + 1} more sweeps", style="dim"))
            break
        head = _head(board)
        wrong = [screen.trouble(_named(row)) for row in board.rows if row.state in FAILED][:TROUBLES]
        headed = sum(_height(line, width) for line in head)
        free = room - headed - min(others, 5) - 2
        notes = [*screen.waits(board.rows)[:TROUBLES], *wrong]
        lines = sum(_height(note, width) for note in notes)
        rows = board.rows if every_run else screen.chosen(board.rows, len(board.rows) - 1)
        wanted = rows if number or len(board.rows) > free - lines else board.rows
        shown = screen.chosen(wanted, max(0, free - lines))
        drawn_rows = [screen.table(map(_named, shown), width)] if shown else []
        part: list[RenderableType] = [*head, *drawn_rows, *notes[: max(0, free)]]
        room -= headed + (len(shown) + 1 if shown else 0) + lines + 1
        fitted += [*part, Text()]
    return fitted


def _head(board: Board) -> list[Text]:
    head = [screen.headline(board.name, board.rows, board.trials)]
    if board.stopped is not None:
        head.append(Text(f"stopped ({board.stopped}); `rein sweep {board.name}` goes on with it", style="yellow"))
    elif board.drivers:
        head.append(Text(f"driven by {', '.join(map(str, board.drivers))}", style="dim"))
    return head


def _height(text: Text, width: int) -> int:
    return sum(-(-max(1, len(line)) // width) for line in text.plain.splitlines())


def _named(row: Row) -> Row:
    """A run that no sweep has named, by what it is."""
    if row.name:
        return row
    try:
        experiment = Run(row.folder).experiment()
    except (ConfigError, OSError):
        return row
    return replace(row, name=described(experiment))


def _facts(row: Row) -> dict[str, Any]:
    status = row.status
    trace = row.folder / "traceback.txt"
    return {
        "run": row.id,
        "name": row.name,
        "state": row.state,
        "step": row.step,
        "steps": row.steps,
        "rate": row.rate if row.state in AT_WORK else None,
        "seconds_left": row.seconds_left,
        "traceback": str(trace) if row.state in FAILED and trace.is_file() else None,
        **{key: status.get(key) for key in ("loss", "host", "pid", "device", "data_wait", "error", "attempt")},
    }


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
