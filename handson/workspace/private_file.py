"""Files that only their owner can read, whatever the umask; what fails is one sentence."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from handson.errors import HandsonError
from handson.i18n import _

FULL = (errno.ENOSPC, errno.EDQUOT)
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def make_folder(folder: Path) -> None:
    """Make a folder of mode 0700, with those above it; one that is there stays as it is.

    Raises OSError.
    """
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def read(path: Path) -> str | None:
    """Return what a file holds, None where there is none; raise HandsonError otherwise."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise _failed(_("{path} cannot be read: {reason}."), path, error) from None


def write(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one go: whoever is killed leaves the old one or the new one."""
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)  # it may have its name already
            raise
    except OSError as error:
        raise _failed(_("{path} cannot be written: {reason}."), path, error) from None


def append(path: Path, text: str) -> None:
    """Append to a file; a new one gets the mode 0600. A link is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise _failed(_("{path} cannot be written: {reason}."), path, error) from None


def remove(path: Path) -> None:
    """Remove a file, if it is there, and what a write that was killed left of it."""
    try:
        for one in (path, *path.parent.glob(f".{path.name}.*")):
            one.unlink(missing_ok=True)
    except OSError as error:
        raise _failed(_("{path} cannot be removed: {reason}."), path, error) from None


def of_the_disk(error: OSError) -> HandsonError | None:
    """Return what to say of a full disk or of what may not be written; None of another error."""
    if error.errno not in (*FULL, *DENIED):
        return None
    if error.errno in DENIED:
        if not error.filename:
            return None
        return _failed(_("{path} cannot be used: {reason}."), Path(error.filename), error)
    path = Path(error.filename or _("the output"))
    return _failed(_("{path} cannot be written: {reason}."), path, error)


def _failed(what: str, path: Path, error: OSError | UnicodeError) -> HandsonError:
    number = getattr(error, "errno", None)
    if number in FULL:
        cure = _("Make room on that disk (df -h shows it), and do it again.")
    elif number in DENIED:
        cure = _("See whose it is and who may write there: ls -ld {path} {folder}")
    else:
        cure = _("Move it away, and do it again: mv {path} {path}.bad")
    reason = getattr(error, "strerror", None) or _("it is not text in UTF-8")
    return HandsonError(
        what.format(path=path, reason=reason), cure.format(path=path, folder=path.parent)
    )
