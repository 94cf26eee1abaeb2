"""How long something takes, as a person reads it on a clock."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """`1:23:45` or `3:45`; `2 d 03:10` from two days on."""
    minutes, seconds = divmod(max(0, int(seconds)), 60)  # clocks of two nodes may differ
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
