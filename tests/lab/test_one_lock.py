"""Whatever makes, changes or removes a lab waits for what is at it, and takes nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from looking import traces
from waiting import NEVER, own, wait_until

from handson.cli import main
from handson.lab import engine as engines
from handson.lab.engine import Engine
from handson.lab.lab import Lab, sweep
from handson.lab.state import RUN, TESTS, lab_folder
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=2)

ROOT = Path(main.__file__).parents[2]
NAME = own("lock")


@pytest.fixture(autouse=True)
def none_is_left(lab: Lab) -> Iterator[None]:
    yield
    Lab(NAME).down()


@contextmanager
def handson(home: Path, command: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "handson.cli.main", command, "--name", NAME, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HANDSON_WORKSPACE": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, errors = process.communicate(timeout=NEVER)
    return process.returncode, said + errors


def is_at_it() -> bool:
    return (lab_folder(NAME) / "server.json").exists()


def test_two_ups_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert Workspace(NAME, home).public_key
    with handson(home, "up") as first, handson(home, "up") as second:
        answers = [end(first), end(second)]
    assert [status for status, _said in answers] == [0, 0], answers
    assert sorted("is up already" in said for _status, said in answers) == [False, True]
    assert len(Lab(NAME).left_over()) == 10


def test_down_waits_for_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with handson(home, "up") as up:
        wait_until(is_at_it)
        with handson(home, "down") as down:
            status, said = end(down)
            assert f"Waiting for handson up (process {up.pid}, since " in said
            assert (status, "Traceback" in said) == (0, False)
        assert end(up)[0] == 0
    assert traces(NAME) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_up_that_is_ended_half_way(number: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with handson(home, "up") as up:
        wait_until(is_at_it)
        up.send_signal(number)
        status, said = end(up)
    if number != signal.SIGKILL:
        assert (status, said.splitlines()[-1]) == (128 + number, "Stopped.")
        assert Lab(NAME).left_over() == []
    with handson(home, "down") as down:
        assert end(down)[0] == 0
    assert traces(NAME) == []


def test_a_run_takes_no_learners_lab(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = Workspace(NAME, home).public_key
    state = Lab(NAME).up(key, workspace=str(home))
    for more in ([], ["--take-over"]):
        words = ["--root", str(ROOT), "--runs", str(tmp_path / "runs"), *more]
        with handson(tmp_path / "unused", "run", *words) as run:
            status, said = end(run)
        assert status == 1
        assert "--take-over" in said and "Traceback" not in said, said
    assert Lab(NAME).up(key) == state


def dead_run(home: Path, *more: str) -> str:
    """Have a run make a lab and be killed; return the key that the lab lets in."""
    program = (
        "import os, signal, sys\n"
        "from handson.lab.lab import Lab\n"
        "name, key, purpose, *more = sys.argv[1:]\n"
        "lab = Lab(name)\n"
        "lab.up(key, purpose=purpose)\n"
        "if more: lab.keep()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    key = Workspace(NAME, home).public_key
    words = [sys.executable, "-c", program, NAME, key, RUN, *more]
    dead = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert dead.returncode == -signal.SIGKILL
    assert Lab(NAME).is_up
    return key


def test_what_a_dead_run_was_to_keep_stays(tmp_path: Path, engine: Engine) -> None:
    dead_run(tmp_path / "home", "--keep")
    sweep(engine)
    assert Lab(NAME).is_up


def test_what_a_dead_run_left_is_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is gone, and a learner's lab and the tests' own stay."""
    key = dead_run(tmp_path / "home")
    other = Lab(own("beside"))
    try:
        other.up(Workspace(other.name, tmp_path / "other").public_key)
        assert traces(NAME) == []
        monkeypatch.setenv(TESTS, "1@0.00")  # as of tests that were killed
        Lab(NAME).up(key)
        assert other.is_up  # a learner's is swept away by nobody
        with engines.connect(other.name) as engine:
            sweep(engine)
        assert traces(NAME) == [] and other.is_up
    finally:
        other.down()
