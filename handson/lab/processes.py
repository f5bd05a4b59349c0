"""The processes on this machine that belong to a lab: found by their words, started, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil


def find(*words: str) -> list[psutil.Process]:
    """Return the processes whose command line has each of `words` as an argument."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if all(any(word == Path(part).name or word == part for part in line) for word in words):
                found.append(process)
    return found


def start(command: list[str], log: Path) -> psutil.Process:
    """Start a process that outlives this one; what it says is added to the file `log`."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd="/",
        )
    # It is meant to run on; without a status Python would warn of it as forgotten.
    process.returncode = 0
    return psutil.Process(process.pid)


def end(found: list[psutil.Process], seconds: float = 5) -> int:
    """End processes, politely first and by force after `seconds`; return how many there were."""
    for process in found:
        _signal(process, "TERM")
    deadline = time.monotonic() + seconds
    while (left := [one for one in found if runs(one)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in left:
        _signal(process, "KILL")
    return len(found)


def as_root() -> list[str]:
    """Return what to put before a command that needs root: nothing for root itself.

    Rootless containers cannot load the rules of a security group everywhere; a user
    who may use sudo gets root's engine instead.
    """
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


def runs(process: psutil.Process) -> bool:
    """Tell whether a process still does something."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, name: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            process.send_signal(getattr(signal, f"SIG{name}"))
        except psutil.AccessDenied:
            subprocess.run([*as_root(), "kill", f"-{name}", str(process.pid)], check=False)
