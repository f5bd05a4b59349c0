"""Where the warnings of libraries go: into a file of the workspace, never onto a learner's page.

Without a handler Python writes them to standard error (logging, `lastResort`), which a notebook
shows in the cell that happens to run. Whoever sets up logging by themselves gets what they
asked for, as ever: a last resort is for records that no handler took.
"""

from __future__ import annotations

import logging
import os
import sysconfig
from pathlib import Path

from handson.workspace import LIBRARY_LOG, Workspace

BYTES = 1_000_000
PACKAGES = {"site-packages", "dist-packages"}
OURS = Path(__file__).parents[1]
STANDARD = Path(sysconfig.get_path("stdlib"))


class LastResort(logging.Handler):
    """Takes what libraries log; what a learner's own code does goes on to the former one."""

    def __init__(self, former: logging.Handler | None) -> None:
        super().__init__(logging.WARNING)
        self.former = former
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        self.setFormatter(logging.Formatter(form))

    def emit(self, record: logging.LogRecord) -> None:
        if not _is_of_a_library(record):
            if self.former:
                self.former.handle(record)
            return
        try:
            write(_folder(), self.format(record))
        except Exception:
            # A record that cannot be put into words or on a full disk: neither is for a learner.
            return


def install() -> None:
    """Be the last resort of Python's logging."""
    if not isinstance(logging.lastResort, LastResort):
        logging.lastResort = LastResort(logging.lastResort)


def write(folder: Path, line: str) -> None:
    """Append a line to the file in a folder, where that is there; a full file begins anew."""
    if not folder.is_dir():
        return
    text = f"{line}\n".encode()[-BYTES:]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    descriptor = os.open(folder / LIBRARY_LOG, flags, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        if os.fstat(descriptor).st_size + len(text) > BYTES:
            file.truncate(0)
        file.write(text)


def _is_of_a_library(record: logging.LogRecord) -> bool:
    path = Path(record.pathname)
    return bool(PACKAGES & set(path.parts)) or OURS in path.parents or STANDARD in path.parents


def _folder() -> Path:
    """Return the folder of the workspace that was opened last, or of the one that would be."""
    return Workspace.last_opened or Workspace().path
