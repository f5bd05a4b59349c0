"""Temporary folders that tell whose they are, so that those of dead processes can be removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

PREFIX = "handson-"
NAME = re.compile(rf"{PREFIX}[a-z]+-(\d+)-\w+")


@contextlib.contextmanager
def own_folder(purpose: str, under: str = "") -> Iterator[Path]:
    """Give a folder of mode 0700 that is removed at the end.

    What processes of this user have left behind that were killed is removed on the way.
    `purpose` is a word of small letters; `under` a folder other than the usual one.
    """
    sweep(under)
    prefix = f"{PREFIX}{purpose}-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=under or None) as name:
        yield Path(name)


def sweep(under: str = "") -> None:
    """Remove this user's folders of processes that are no more; never those of the living."""
    for folder in Path(under or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = NAME.fullmatch(folder.name)
        with contextlib.suppress(OSError):
            is_ours = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if found and is_ours and not psutil.pid_exists(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)
