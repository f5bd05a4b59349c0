"""With `pytest --nbval notebooks`: a fresh lab for the notebooks, taken down at the end.

However it ends: SIGINT, SIGTERM and SIGHUP take the lab down too, with the exit status that
tells which it was (130, 143, 129).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

SANITIZE = Path(__file__).parent / "tests" / "notebooks" / "sanitize.cfg"
# What has to be undone at the end: the lab and its workspace; the handlers of signals.
UNDO, SIGNALS = pytest.StashKey[contextlib.ExitStack](), pytest.StashKey[contextlib.ExitStack]()
_stopped: list[int] = []  # the exit status that a signal asks for


def _compares_notebooks(config: pytest.Config) -> bool:
    options = config.option
    if options.collectonly or hasattr(config, "workerinput"):
        return False
    return bool(getattr(options, "nbval", False) or getattr(options, "nbval_lax", False))


def pytest_configure(config: pytest.Config) -> None:
    if not _compares_notebooks(config):
        return
    from handson.course.run.signals import Stopped, stopping

    config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(SANITIZE)
    config.option.nbval_cell_timeout = min(config.option.nbval_cell_timeout, 180)
    config.option.nbval_current_env = (
        True  # this interpreter, whatever kernels a user has installed
    )
    # Later notebooks say nothing more once an earlier one has failed.
    config.option.maxfail = config.option.maxfail or 1
    undo = config.stash[UNDO] = contextlib.ExitStack()
    config.stash[SIGNALS] = contextlib.ExitStack()
    config.stash[SIGNALS].enter_context(stopping())
    try:
        _start_lab(undo)
    except Stopped as stopped:
        _undo(config)
        raise pytest.exit.Exception("Stopped.", returncode=stopped.status) from None
    except BaseException as error:
        _undo(config)
        # One sentence, and not the stack of pytest's own calls.
        raise pytest.UsageError(str(error)) from error


def _start_lab(undo: contextlib.ExitStack) -> None:
    """Start a lab that no other run of notebooks has: its name holds this process's number."""
    from handson.errors import LabError
    from handson.lab.lab import Lab
    from handson.lab.state import NBVAL
    from handson.lab.temporary import own_folder
    from handson.settings import check_name
    from handson.workspace import Workspace

    name = check_name(os.environ.get("HANDSON_NAME") or f"nbval-{os.getpid()}")
    folder = undo.enter_context(own_folder("nbval"))
    os.environ.update(
        HANDSON_NAME=name,
        HANDSON_WORKSPACE=str(folder / "workspace"),
        HANDSON_HEADLESS="1",
        HANDSON_FAULT="chrooted-smtpd",
        AWS_EC2_METADATA_DISABLED="true",
    )
    lab = Lab(name)
    undo.enter_context(lab.hold("pytest --nbval"))
    made = lab.maker()
    if made and made.purpose != NBVAL:
        raise LabError(
            f"The lab “{name}” was not made by nbval, but from {made.workspace}.",
            "Leave HANDSON_NAME out, or give it another name.",
        )
    undo.callback(lab.down)
    lab.down()
    workspace = Workspace()
    lab.up(workspace.public_key, print, purpose=NBVAL, workspace=str(workspace.path))


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    from handson.course.run.signals import Stopped

    if isinstance(excinfo.value, Stopped):
        _stopped.append(excinfo.value.status)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _stopped:
        session.exitstatus = _stopped[-1]


def pytest_unconfigure(config: pytest.Config) -> None:
    if UNDO in config.stash and (status := _undo(config)):
        raise SystemExit(status)


def _undo(config: pytest.Config) -> int:
    """Undo it, and return the exit status that a signal asked for meanwhile, or 0."""
    from handson.course.run.signals import Stopped, undisturbed

    try:
        with undisturbed():
            config.stash[UNDO].close()
    except Stopped as stopped:
        return stopped.status
    finally:
        config.stash[SIGNALS].close()
    return 0
