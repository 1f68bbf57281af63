"""Ctrl-C and SIGTERM, sent by this process to itself."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from picanet_tf.core import signals
from picanet_tf.core.signals import (
    StopRequest,
    Terminated,
    sigint_blocked,
    signals_ignored,
    sigterm_unwinds,
)


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def signal_state_is_restored():
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_sigterm_unwinds_the_stack():
    steps = []
    with pytest.raises(Terminated) as stop, sigterm_unwinds():
        try:
            send(signal.SIGTERM)
            steps.append("went on")
        finally:
            steps.append("cleared away")
    assert steps == ["cleared away"] and stop.value.code == 143
    assert isinstance(stop.value, SystemExit)  # so that no `except Exception` has it


def test_swallowed_sigterm_is_raised_again():
    with sigterm_unwinds() as check:
        check()
        try:
            send(signal.SIGTERM)
        except Terminated:  # as Python does in a `__del__`
            pass
        with pytest.raises(Terminated):
            check()


def test_signals_are_ignored_while_clearing_away():
    with pytest.raises(Terminated), sigterm_unwinds():
        with signals_ignored():
            send(signal.SIGTERM)
            send(signal.SIGINT)
        send(signal.SIGTERM)


def test_ctrl_c_waits_until_the_block_is_left():
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with sigint_blocked():
            # To the process, another thread might take it.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            steps.append("inside")
        steps.append("behind")
    assert steps == ["inside"]


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)],
)
def test_a_stop_request_is_noted_and_obeyed(number, error, code, capfd):
    noted = []
    with StopRequest("stopping", lambda: noted.append("told")) as stop:
        stop.obey()
        assert stop.received is None and stop.signal == signal.SIGTERM
        send(number)
        assert stop.received == stop.signal == number and noted == ["told"]
        with pytest.raises(error) as raised:
            stop.obey()
    assert code is None or raised.value.code == code
    assert capfd.readouterr().err == "\nstopping\n"
    assert signal.set_wakeup_fd(-1) == -1


def test_a_second_ctrl_c_acts_at_once():
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        send(signal.SIGINT)
        assert stop.received == signal.SIGINT
        send(signal.SIGINT)


# As in a step of TensorFlow, the main thread is not back in Python for some seconds.
BUSY = """
import ctypes, signal
from picanet_tf.core.signals import StopRequest
with StopRequest("stopping") as stop:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    print("ready", flush=True)
    ctypes.CDLL(None).sleep(SECONDS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
print("stopped by", stop.received)
"""


def busy(seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY.replace("SECONDS", str(seconds))],
        cwd=pathlib.Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (15, 143)])
def test_signals_are_answered_while_the_main_thread_computes(number, code):
    process = busy(60)
    started = time.monotonic()
    process.send_signal(number)
    assert process.stderr.readline() + process.stderr.readline() == "\nstopping\n"
    time.sleep(0.7)
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "")
    # The default of SIGTERM acts if the first came before the main thread was busy.
    default = (-signal.SIGTERM,) if number == signal.SIGTERM else ()
    assert process.returncode in (code, *default)
    assert time.monotonic() - started < 20


def test_two_signals_at_once_count_as_one():
    """`timeout` sends SIGTERM to its child, and to the child's group."""
    process = busy(5)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    said, told = process.communicate(timeout=30)
    assert (said, told, process.returncode) == ("stopped by 15\n", "\nstopping\n", 0)


def test_other_threads_handle_no_signals():
    failed = []

    def work():
        try:
            with sigterm_unwinds() as check, signals_ignored(), StopRequest() as stop:
                check()
                stop.obey()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []


def test_sigint_blocked_works_without_pthread_sigmask(monkeypatch):
    """On Windows."""
    monkeypatch.delattr(signals.signal, "pthread_sigmask")
    with pytest.raises(KeyboardInterrupt), sigint_blocked():
        send(signal.SIGINT)
    monkeypatch.undo()
