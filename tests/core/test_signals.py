"""Ctrl-C and SIGTERM, sent by this process to itself."""

import os
import signal
import threading

import pytest

from picanet_tf.core import signals
from picanet_tf.core.signals import (
    StopRequest,
    Terminated,
    sigint_blocked,
    sigterm_ignored,
    sigterm_unwinds,
)


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def nothing_is_left_of_it():
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_sigterm_unwinds():
    steps = []
    with pytest.raises(Terminated) as stop, sigterm_unwinds():
        try:
            send(signal.SIGTERM)
            steps.append("went on")
        finally:
            steps.append("cleared away")
    assert steps == ["cleared away"] and stop.value.code == 143
    assert isinstance(stop.value, SystemExit)  # so that no `except Exception` has it


def test_a_sigterm_that_was_lost_is_raised_once_more():
    with sigterm_unwinds() as check:
        check()
        try:
            send(signal.SIGTERM)
        except Terminated:  # as Python does in a `__del__`
            pass
        with pytest.raises(Terminated):
            check()


def test_sigterm_is_ignored_while_clearing_away():
    with pytest.raises(Terminated), sigterm_unwinds():
        with sigterm_ignored():
            send(signal.SIGTERM)
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


def test_a_second_ctrl_c_acts_at_once():
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        send(signal.SIGINT)
        assert stop.received == signal.SIGINT
        send(signal.SIGINT)


def test_other_threads_handle_no_signals():
    failed = []

    def work():
        try:
            with sigterm_unwinds() as check, sigterm_ignored(), StopRequest() as stop:
                check()
                stop.obey()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []


def test_where_signals_cannot_be_blocked(monkeypatch):
    """On Windows."""
    monkeypatch.delattr(signals.signal, "pthread_sigmask")
    with pytest.raises(KeyboardInterrupt), sigint_blocked():
        send(signal.SIGINT)
    monkeypatch.undo()
