"""A bill on one screen: a table of the variants, then what it comes to and whether it can be."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rein.sweeps.bill.bill import COUNTED, Bill, Price, Variant, accuracy, merged, problems
from rein.sweeps.clock import clock

#: Rows of the table; of more variants those that cost the same share a row.
ROWS = 24
#: Wider lines are hard to read.
WIDTH = 100
UNKNOWN = "unknown"
#: Sentences of one kind that are said.
SAID = 3
#: Letters of the sentences' first word.
LABEL = 13


def show(bill: Bill, name: str, console: Console | None = None) -> None:
    """Print it."""
    console = console or Console(highlight=False)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    with console.capture() as drawn:
        _draw(bill, name, console)
    for line in drawn.get().splitlines():
        console.file.write(line.rstrip() + "\n")  # rich fills lines up with blanks


def _draw(bill: Bill, name: str, console: Console) -> None:
    console.print(Text(headline(bill, name), style="bold"), soft_wrap=True)
    console.print()
    rows = merged(bill, ROWS)
    console.print(_table(rows[:ROWS]))
    if len(rows) > ROWS:
        console.print(Text(f"... and {len(rows) - ROWS:,} more that take no longer (--json has all)", style="dim"))
    console.print()
    for label, text in sentences(bill):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=LABEL, style="bold red" if label == "problem" else "bold")
        grid.add_column(overflow="fold")
        grid.add_row(label, Text(text))
        console.print(grid)


def headline(bill: Bill, name: str) -> str:
    """How many runs there are, and how far they are."""
    words = ", ".join(f"{number:,} {word}" for word, number in bill.states.items() if number)
    variants = f" of {len(bill.variants):,} variants" if len(bill.variants) > 1 else ""
    return f"{name}: {len(bill.lines):,} run{'s' * (len(bill.lines) > 1)}{variants}: {words}"


def _table(rows: list[Variant]) -> Table:
    """Without the columns of times where none is known: names have the room then."""
    timed = any(row.seconds is not None for row in rows)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("variant", overflow="fold", min_width=18)
    for column in ("trains", "share", "FLOPs/step", "memory", "left", *(("a run", "takes") if timed else ())):
        table.add_column(column, justify="right", no_wrap=True)
    if timed:
        table.add_column("known from", no_wrap=True, style="dim")
    for row in rows:
        one = row.price
        times = [_time(row.seconds), _time(row.seconds_left), _origin(one)] if timed else []
        table.add_row(
            _name(row),
            _count(one.trainable),
            "" if one.share is None else percent(one.share),
            _count(one.flops),
            _memory(one.memory_mib, one.memory_from),
            f"{row.left:,}" if row.left == row.runs else f"{row.left:,} of {row.runs:,}",
            *times,
        )
    return table


def sentences(bill: Bill) -> Iterator[tuple[str, str]]:
    """What is said below the table, each with its first word."""
    yield "in all", _total(bill)
    if off := accuracy(bill.ratios):
        runs = f"{off['runs']:.0f} finished run{'s' * (off['runs'] > 1)}"
        yield (
            "predictions",
            f"each of {runs} predicted from the others is off by {percent(off['median'])} in the middle, "
            f"{percent(off['worst'])} at most",
        )
    prices = [one.price for one in bill.variants]
    if alike := dict.fromkeys(one.timing.origin for one in prices if one.timing and _origin(one).startswith("≈")):
        yield "known from ≈", "; ".join(list(alike)[:SAID]) + " ..." * (len(alike) > SAID)
    if any(one.price.memory_from == COUNTED for one in bill.variants):
        yield "memory", "≈: counted, tensors in fp32 alone; a process takes some hundred MiB besides"
    free = "" if bill.disk_free is None else f"; {size(bill.disk_free)} are free"
    yield "disk", f"{size(bill.disk)} of checkpoints and pictures{free}"
    for label, text in bill.facts.items():
        if text:
            yield label, text
    for problem in problems(bill):
        yield "problem", problem


def _total(bill: Bill) -> str:
    if not bill.left:
        return "nothing is left to do"
    runs = f"{bill.left:,} run{'s' * (bill.left > 1)} left"
    if bill.cpu_hours is None:
        return f"{runs}; how long they take is unknown: add --probe"
    gpu = f" and {hours(bill.gpu_hours)} GPU hours" if bill.gpu_hours else ""
    text = f"{runs}: {hours(bill.cpu_hours)} CPU hours{gpu}"
    if bill.unknown:
        return f"{text}, without {bill.unknown:,} of which nothing is known: add --probe"
    if bill.wall_seconds is None or not bill.at_once:
        return text
    longest = f", the longest {clock(bill.longest_seconds)}" if bill.longest_seconds and bill.left > 1 else ""
    return f"{text}; done in {duration(bill.wall_seconds)} with {bill.at_once:,} at once{longest}"


def _origin(one: Price) -> str:
    """Where a time is known from, shortly: of runs that differ, `sentences` says in what."""
    if one.timing is None:
        return "failed" if one.problem else ""
    runs, _, differing = one.timing.origin.partition(" run")
    return f"≈ {runs} run{differing[:1].strip()}" if differing.strip("s") else one.timing.origin


def _name(row: Variant) -> str:
    name = row.name or "all"
    return f"{name} ({row.variants:,} variants)" if row.variants > 1 else name


def _count(number: float | None) -> str:
    """`1.22 M`, `7.88 T`."""
    if number is None:
        return UNKNOWN
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f}"


def percent(share: float) -> str:
    """`0.98 %`, `41 %`."""
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"


def _memory(mib: float | None, origin: str) -> str:
    if mib is None:
        return UNKNOWN
    text = f"{mib / 1024:.1f} GiB" if mib >= 1000 else f"{mib:.0f} MiB"
    return f"≈ {text}" if origin == COUNTED else text


def _time(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else duration(seconds)


def duration(seconds: float) -> str:
    """`3:45`, `9:12:00`; beyond two days `3.1 days`."""
    return f"{seconds / 86400:.1f} days" if seconds >= 172800 else clock(seconds)


def hours(number: float) -> str:
    """`0.12`, `41`, `1,250`."""
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


def size(number: float) -> str:
    """`3.2 GB` of bytes."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number / 1e6:.0f} MB"
