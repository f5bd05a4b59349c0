"""The users of this machine, as its own list of users knows them (getpwent(3))."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path


def home_of(uid: int) -> Path:
    """Return a user's home folder as the system knows it.

    Not as `HOME` or `XDG_RUNTIME_DIR` say: a terminal, a service and a notebook of one user
    may differ in those, and have to find the same lab.
    """
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:  # a user that no list of users knows
        return Path.home()


def name_of(uid: int) -> str:
    """Return a user's name, or the number of one that no list of users knows.

    >>> name_of(0)
    'root'
    """
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextlib.contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Touch files with the rights of another user, where root does something for them.

    Their folders are theirs: a link that they put there leads root nowhere (seteuid(2)).
    """
    if uid == os.geteuid():
        yield
        return
    user, gid, groups = pwd.getpwuid(uid), os.getegid(), os.getgroups()
    os.initgroups(user.pw_name, user.pw_gid)
    os.setegid(user.pw_gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        os.setegid(gid)
        os.setgroups(groups)
