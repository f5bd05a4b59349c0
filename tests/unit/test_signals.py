"""A signal never breaks off the clearing up, and is not forgotten either."""

from __future__ import annotations

import os
import signal

import pytest

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
