"""Looking again, after ever longer pauses, until something is there."""

from __future__ import annotations

import time
from collections.abc import Iterator


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
