"""Where time goes: spans inside one another, each without those that lie in it, so that they add up to the whole."""

from __future__ import annotations

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: The names of the spans that lie around a moment, the outermost first.
Path = tuple[str, ...]


class Stopwatch:
    """Seconds from its making on, of every path of spans; () is what lies in none.

    It heeds the thread that made it: what others do goes on beside it. `settle` is called wherever one span gives way
    to another, and may wait for work that was only launched.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self._settle, self._thread = settle, threading.get_ident()
        self._path: Path = ()
        self._since = time.perf_counter()
        self._seconds: defaultdict[Path, float] = defaultdict(float)
        self._entered: defaultdict[Path, int] = defaultdict(int)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """What happens inside is counted under a name."""
        if threading.get_ident() != self._thread:
            yield
            return
        outside = self._path
        self._turn((*outside, name))
        self._entered[self._path] += 1
        try:
            yield
        finally:
            self._turn(outside)

    def around(self, name: str, work: Callable[..., T]) -> Callable[..., T]:
        """A function, its calls counted."""

        @functools.wraps(work)
        def counted(*args: object, **kwargs: object) -> T:
            with self.span(name):
                return work(*args, **kwargs)

        return counted

    def over(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time until each is there is counted."""
        iterator, end = iter(items), object()
        while True:
            with self.span(name):
                item = next(iterator, end)
            if item is end:
                return
            yield item  # pyright: ignore[reportReturnType]

    def read(self) -> dict[Path, float]:
        """Seconds of every path so far."""
        self._turn(self._path)
        return dict(self._seconds)

    def entered(self, path: Path) -> int:
        """How often a span was begun."""
        return self._entered[path]

    def _turn(self, path: Path) -> None:
        self._settle()
        now = time.perf_counter()
        self._seconds[self._path] += now - self._since
        self._path, self._since = path, now
