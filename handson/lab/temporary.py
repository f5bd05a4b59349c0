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

from handson.errors import LabError
from handson.i18n import _

PREFIX = "handson-"
NAME = re.compile(rf"{PREFIX}[a-z]+-(\d+)-\w+")


@contextlib.contextmanager
def own_folder(purpose: str, under: str = "") -> Iterator[Path]:
    """Give a folder of mode 0700 that is removed at the end.

    What processes of this user have left behind that were killed is removed on the way.
    `purpose` is a word of small letters; `under` a folder other than the usual one. Raises
    LabError where none can be made.
    """
    sweep(under)
    prefix = f"{PREFIX}{purpose}-{os.getpid()}-"
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=under or None)
    except OSError as error:
        raise LabError(
            _("No folder can be made in {under}: {reason}.").format(
                under=under or os.environ.get("TMPDIR", "/tmp"), reason=error.strerror
            ),
            _("Free space there (df -h), or make it writable for you (ls -ld)."),
        ) from None
    with folder as name:
        yield Path(name)


def sweep(under: str = "") -> None:
    """Remove this user's folders of processes that are no more; never those of the living."""
    for folder in Path(under or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = NAME.fullmatch(folder.name)
        with contextlib.suppress(OSError):
            is_ours = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if found and is_ours and not psutil.pid_exists(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)
