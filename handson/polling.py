"""Looking again, after ever longer pauses, until something is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from handson.errors import HandsonError
from handson.i18n import _

Thing = TypeVar("Thing")


def patience(limit: float, first: float = 0.2, longest: float = 5.0) -> Iterator[float]:
    """Yield the seconds gone by: at once, then after ever longer pauses, up to `limit`.

    >>> list(patience(0))
    [0.0]
    """
    start = time.monotonic()
    gone, pause = 0.0, first
    while True:
        yield gone
        if gone + pause > limit:
            return
        time.sleep(pause)
        gone, pause = time.monotonic() - start, min(pause * 1.5, longest)


def wait_for(look: Callable[[], Thing | None], seconds: float, what: str) -> Thing:
    """Look until there is something, and return it; raise HandsonError after `seconds`.

    `what` is what is waited for, in words.

    >>> wait_for(lambda: "here", 1, "a word")
    'here'
    """
    for _gone in patience(seconds, 0.1, 0.1):
        if (found := look()) is not None:
            return found
    raise HandsonError(
        _("Timed out after {seconds:.0f} s waiting for {what}.").format(seconds=seconds, what=what),
        _("Look at the end of the server's mail log for a line with status=deferred."),
    )
