"""Who works on a run: a lease on a folder that one process at a time holds, of all machines that see the disk.

A lease is the file of the highest number in its folder, a generation: `lease/0000007`. Its holder rewrites it every few
seconds. Who wants it judges the file that is there: it is free where it was released, where it names a process of this
same machine that is no more, or where it did not change for as long as it promises to; then the file of the next number
is created, which only one can. The newest file is never removed, so that no number comes twice.

What is relied on, and holds on local disks and on NFS:

- a hard link is made by one alone (`link`; without hard links, a file by `O_CREAT | O_EXCL`);
- what was written before a file was closed is seen by who opens it afterwards (close-to-open consistency);
- clocks run at the same rate within a factor of two: a holder that could not write for half of its lease does not work
  on before it has got the next generation itself, another takes it only after the whole, by its own clock.

Nowhere is a time of day compared, nor a clock with another machine's, and no `flock` is taken. What cannot be kept out
is the one call to the disk that a process was suspended in: it happens when the process wakes up.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rein.config import ConfigError
from rein.disk import explained
from rein.ledger.processes import began, clock, is_suspended, machine, node

log = logging.getLogger(__name__)

#: Bytes of a lease's file, always as many: rewritten in place it needs no room on a disk that is full.
SIZE = 512
#: Signs of life that a lease's seconds hold.
BEATS = 12
#: Seconds between two looks at a lease that another one holds.
LOOK = 0.1

#: What went away under us, or whose machine did: the holder's file was removed by who took the lease over.
GONE = (errno.ENOENT, errno.ESTALE)
#: What file systems without hard links say.
UNLINKABLE = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class BusyError(RuntimeError):
    """Another process works on the run; the message says which and where."""


class LostError(BusyError):
    """This process did not show that it lives for so long that another one may work on the run: it must not go on."""


@dataclass(frozen=True)
class Holder:
    """What a lease's file says of its holder."""

    host: str
    pid: int
    #: Time of day on the holder's clock, for people.
    since: float
    #: How long it may give no sign of life.
    seconds: float
    #: The machine's boot and the space of its process numbers; empty where the system does not tell.
    machine: str = ""
    #: When the process began, in ticks since the boot: process numbers come again.
    began: int = 0
    token: str = ""
    beats: int = 0
    released: bool = False

    @classmethod
    def this(cls, seconds: float) -> Holder:
        """This process."""
        pid = os.getpid()
        return cls(node(), pid, time.time(), seconds, machine(), began(pid) or 0, secrets.token_hex(8))

    @classmethod
    def read(cls, content: bytes) -> Holder | None:
        """None for a file that is still being written."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def content(self) -> bytes:
        return json.dumps(asdict(self)).encode().ljust(SIZE - 1) + b"\n"

    @property
    def is_gone(self) -> bool:
        """Whether it let go, or ran on this machine and is no more."""
        return self.released or (self._is_here and began(self.pid) != self.began)

    @property
    def is_at_work(self) -> bool:
        """Whether it is known to live without a look at the clock: it runs on this machine, and is not suspended."""
        return self._is_here and not is_suspended(self.pid)

    @property
    def _is_here(self) -> bool:
        return self.machine != "" and self.machine == machine()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def lease_seconds() -> float:
    """`REIN_LEASE_SECONDS`: how long a process may give no sign of life until others take over its run."""
    text = os.environ.get("REIN_LEASE_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ConfigError(f"REIN_LEASE_SECONDS is {text!r}: a number of seconds is due, as 60")
    return seconds


class Lease:
    """A lease on the folder that its own lies in. Creating the object touches nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.parent.name
        self.generation = 0
        self.mine: Holder | None = None
        self._shown = 0.0  # when the last sign of life that came through was begun
        self._lost = ""
        self._lock = threading.Lock()
        self._end = threading.Event()

    @contextmanager
    def held(self, patience: float, strictly: bool = False) -> Iterator[None]:
        """Hold the lease, waiting `patience` seconds for one that has it, and for a silent one until it has expired.

        `strictly`: no longer than `patience` in any case. Raises BusyError where another one has it still.
        """
        self._acquire(lease_seconds(), patience, strictly)
        beating = threading.Thread(target=self._beat_on, name="rein-lease", daemon=True)
        beating.start()
        try:
            yield
        finally:
            self._end.set()
            beating.join()
            self._release()

    def holder(self) -> Holder | None:
        """Who holds the lease as far as this process has seen; None where it is free. Waits for nothing."""
        return self._look()[1]

    def check(self) -> None:
        """Return where this process holds the lease for sure, at the price of a look at the clock; else LostError."""
        mine = self.mine
        if mine is None or mine.pid != os.getpid():
            raise LostError(f"{self.name}: this process does not hold its lease")
        while self._lost or clock() - self._shown > mine.seconds / 2:
            if self._lost:
                raise LostError(self._lost)
            if not self._show():
                time.sleep(min(LOOK, mine.seconds / BEATS))

    # ---------------------------------------------------------------- getting it

    def _acquire(self, seconds: float, patience: float, strictly: bool) -> None:
        asked = clock()
        self._lost, self._end = "", threading.Event()
        self.folder.mkdir(parents=True, exist_ok=True)
        first: Holder | None = None
        while True:
            generation, holder = self._look()
            if holder is None and self._take(generation + 1, Holder.this(seconds)):
                return
            if holder is None:
                continue  # another one was quicker
            first = first or holder
            alive = holder.is_at_work or (holder.token, holder.beats) != (first.token, first.beats)
            if clock() - asked >= patience and (strictly or alive):
                raise BusyError(f"{self.name}: {holder} works on this run; wait for it, or stop it")
            time.sleep(LOOK)

    def _look(self) -> tuple[int, Holder | None]:
        """The newest generation and who holds it; None for one that is free to be taken over."""
        while True:
            generation = max(self._generations(), default=0)
            if not generation:
                return 0, None
            path = self._path(generation)
            try:
                content = path.read_bytes()
            except OSError as error:
                if error.errno in GONE:  # by who has just taken the next
                    continue
                raise
            holder = Holder.read(content)
            silent = _silence(path, content)
            if holder is None:
                promised = lease_seconds()
                return generation, None if silent > promised else Holder("another machine", 0, 0.0, promised)
            return generation, None if holder.is_gone or silent > holder.seconds else holder

    def _take(self, generation: int, holder: Holder) -> bool:
        """Create a generation's file, which only one can, and clear away what it makes stale."""
        asked = clock()
        temporary = self.folder / f".{generation:07d}.{holder.token}"
        try:
            if not _create(self._path(generation), temporary, holder.content()):
                return False
        finally:
            temporary.unlink(missing_ok=True)
        present = self._generations()
        if max(present, default=0) != generation:  # numbers went on since this one was looked at, and were cleared
            self._path(generation).unlink(missing_ok=True)
            return False
        self.generation, self.mine, self._shown = generation, holder, asked
        for stale in [*(self._path(number) for number in present if number < generation), *self.folder.glob(".*")]:
            stale.unlink(missing_ok=True)
        _seen.pop(str(self.folder), None)
        return True

    def _generations(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self.folder) if name.isdecimal()]  # noqa: PTH208
        except FileNotFoundError:
            return []

    def _path(self, generation: int) -> Path:
        return self.folder / f"{generation:07d}"

    # ---------------------------------------------------------------- keeping it

    def _beat_on(self) -> None:
        assert self.mine is not None
        while not self._lost and not self._end.wait(self.mine.seconds / BEATS):
            self._show()

    def _show(self) -> bool:
        """Give a sign of life; False where the disk did not take it, or the lease is lost."""
        with self._lock:
            mine = self.mine
            if mine is None or self._lost:
                return False
            asked = clock()
            mine = replace(mine, beats=mine.beats + 1)
            try:
                if asked - self._shown > mine.seconds / 2:
                    # Too long ago to be sure: but who gets the next generation has had this one until now.
                    if not self._take(self.generation + 1, mine):
                        raise FileExistsError(errno.EEXIST, "the next generation")
                elif self._path(self.generation + 1).exists():
                    raise FileExistsError(errno.EEXIST, "the next generation")
                else:
                    _rewrite(self._path(self.generation), mine.content())
                    self.mine, self._shown = mine, asked
            except OSError as error:
                if error.errno in (*GONE, errno.EEXIST):
                    self._lost = f"{self.name}: {self._now()} took it over: this one gave no sign of life for too long"
                elif clock() - self._shown > mine.seconds:
                    self._lost = f"{self.folder}: no sign of life can be written there ({error})"
                else:
                    log.debug("%s: a sign of life could not be written: %s", self.folder, error)
                return False
            return True

    def _now(self) -> str:
        with contextlib.suppress(OSError):
            return str(self._look()[1] or "another process")
        return "another process"

    def _release(self) -> None:
        mine, self.mine = self.mine, None
        if mine is None or self._lost or mine.pid != os.getpid():
            return
        with contextlib.suppress(OSError):  # then it expires
            _rewrite(self._path(self.generation), replace(mine, released=True).content())


