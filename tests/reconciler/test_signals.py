"""Signals to a service: what stops it, what hurries it, and what they were before."""

import signal
import threading

import pytest

from reconciler.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_stops_after_the_current_call_and_the_second_is_left_to_the_system(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    with Signals() as signals:
        stopped = threading.Event()
        signals.watch(stopped)
        assert not signals.ended
        signal.raise_signal(number)
        assert (signals.ended, stopped.is_set(), signals.wait(60)) == (True, True, True)
        assert signal.getsignal(number) == signal.SIG_DFL
    assert signal.getsignal(number) == before


def test_a_run_that_begins_after_the_signal_is_stopped_too() -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        stopped = threading.Event()
        signals.watch(stopped)
        assert stopped.is_set()


def test_sighup_ends_a_rest_and_nothing_else() -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert signals.wait(60)
        assert not signals.wait(0)
        assert not signals.ended


def test_no_number_of_signals_blocks_the_one_who_is_told() -> None:
    with Signals() as signals:
        for _ in range(2000):
            signal.raise_signal(signal.SIGHUP)
        assert signals.wait(60)
