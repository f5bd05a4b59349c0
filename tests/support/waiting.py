"""For tests: waiting for a condition instead of a time, and names that no other run has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

# With HANDSON_LONG tests by chance draw as often as a release wants, else a part of it. Read
# here: the tests take such variables out of the way before they begin.
LONG = bool(os.environ.get("HANDSON_LONG"))
# Seconds after which nothing comes any more, on however busy a machine.
NEVER = 600


def own(name: str) -> str:
    """Return a name for a lab of this process: another run of the tests may be beside it."""
    return f"{name}-{os.getpid()}"


def wait_until(is_so: Callable[[], bool], seconds: float = NEVER) -> None:
    """Wait until something is so; the limit is generous, for a machine may be busy."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.03)
