"""One lock for each lab, for whatever makes, changes or removes it (flock(2))."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from handson.i18n import _
from handson.lab.state import labs_folder
from handson.lab.users import acting_as
from handson.settings import check_name


class _Held:
    """A lock that this process holds: its threads take turns, and one may take it again."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.times = 0


_held: defaultdict[Path, _Held] = defaultdict(_Held)


def hold(name: str, what: str, owner: int | None = None) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of a lab; wait, and say for whom, while another process holds it.

    `what` is the command that a process which waits is told of. The kernel takes the lock
    back when a process ends, however it ends.
    """
    return _hold(f"{check_name(name)}.lock", what, os.getuid() if owner is None else owner)


def hold_images(what: str) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of whatever builds host images for this user."""
    return _hold(".images.lock", what, os.getuid())


@contextlib.contextmanager
def _hold(name: str, what: str, owner: int) -> Iterator[None]:
    path = labs_folder(owner) / name
    held = _held[path]
    with held.turn:
        if held.times:
            held.times += 1
            try:
                yield
            finally:
                held.times -= 1
            return
        descriptor = _take(path, owner)
        try:
            _write(descriptor, what)
            held.times = 1
            yield
        finally:
            held.times = 0
            # While it is held: nobody else can have this very file any more.
            with contextlib.suppress(OSError), acting_as(owner):
                path.unlink()
            os.close(descriptor)
            with contextlib.suppress(OSError), acting_as(owner):
                path.parent.rmdir()  # only when nothing of a lab is in it


def _take(path: Path, owner: int) -> int:
    told = False
    while True:
        with acting_as(owner):
            labs_folder(owner, create=True)
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                descriptor = os.open(path, flags, 0o600)
            except FileNotFoundError:  # the folder was removed in between
                continue
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    print(_waits_for(descriptor), file=sys.stderr, flush=True)
                    told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_the_file(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was removed by who held it before


def _is_the_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _write(descriptor: int, what: str) -> None:
    now = datetime.now().strftime("%H:%M:%S")
    text = json.dumps({"what": what, "pid": os.getpid(), "since": now})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _waits_for(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, 1000, 0))
        said = _("Waiting for {what} (process {pid}, since {since}) to end.").format(
            what=str(found["what"]), pid=int(found["pid"]), since=str(found["since"])
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        said = ""
    # Where root waits for a user, this is that user's text: nothing in it may steer a terminal.
    if said and said.isprintable():
        return said
    return _("Waiting for another process that uses this lab.")
