"""A command in a container: what it printed, and an end to waiting for it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from handson.errors import LabError
from handson.lab import engine as engines
from handson.lab import execution
from handson.lab.engine import Engine
from handson.lab.execution import Unending, execute

Speak = Callable[[socket.socket], None]
# A program that is cut off ends far sooner than it would by itself; a busy machine is slow.
PROMPTLY = 20


def frame(text: bytes) -> bytes:
    """Return a piece of output as the engine sends it (Docker's API, "Stream format")."""
    return struct.pack(">BxxxL", 1, len(text)) + text


class Api:
    """The part of the SDK that runs commands: what one prints is up to `speak`."""

    def __init__(self, speak: Speak) -> None:
        self.speak = speak
        self.ours, self.theirs = socket.socketpair()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with self.theirs:
            self.speak(self.theirs)

    def exec_create(self, _container: str, _command: list[str]) -> dict[str, str]:
        return {"Id": "1"}

    def exec_start(self, _process: str, socket: bool) -> socket.socket:
        self.thread.start()
        return self.ours

    def exec_inspect(self, _process: str) -> dict[str, int]:
        return {"ExitCode": 7}


@pytest.fixture
def run() -> Iterator[Callable[[Speak], Api]]:
    made: list[Api] = []

    def make(speak: Speak) -> Api:
        made.append(Api(speak))
        return made[-1]

    yield make
    for api in made:
        api.thread.join(PROMPTLY)
        assert not api.thread.is_alive()


def says_and_ends(line: socket.socket) -> None:
    line.sendall(frame(b"one ") + frame(b"two"))


def says_nothing(line: socket.socket) -> None:
    line.recv(1)  # nobody sends: this is the end of the connection


def never_stops(line: socket.socket) -> None:
    try:
        while True:
            line.sendall(frame(b"y\n" * 1000))
    except OSError:
        pass


def drips(line: socket.socket) -> None:
    try:
        while True:
            line.sendall(frame(b"."))
            time.sleep(0.01)
    except OSError:
        pass


def test_what_a_command_prints(run: Callable[[Speak], Api]) -> None:
    assert execute(run(says_and_ends), "1", ["true"], 60) == (7, b"one two")


@pytest.mark.parametrize("speak", [says_nothing, drips])
def test_it_is_not_waited_for_longer(speak: Speak, run: Callable[[Speak], Api]) -> None:
    with pytest.raises(Unending):
        execute(run(speak), "1", ["true"], 0.1)


def test_no_more_is_read(run: Callable[[Speak], Api], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "LARGEST", 10_000)
    with pytest.raises(Unending):
        execute(run(never_stops), "1", ["true"], 60)


def test_the_host_is_named(run: Callable[[Speak], Api], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "GRACE", -0.9)

    class Client:
        api = run(says_nothing)

    class Container:
        id, name = "1", "handson-0-lab-pc"

    with pytest.raises(LabError, match="host handson-0-lab-pc did not end within"):
        Engine("lab", Client()).run(Container(), "true", timeout=1)  # type: ignore[arg-type]
