"""The processes on this machine that belong to a lab: found by their words, started, ended."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from handson.polling import patience


def find(*words: str) -> list[psutil.Process]:
    """Return the processes whose command line has each of `words` as an argument.

    Only those of this user and of root count: anybody can give a process any words.
    """
    ours = {0, os.getuid()}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            is_it = all(any(word in (Path(part).name, part) for part in line) for word in words)
            if is_it and process.uids().real in ours:
                found.append(process)
    return found


def identity() -> str:
    """Return a name for this process that no later one has: its number and its start."""
    return _name(psutil.Process())


def is_alive(name: str) -> bool:
    """Return whether the process of that name (see `identity`) still runs.

    >>> is_alive(identity()), is_alive("1@0.00"), is_alive("")
    (True, False, False)
    """
    number = name.partition("@")[0]
    try:
        return number.isdigit() and _name(psutil.Process(int(number))) == name
    except psutil.Error:
        return False


def _name(process: psutil.Process) -> str:
    return f"{process.pid}@{process.create_time():.2f}"


def environment() -> dict[str, str]:
    """Return the environment for what a lab starts: without the learner's secrets.

    A lab's process needs neither the password nor keys of AWS, and whatever runs as root
    shows its environment to root.
    """
    secret = ("AWS_", "HANDSON_", "BOTO_")
    return {name: value for name, value in os.environ.items() if not name.startswith(secret)}


def start(command: list[str], log: Path) -> psutil.Process:
    """Start a process that outlives this one; what it says is added to the file `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd="/",
            env=environment(),
        )
    # It is meant to run on; without a status Python would warn of it as forgotten.
    process.returncode = 0
    return psutil.Process(process.pid)


def end(found: list[psutil.Process], seconds: float = 5) -> int:
    """End processes, politely first and by force after `seconds`; return how many there were."""
    for process in found:
        _signal(process, "TERM")
    _wait(found, seconds)
    left = [one for one in found if runs(one)]
    for process in left:
        _signal(process, "KILL")
    _wait(left, 2)
    return len(found)


def _wait(found: list[psutil.Process], seconds: float) -> None:
    for _gone in patience(seconds, 0.02, 0.1):
        if not any(runs(one) for one in found):
            return


def as_root() -> list[str]:
    """Return what to put before a command that needs root: nothing for root itself.

    Rootless containers cannot load the rules of a security group everywhere; a user
    who may use sudo gets root's engine instead.
    """
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def may_be_root() -> bool:
    """Return whether a command can run as root here, without a question."""
    if os.geteuid() == 0:
        return True
    if not shutil.which("sudo"):
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run([*as_root(), "true"], capture_output=True, timeout=10, check=False)
        return asked.returncode == 0
    return False


def with_sudo() -> str:
    """Return how root is told to run this very `handson`: its folder is in no path of root's."""
    program = Path(sys.executable).with_name("handson")
    return f"sudo {shlex.quote(str(program)) if program.exists() else 'handson'}"


def runs(process: psutil.Process) -> bool:
    """Return whether a process still does something."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, name: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            process.send_signal(getattr(signal, f"SIG{name}"))
        except psutil.AccessDenied:
            # It may have ended meanwhile: what kill says of that is for nobody.
            command = [*as_root(), "kill", f"-{name}", str(process.pid)]
            subprocess.run(command, check=False, capture_output=True)