#: Of each lease's folder: the file's name and content that this process saw last, and since when.
_seen: dict[str, tuple[str, bytes, float]] = {}


def _silence(path: Path, content: bytes) -> float:
    """For how many seconds of this process a lease's file has been as it is."""
    key, now = str(path.parent), clock()
    name, before, since = _seen.get(key, ("", b"", now))
    if (name, before) != (path.name, content):
        since = now
    _seen[key] = (path.name, content, since)
    return now - since


def _create(path: Path, temporary: Path, content: bytes) -> bool:
    """Whether this call created a file, with all of its content at once where the file system can."""
    try:
        temporary.write_bytes(content)
    except OSError as error:
        raise explained(error, path) from error
    try:
        os.link(temporary, path)
    except FileNotFoundError:  # cleared away by who was quicker
        return False
    except OSError as error:
        if error.errno == errno.EEXIST:
            return _has_links(temporary)
        if error.errno not in UNLINKABLE:
            raise
        return _create_exclusively(path, content)
    return True


def _has_links(temporary: Path) -> bool:
    """Whether the link was made after all: NFS asks again where an answer was lost, and then hears that it exists."""
    try:
        return temporary.stat().st_nlink == 2
    except FileNotFoundError:
        return False


def _create_exclusively(path: Path, content: bytes) -> bool:
    try:
        with open(path, "xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _rewrite(path: Path, content: bytes) -> None:
    """Overwrite a file that is there: never create one, since who removed it holds the lease now."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, content, 0)
    finally:
        os.close(descriptor)
