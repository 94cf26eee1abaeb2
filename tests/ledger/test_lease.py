"""One holder at a time, whatever is killed, suspended or wrong about the time; and nobody waits for the dead."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from rein.config import ConfigError
from rein.ledger import lease as module
from rein.ledger.lease import BusyError, Holder, Lease, LostError
from rein.ledger.processes import began, clock, machine
from tests.processes import ends
from tests.waiting import comes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "lease"


@pytest.fixture(autouse=True)
def _long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that no busy machine lets expire, with a sign of life every twentieth of a second, here and in the
    processes that are started."""
    monkeypatch.setenv("REIN_LEASE_SECONDS", "60")
    monkeypatch.setattr(module, "BEATS", 1200)


class Leaping:
    """A clock that goes on only while somebody waits by it, or is told to: no busy machine makes it go faster."""

    def __init__(self) -> None:
        self.now = clock()

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds
        time.sleep(0.001)


@pytest.fixture
def leaping(monkeypatch: pytest.MonkeyPatch) -> Leaping:
    """The clock of this process's leases."""
    leaping = Leaping()
    monkeypatch.setattr(module, "clock", leaping)
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=leaping.wait, time=time.time))
    return leaping


def start(folder: Path, then: str = "time.sleep(600)") -> subprocess.Popen[str]:
    """A process that holds the lease and has said so. When it wakes, `leap` may say how long it has slept."""
    code = f"""
        import time, os, sys
        from pathlib import Path
        from rein.ledger import lease as module
        from rein.ledger.lease import Lease, LostError
        module.BEATS = 1200
        clock, lease = module.clock, Lease(Path({str(folder)!r}))

        def leap(seconds):
            module.clock = lambda: clock() + seconds

        def check():
            try:
                lease.check()
            except LostError as error:
                print(error, flush=True)

        holding = lease.held(10)
        holding.__enter__()
        print("held", flush=True)
        {then}
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(folder)
    yield process
    process.kill()
    process.communicate()


def newest(folder: Path) -> Path:
    return max(path for path in folder.iterdir() if path.name.isdecimal())


def rewrite(folder: Path, **changes: Any) -> None:
    path = newest(folder)
    values = {**json.loads(path.read_bytes()), **changes}
    path.write_bytes(Holder(**values).content())


def take(folder: Path) -> None:
    """Hold the lease for a moment. Raises BusyError where the first look does not find it free."""
    with Lease(folder).held(0, strictly=True):
        pass


def took(folder: Path, leaping: Leaping) -> float:
    """Seconds that the lease was waited for."""
    asked = leaping.now
    with Lease(folder).held(30):
        return leaping.now - asked


# ---------------------------------------------------------------- one at a time


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_of_many_threads_one_is_inside_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def unlinkable(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", unlinkable)
    monkeypatch.setattr(module, "LOOK", 0.001)
    inside, entered = threading.Lock(), []

    def work(number: int) -> None:
        for _ in range(5):
            with Lease(folder).held(600):
                assert inside.acquire(blocking=False), "two at a time"
                entered.append(number)
                time.sleep(0.001)
                inside.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(entered) == 40 and len(set(entered)) == 8
    assert [path.name for path in folder.iterdir()] == [f"{40:07d}"], (
        "old generations are removed, no number is skipped"
    )


@pytest.mark.slow
def test_of_many_processes_that_are_killed_one_is_inside_at_a_time(folder: Path, tmp_path: Path) -> None:
    """Each enters, is alone or says so, and is killed inside or leaves: the lease goes through all hands."""
    code = f"""
        import os, random, signal, sys, time
        from pathlib import Path
        from rein.ledger import lease
        lease.LOOK = 0.002
        random.seed(int(sys.argv[1]))
        me = str(os.getpid())
        for _ in range(6):
            with lease.Lease(Path({str(folder)!r})).held(600):
                inside = Path({str(tmp_path / "inside")!r})
                other = inside.read_text() if inside.exists() else ""
                if other and other != me and Path(f"/proc/{{other}}/exe").exists():
                    sys.exit(f"{{other}} is inside too")
                inside.write_text(me)
                time.sleep(random.random() / 100)
                if random.random() < 0.1:
                    os.kill(os.getpid(), signal.SIGKILL)
                inside.write_text("")
    """
    commands = [[sys.executable, "-c", textwrap.dedent(code), str(seed)] for seed in range(8)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    ends = [(process.communicate(timeout=600)[1], process.returncode) for process in processes]
    assert {code for _, code in ends} <= {0, -signal.SIGKILL}, ends
    assert -signal.SIGKILL in {code for _, code in ends}, "some were killed inside"
    take(folder)
    assert len(list(folder.iterdir())) == 1


class Contenders(RuleBasedStateMachine):
    """Machines with clocks of their own, of which the fastest runs 1.9 times as fast as the slowest, and one lease.

    Time goes on by leaps, in which machines give signs of life or do not, as a suspended or cut-off one does.
    """

    machines = Bundle("machines")

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name) / "run" / "lease"
        self.now = 0.0
        self.all: list[SimpleNamespace] = []
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "machine", lambda: "")  # nobody is judged by its process
        self.patch.setenv("REIN_LEASE_SECONDS", "10")

    def teardown(self) -> None:
        self.patch.undo()
        self.scratch.cleanup()

    @contextlib.contextmanager
    def on(self, one: SimpleNamespace) -> Iterator[Lease]:
        """As this machine sees the world."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "clock", lambda: one.offset + one.rate * self.now)
            patch.setattr(module, "_seen", one.seen)
            yield one.lease

    @rule(target=machines, offset=st.floats(0, 1e6), rate=st.floats(1.0, 1.9))
    def join(self, offset: float, rate: float) -> SimpleNamespace:
        one = SimpleNamespace(offset=offset, rate=rate, seen={}, lease=Lease(self.folder), holds=False)
        self.all.append(one)
        return one

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(one=machines)
    def claim(self, one: SimpleNamespace) -> None:
        if not one.holds:
            with self.on(one) as lease, contextlib.suppress(BusyError):
                lease._acquire(10, patience=0, strictly=True)
                one.holds = True

    @rule(one=machines)
    def look(self, one: SimpleNamespace) -> None:
        with self.on(one) as lease:
            lease.holder()

    @rule(one=machines)
    def sign(self, one: SimpleNamespace) -> None:
        if one.holds:
            with self.on(one) as lease:
                lease._show()

    @rule(one=machines)
    def leave(self, one: SimpleNamespace) -> None:
        if one.holds:
            with self.on(one) as lease:
                lease._release()
                one.holds = False

    @invariant()
    def one_may_write(self) -> None:
        writing = [one for one in self.all if one.holds and self.may_write(one)]
        assert len(writing) <= 1

    def may_write(self, one: SimpleNamespace) -> bool:
        """As `check`, without the sign of life that it would give where the last one is too old to be sure."""
        with self.on(one) as lease:
            return not lease._lost and module.clock() - lease._shown <= 5

    @rule(one=machines)
    def write(self, one: SimpleNamespace) -> None:
        if one.holds:
            with self.on(one) as lease:
                try:
                    lease.check()
                except LostError:
                    one.holds = False
                else:
                    assert newest(self.folder) == lease._path(lease.generation)


