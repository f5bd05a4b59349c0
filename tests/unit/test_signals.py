"""A signal never breaks off the clearing up, and is not forgotten either."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from waiting import wait_until

from handson.course.run.signals import ENDING, Stopped, stopping, undisturbed


def came_in_the_clearing_up(number: signal.Signals, done: list[str]) -> None:
    with stopping(), undisturbed():
        os.kill(os.getpid(), number)
        done.append("cleared up")


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_in_the_clearing_up_is_delivered_after_it(number: signal.Signals) -> None:
    done: list[str] = []
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught:
        came_in_the_clearing_up(number, done)
    assert done == ["cleared up"] and caught.value.status == 128 + number
    assert signal.getsignal(number) == before


def test_the_first_signal_is_the_one_that_counts(capfd: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    with pytest.raises(Stopped) as caught, stopping():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            with undisturbed():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("cleared up")
    assert done == ["cleared up"] and caught.value.status == 130
    assert "taking down what was started" in capfd.readouterr().err


def test_what_went_wrong_in_the_clearing_up_is_told() -> None:
    with pytest.raises(ZeroDivisionError), stopping(), undisturbed():
        os.kill(os.getpid(), signal.SIGTERM)
        _none = 1 / 0


class Finalized:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        for _number in range(1000):  # it comes up in here, where Python ignores it
            pass


def test_a_signal_that_a_finalizer_swallows_comes_again() -> None:
    went_on = False
    with pytest.raises(Stopped), stopping():
        Finalized()
        went_on = True
        wait_until(lambda: False)
    assert went_on


def test_what_else_a_finalizer_raises_is_told_as_before() -> None:
    told: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        with stopping():
            Broken()
    finally:
        sys.unraisablehook = before
    assert len(told) == 1


class Broken:
    def __del__(self) -> None:
        raise ZeroDivisionError
