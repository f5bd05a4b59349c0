from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handson.errors import InvalidInput
from handson.lab import lock
from handson.lab import state as states

# Holds the lock until its standard input ends.
HOLDER = """
import sys
from pathlib import Path
from handson.lab import lock, state
home = Path(sys.argv[1])
state.home_of = lambda uid: home
with lock.hold(sys.argv[2], "handson up"):
    print("held", flush=True)
    sys.stdin.read()
print("given back", flush=True)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(states, "home_of", lambda uid: tmp_path)
    return tmp_path


@contextmanager
def start(home: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program that takes the lock; it ends here, whether it has it or waits for it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def holder(home: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program that has the lock."""
    with start(home, name) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process


def test_it_leaves_nothing_behind(home: Path) -> None:
    with lock.hold("course", "a test"):
        assert (home / ".handson" / ".labs" / "course.lock").exists()
    assert list((home / ".handson").iterdir()) == []


def test_another_name_does_not_wait(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with holder(home, "other"), lock.hold("course", "a test"):
        pass
    assert capsys.readouterr().err == ""


def test_what_waits_says_for_whom(home: Path) -> None:
    with holder(home, "course") as process, start(home, "course") as waiting:
        assert waiting.stderr and waiting.stdout and process.stdin
        said = waiting.stderr.readline()
        assert said.startswith(f"Waiting for handson up (process {process.pid}, since ")
        assert waiting.poll() is None
        process.stdin.close()
        assert waiting.stdout.readline() == "held\n"


def test_a_killed_process_holds_nothing(home: Path) -> None:
    with holder(home, "course") as process:
        process.kill()
        process.wait()
        with lock.hold("course", "a test"):
            pass


def test_one_that_holds_it_may_take_it_again(home: Path) -> None:
    with lock.hold("course", "a test"), lock.hold("course", "a test in a test"):
        with pytest.raises(ZeroDivisionError), lock.hold("course", "a third"):
            _ = 1 / 0
        with start(home, "course") as other:
            # It waits still: what was taken three times has been given back once.
            assert other.stderr and other.stderr.readline().startswith("Waiting for a test (")
            assert other.poll() is None


def test_threads_take_turns() -> None:
    order: list[str] = []

    def take(name: str) -> None:
        with lock.hold("course", name):
            order.append(f"{name} begins")
            order.append(f"{name} ends")

    threads = [threading.Thread(target=take, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.split()[0] for line in order[::2]] == [line.split()[0] for line in order[1::2]]


def test_a_lock_file_that_tells_nothing(home: Path) -> None:
    with holder(home, "course"):
        (home / ".handson" / ".labs" / "course.lock").write_text("[]")
        with start(home, "course") as waiting:
            assert waiting.stderr
            said = waiting.stderr.readline()
    assert said == "Waiting for another process that uses this lab.\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"what": "\\u001b[2Jup", "pid": 1, "since": "12:00:00"}',
        '{"what": "up\\nLab removed", "pid": 1, "since": "12:00:00"}',
        '{"what": "up", "pid": Infinity, "since": "12:00:00"}',
        "[" * 1000,
    ],
)
def test_a_text_that_somebody_else_wrote(text: str, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text(text)
    with file.open() as opened:
        said = lock._waits_for(opened.fileno())
    assert said == "Waiting for another process that uses this lab."


def test_a_link_in_its_place_is_not_followed(home: Path) -> None:
    states.labs_folder(create=True)
    (home / ".handson" / ".labs" / "course.lock").symlink_to(home / "victim")
    with pytest.raises(OSError), lock.hold("course", "a test"):
        pass
    assert not (home / "victim").exists()


def test_a_name_that_is_none() -> None:
    with pytest.raises(InvalidInput):
        lock.hold("../x", "a test")
