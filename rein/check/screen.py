"""What `rein check` found, for a person: a screen a domain at most, and little of what is as it should be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from rein.check.data import totals

#: Files that are named under one finding; `--json` names all.
NAMED = 5
#: Wider lines are hard to read.
WIDTH = 100
_STYLES = {"problem": "bold red", "remark": "yellow"}

Row = Mapping[str, Any]


def show(machine: Sequence[Row], splits: Sequence[Row]) -> None:
    """Print the machine's rows, then each domain's splits, classes and findings, and what it comes to."""
    console = Console()
    width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    for line in lines(machine, splits, width):
        word = line.strip().split(" ", 1)[0]
        text = Text(line)
        if word in _STYLES and line.startswith("  "):
            text.stylize(_STYLES[word], 2, 2 + len(word))
        elif line and not line.startswith(" "):
            text.stylize("bold")
        console.print(text, soft_wrap=True)


def lines(machine: Sequence[Row], splits: Sequence[Row], width: int = WIDTH) -> Iterator[str]:
    """The lines of it all."""
    yield "machine"
    for row in machine:
        yield from _folded(f"  {row['what']:<9}", row["found"], width)
    for kind in ("problem", "remark"):
        for row in machine:
            for text in row[f"{kind}s"]:
                yield from _folded(f"  {kind:<9}", f"{row['what']}: {text}", width)
    for name, rows in groupby(splits, key=lambda row: row["domain"]):
        yield ""
        yield from _domain(name, list(rows), width)
    yield ""
    yield _sum(totals(machine, splits))


def _domain(name: str, rows: list[Row], width: int) -> Iterator[str]:
    folders = dict.fromkeys(row["folder"] for row in rows if row["folder"])
    yield f"{name}  {' and '.join(folders) or 'not found'}"
    for row in rows:
        if row["folder"]:
            yield from _folded(f"  {row['split']:<7}", _facts(row), width)
            yield from _folded("         ", _layout(row), width)
    yield from _histogram([row for row in rows if row["label_sizes"]], width)
    for kind in ("problem", "remark"):
        for row in rows:
            for finding in row[f"{kind}s"]:
                yield from _finding(kind, row, finding, width)


def _facts(row: Row) -> str:
    counts = row["counts"]
    number, expected = counts["images"], counts["expected"]
    images = f"{number:,} images" if expected in (None, number) else f"{number:,} of {expected:,} images"
    labelled = number - counts["unlabelled"]
    read = f"{counts['read']:,} of them read (--files {labelled} reads all)" if counts["read"] < labelled else ""
    speed = ""
    if row["images_per_second"]:
        speed = f"a process reads {row['images_per_second']:.0f} images/s, {row['megabytes_per_second']:.1f} MB/s"
    return ", ".join(filter(None, (images, read, _sizes(row["image_sizes"]), speed)))


def _sizes(sizes: Sequence[Row]) -> str:
    """`480x360`, or the commonest and between what the others lie."""
    if not sizes:
        return ""
    first, *others = sizes
    common = f"{first['width']}x{first['height']}"
    if not others:
        return common
    between = " by ".join(_between([size[side] for size in others]) for side in ("width", "height"))
    return f"{common} ({sum(size['files'] for size in others):,} others: {between})"


def _between(sides: Sequence[int]) -> str:
    return f"{min(sides)}" if min(sides) == max(sides) else f"{min(sides)} to {max(sides)}"


def _layout(row: Row) -> str:
    used = [label for label in row["labels"] if label["files"]] or row["labels"][:3]
    labels = " or ".join(f"{label['pattern']} ({label['table']})" for label in used)
    return f"{row['image_pattern']} with {labels or 'no labels'}{', halved when read' if row['halved'] else ''}"


def _histogram(rows: list[Row], width: int) -> Iterator[str]:
    """The classes, in two columns if they fit: per split the share of pixels in per cent, and images with it."""
    named = list(dict.fromkeys(name for row in rows for name in row["classes"]))
    if not named:
        return
    names = [name for name in named if any(name not in row["never"] for row in rows)]
    longest = max(14, *map(len, named))
    cells = [_cell(f"{name:<{longest}}", [row["classes"].get(name) for row in rows]) for name in names]
    cells.append(_cell(f"{'void':<{longest}}", [row["void"] for row in rows]))
    head = " " * longest + "".join(f"{row['split'] + ' %':>8}{'images':>7}" for row in rows)
    columns = 2 if 2 * len(head) + 6 <= width else 1
    height = -(-len(cells) // columns)
    yield "  " + "    ".join([head] * columns)
    for line in range(height):
        yield "  " + "    ".join(cells[line::height])
    never = [name for name in named if name not in names]
    for head, absent in (("  never: ", never), ("  in no label table: ", rows[0]["not_labelled"])):
        if absent:
            yield from _folded(head, ", ".join(absent), width)


def _cell(name: str, shares: Sequence[Mapping[str, float] | None]) -> str:
    return name + "".join(
        f"{_percent(share['share']):>8}{share['images']:>7,}" if share and share["images"] else f"{'-':>8}{'-':>7}"
        for share in shares
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.0005 else "<0.1"


def _finding(kind: str, row: Row, finding: Row, width: int) -> Iterator[str]:
    text, files = finding["text"], finding["files"]
    yield from _folded(f"  {kind:<9}", f"{row['split']}: {text}", width)
    named = NAMED if len(files) < row["counts"]["read"] else 1  # all of them: one shows how
    for file in files[:named]:
        yield from _folded(" " * 13, _file(file, text).replace(f"{row['folder']}/", ""), width)
    if len(files) > named:
        yield " " * 13 + f"and {len(files) - named:,} more (`--json` lists all)"


def _file(named: Row, text: str) -> str:
    """A path, with what is the matter with it unless the finding's own text says so."""
    reason = f": {named['reason']}" if named["reason"] and named["reason"] not in text else ""
    return f"{named['file']}{reason}" + (f" = {named['other']}" if named["other"] else "")


def _sum(numbers: Mapping[str, int]) -> str:
    """`4 domains, 523 images: no problem, 2 remarks`."""
    domains, images, problems, remarks = (
        f"{numbers[key]:,} {key[:-1] if numbers[key] == 1 else key}"
        for key in ("domains", "images", "problems", "remarks")
    )
    found = [problems if numbers["problems"] else "no problem", *([remarks] if numbers["remarks"] else [])]
    return f"{domains}, {images}: {', '.join(found)}"


def _folded(head: str, text: str, width: int) -> list[str]:
    """Text behind a head, its further lines under its first; words are kept whole, as paths must be."""
    return textwrap.wrap(
        text, max(width, len(head) + 20), initial_indent=head, subsequent_indent=" " * len(head),
        break_long_words=False, break_on_hyphens=False,
    ) or [head.rstrip()]  # fmt: skip