TestContenders = Contenders.TestCase
TestContenders.settings = settings(max_examples=150, stateful_step_count=40)


def test_who_slept_over_a_takeover_does_not_get_a_number_that_was_cleared_away(folder: Path) -> None:
    """It looked at generation 1, slept, and creates 2 when 2 to 4 are gone: there is a 5, whose holder lives."""
    for _ in range(4):
        take(folder)
    with Lease(folder).held(0):
        assert newest(folder).name == f"{5:07d}"
        sleeper = Lease(folder)
        assert not sleeper._take(2, Holder.this(60))
        assert [path.name for path in folder.iterdir()] == [f"{5:07d}"]


def test_an_answer_that_the_network_lost_does_not_lose_the_lease(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def twice(source: Path, target: Path) -> None:
        for _ in range(2):  # the client asks again, and the server has done it already
            link(source, target)

    monkeypatch.setattr(os, "link", twice)
    take(folder)


# ---------------------------------------------------------------- the dead and the suspended


@pytest.mark.parametrize("waited_for", [False, True], ids=["zombie", "gone"])
def test_a_killed_holder_of_this_machine_is_taken_over_at_once(
    folder: Path, holder: subprocess.Popen[str], waited_for: bool
) -> None:
    process = psutil.Process(holder.pid)
    with pytest.raises(BusyError):
        take(folder)
    holder.kill()
    if waited_for:
        holder.wait()
    assert ends(process)
    take(folder)


def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it(folder: Path) -> None:
    take(folder)
    rewrite(folder, released=False, began=began(os.getpid()) or 0)
    with pytest.raises(BusyError, match=rf"run: process {os.getpid()} on .* works on this run"):
        take(folder)
    rewrite(folder, began=1)
    take(folder)


def test_a_holder_of_another_machine_that_gives_no_sign_is_taken_over_when_its_time_is_over(
    folder: Path, holder: subprocess.Popen[str], leaping: Leaping
) -> None:
    holder.kill()
    holder.wait()
    rewrite(folder, machine="another boot")
    assert 60 < took(folder, leaping) < 60 + 2 * module.LOOK


def test_a_holder_of_another_machine_that_gives_signs_is_not(
    folder: Path, holder: subprocess.Popen[str], leaping: Leaping, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(_: float) -> None:
        """For a sign of life, by which its lease was nearly over."""
        before = newest(folder).read_bytes()
        assert comes(lambda: newest(folder).read_bytes() != before)
        leaping.now += 50

    ours = machine()
    monkeypatch.setattr(module, "machine", lambda: f"not {ours}")
    monkeypatch.setattr(module.time, "sleep", wait)
    with pytest.raises(BusyError), Lease(folder).held(240):
        pass


def test_many_short_looks_see_that_a_holder_is_silent_as_one_long_does(
    folder: Path, holder: subprocess.Popen[str], leaping: Leaping
) -> None:
    holder.kill()
    holder.wait()
    rewrite(folder, machine="another boot")
    for _ in range(2):
        assert Lease(folder).holder() is not None
        with pytest.raises(BusyError):
            take(folder)
        leaping.now += 31
    assert Lease(folder).holder() is None
    take(folder)


def suspend(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)
    assert comes(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)


def test_a_suspended_holder_loses_the_lease_and_knows_it_when_it_wakes(folder: Path, leaping: Leaping) -> None:
    process = start(folder, "sys.stdin.readline(); leap(61); check()")
    suspend(process)
    with Lease(folder).held(0):
        process.send_signal(signal.SIGCONT)
        said = process.communicate("\n")[0]
        assert f"process {os.getpid()} on " in said and "took it over" in said
        assert [path.name for path in folder.iterdir()] == [f"{2:07d}"], "it left the other's file alone"


def test_a_suspended_holder_that_nobody_replaced_works_on(folder: Path) -> None:
    process = start(folder, "sys.stdin.readline(); leap(61); lease.check(); print(lease.generation, flush=True)")
    suspend(process)
    process.send_signal(signal.SIGCONT)
    assert process.communicate("\n")[0] == "2\n", "by the next generation, which nobody had got"


def test_no_time_of_day_matters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(folder, "shifted = time.time; time.time = lambda: shifted() - 7e4; time.sleep(600)")
    actual = time.time
    for hours in (-30, 30):
        monkeypatch.setattr(time, "time", lambda hours=hours: actual() + 3600 * hours)
        assert Lease(folder).holder() is not None
        with pytest.raises(BusyError):
            take(folder)
    process.kill()
    process.communicate()
    take(folder)


# ---------------------------------------------------------------- signs of life


def test_a_disk_that_is_away_for_a_moment_costs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failed = module._rewrite, []

    def hiccup(path: Path, content: bytes) -> None:
        if len(failed) < 3:
            failed.append(path)
            raise OSError(errno.EIO, "Input/output error")
        write(path, content)

    lease = Lease(folder)
    with lease.held(0):
        monkeypatch.setattr(module, "_rewrite", hiccup)
        assert comes(lambda: len(failed) == 3)
        assert gives_signs(lease, 1)
        lease.check()
        assert lease.generation == 1


def gives_signs(lease: Lease, number: int) -> bool:
    """Whether so many more signs of life come through."""
    assert lease.mine
    after = lease.mine.beats + number
    return comes(lambda: lease.mine and lease.mine.beats >= after)


def test_a_disk_that_stays_away_loses_the_lease(
    folder: Path, leaping: Leaping, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    lease = Lease(folder)
    with lease.held(0):
        with monkeypatch.context() as patch:
            for call in ("_rewrite", "_create"):
                patch.setattr(module, call, away)
            asked = leaping.now
            lease.check()
            leaping.now += 31
            with pytest.raises(LostError, match=r"no sign of life can be written there.*Input/output"):
                lease.check()
        assert 60 < leaping.now - asked < 60 + 2 * module.LOOK
    with Lease(folder).held(90):
        pass


def test_a_full_disk_is_no_hindrance(folder: Path) -> None:
    """The file is as long as ever and in its place: what is rewritten there needs no room."""
    lease = Lease(folder)
    with lease.held(0):
        before = newest(folder).stat()
        assert gives_signs(lease, 2)
        after = newest(folder).stat()
        assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size) == (after.st_ino, module.SIZE)
        assert Holder.read(newest(folder).read_bytes()) is not None


def test_a_process_may_end_with_a_lease_in_its_hands(folder: Path) -> None:
    process = start(folder, "sys.exit(3)")
    process.communicate(timeout=600)
    assert process.returncode == 3
    take(folder)


def test_a_lease_ends_with_its_thread(folder: Path) -> None:
    def beating() -> bool:
        return "rein-lease" in {thread.name for thread in threading.enumerate()}

    lease = Lease(folder)
    with lease.held(0):
        assert beating()
    assert not beating()
    with pytest.raises(LostError, match="does not hold"):
        lease.check()


# ---------------------------------------------------------------- what lies in the folder


def test_leftovers_are_harmless_and_cleared(folder: Path, leaping: Leaping) -> None:
    folder.mkdir(parents=True)
    for name in ("0000001", "0000003", ".0000004.abc", "notes.txt"):
        (folder / name).write_text("left by a kill")
    waited = took(folder, leaping)
    assert 60 < waited < 60 + 2 * module.LOOK, "what cannot be read may be being written: its time must pass"
    assert {path.name for path in folder.iterdir()} == {"0000004", "notes.txt"}


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"host": 1}', b"null"])
def test_what_is_no_lease_reads_as_none(content: bytes) -> None:
    assert Holder.read(content) is None


def test_the_holder_is_named_until_it_lets_go(folder: Path) -> None:
    assert Lease(folder).holder() is None and not folder.exists(), "a look touches nothing"
    with Lease(folder).held(0):
        found = Lease(folder).holder()
        assert found is not None and found.pid == os.getpid() and found.host == os.uname().nodename
        assert found.is_at_work and not found.is_gone and 0 <= time.time() - found.since < 60
    assert Lease(folder).holder() is None


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan", ""])
def test_seconds_that_are_none_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REIN_LEASE_SECONDS", text)
    with pytest.raises(ConfigError, match="REIN_LEASE_SECONDS"), Lease(folder).held(0):
        pass
