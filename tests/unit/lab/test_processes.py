from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handson.lab import processes


def test_a_process_is_found_and_ended(tmp_path: Path) -> None:
    word = f"handson-test-{os.getpid()}"
    log = tmp_path / "log"
    sleeper = "import sys, time; print('there', flush=True); time.sleep(60)"
    process = processes.start([sys.executable, "-c", sleeper, word], log)
    try:
        while "there" not in log.read_text():  # before that it may still be called as we are
            assert processes.runs(process)
            time.sleep(0.01)
        found = processes.find(word)
        assert [one.pid for one in found] == [process.pid]
        assert processes.find(word, "another-word") == []
        assert os.getsid(process.pid) == process.pid  # no Ctrl-C gets there
        assert processes.end(found) == 1
        assert processes.find(word) == []
    finally:
        process.kill()
        process.wait()


def test_one_that_will_not_go_is_killed() -> None:
    word = f"handson-stubborn-{os.getpid()}"
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; time.sleep(60)", word], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes.end(processes.find(word), seconds=0.2) == 1
        assert process.wait(5) == -9


def test_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert processes.as_root() == []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert processes.as_root() == ["sudo", "-n"]
