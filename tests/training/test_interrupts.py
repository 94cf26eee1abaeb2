"""A signal waits for the end of a step, a second one for nothing, and a run outside the main thread hears the exit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from rein.training import interrupts as module
from rein.training.interrupts import Interrupted, Interrupts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_kept_while_a_step_is_made(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        interrupts.check()
        interrupts.stepping = True
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=number.name):
            interrupts.check()
    assert signal.getsignal(number) is before


def test_a_second_signal_waits_for_nothing_unless_it_is_the_echo_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ECHO", 600.0)
    with Interrupts() as interrupts:
        interrupts.stepping = True
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr(module, "ECHO", 0.0)
        with pytest.raises(KeyboardInterrupt) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        assert not isinstance(caught.value, Interrupted), "what is between is not known: no checkpoint"


def test_where_no_weight_changes_a_signal_interrupts_at_once() -> None:
    with Interrupts() as interrupts:
        interrupts.stepping = True
        with pytest.raises(Interrupted), interrupts.anywhere():
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("it went on")
        assert interrupts.stepping


def test_another_thread_leaves_the_signals_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    during: list[object] = []

    def work() -> None:
        with Interrupts():
            during.extend(signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == before


def test_an_interpreter_that_exits_waits_for_the_run_in_its_thread() -> None:
    """As in a worker of Ray, whose handler of SIGTERM ends the main thread while the trial runs beside it."""
    code = """
        import threading, time
        from rein.training.interrupts import Interrupted, Interrupts
        inside = threading.Event()

        def work():
            try:
                with Interrupts() as interrupts:
                    interrupts.stepping = True
                    inside.set()
                    while True:
                        time.sleep(0.05)
                        try:
                            interrupts.check()
                        except Interrupted:
                            time.sleep(0.3)  # the checkpoint
                            print("saved", flush=True)
                            raise
            except Interrupted:
                pass

        threading.Thread(target=work, daemon=True).start()
        inside.wait()
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=600, check=True
    )
    assert ended.stdout == "saved\n"
