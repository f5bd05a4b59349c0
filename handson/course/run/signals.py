"""Signals that end a program, turned into an exception, so that it can clear up."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType

from handson.i18n import _

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Somebody, or the system, asked the program to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)

    @property
    def status(self) -> int:
        """The exit status that tells which signal it was: 130, 143 or 129."""
        return 128 + self.number


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Raise Stopped, in the main thread, when one of those signals comes."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(number)

    def come_again(lost: sys.UnraisableHookArgs) -> None:
        # Where a finalizer ran just then, Python ignores it: it has to reach what runs.
        if isinstance(lost.exc_value, Stopped):
            threading.Timer(0.05, os.kill, (os.getpid(), lost.exc_value.number)).start()
        else:
            tell(lost)

    tell, sys.unraisablehook = sys.unraisablehook, come_again
    before: Mapping[int, object] = {number: signal.signal(number, stop) for number in ENDING}
    try:
        yield
    finally:
        sys.unraisablehook = tell
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal interrupt the clearing up; raise Stopped after it, where one came meanwhile.

    Where Stopped is what the clearing up is for, that one goes on. A program that hangs can
    still be killed.
    """
    is_stopped = isinstance(sys.exc_info()[1], Stopped)
    came: list[int] = []
    before = {n: signal.signal(n, lambda number, _frame: came.append(number)) for n in ENDING}
    if is_stopped:
        print(_("Stopped; taking down what was started."), file=sys.stderr)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came and not is_stopped:
        raise Stopped(came[0])
