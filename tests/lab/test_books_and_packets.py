"""What the API says is what the hosts do, whatever is killed meanwhile.

While ports are opened and closed, something of the lab is killed, thirty times in all. After
each time the books of the security group and the packets have to tell the same.
`HANDSON_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from looking import WORKER, connect_all
from waiting import wait_until

from handson.errors import HandsonError
from handson.lab import Lab, engine_service, processes
from handson.lab import engine as engines
from handson.lab.lab import SERVER
from handson.lab.state import lab_folder
from handson.stacks import plan
from handson.step import Step, begin
from handson.workspace import Workspace

NAME, KILLS = f"books{WORKER}", 30
# Read here: the tests take such variables out of the way before they begin.
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
PORTS = (2001, 2002, 2003)  # nothing listens there: what is let in is refused by the host
LET_IN, DROPPED = "refused", "timed out"


class Course:
    """A lab with a server, and a stream of opens and closes of its ports."""

    def __init__(self, workspace: Workspace, chosen: random.Random) -> None:
        self.workspace, self.chosen = workspace, chosen
        self.lab = Lab(NAME)
        self.step = self.make()

    def make(self) -> Step:
        """Bring the lab up, and make the network and the server where they are not there."""
        self.lab.up(self.workspace.public_key)
        step = begin("00_start", self.workspace)
        step.save(step.form())
        key = step.cloud.import_key(self.workspace.public_key)
        for stack in plan(step.settings, key, step.settings.own_ip)[:2]:
            step.cloud.create(stack)
        return step

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Open and close ports in a thread; what is refused by a lab in trouble is tried on."""
        over, step, chosen = threading.Event(), self.step, random.Random(self.chosen.random())

        def go_on() -> None:
            while not over.is_set():
                act = chosen.choice((step.cloud.open_port, step.cloud.close_port))
                with contextlib.suppress(HandsonError):
                    act(chosen.choice(PORTS), step.settings.vpc_cidr)
                with contextlib.suppress(HandsonError):
                    act(chosen.choice(PORTS), f"{step.settings.own_ip}/32")

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def said(self) -> dict[int, bool]:
        """Return what the books say of each port, for who comes from the learner's place."""
        rules = self.step.cloud.rules(self.step.cloud.names.server_group)
        source = f"{self.step.settings.own_ip}/32"
        return {p: any(r.opens(p) and r.source == source for r in rules) for p in PORTS}

    def done(self) -> dict[int, bool]:
        """Return what packets from there say."""
        instance = self.step.cloud.instance(self.step.cloud.names.server)
        assert instance is not None and instance.state == "running"
        assert self.step.target.jump is not None
        targets = [(instance.public_ip, port) for port in PORTS]
        answers = connect_all(self.step.hosts.internet, targets)  # type: ignore[arg-type]
        assert set(answers.values()) <= {LET_IN, DROPPED}, answers
        return {port: answers[f"{instance.public_ip} {port}"] == LET_IN for port in PORTS}


def kill_service(course: Course) -> bool:
    """Kill the container engine's service; False where it is the machine's own."""
    found = engine_service.service_processes(lab_folder(NAME))
    _kill(found)
    return bool(found)


def kill_api(course: Course) -> bool:
    _kill(processes.find(SERVER, str(lab_folder(NAME))))
    return True


def _kill(found: list[Any]) -> None:
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda one=process: not processes.runs(one), 20)  # type: ignore[misc]


def on_the_server(act: Callable[[engines.Engine, Any], object]) -> Callable[[Course], bool]:
    def kill(course: Course) -> bool:
        with engines.connect(NAME) as engine:
            (host,) = engine.hosts(**{"handson.role": "instance"})
            with contextlib.suppress(engines.BROKEN):  # type: ignore[arg-type]
                act(engine, host)
        return True

    return kill


VICTIMS: dict[str, tuple[int, Callable[[Course], bool]]] = {
    # How often, of how many together; and how.
    "the engine's service": (10, kill_service),
    "the API": (4, kill_api),
    "the host": (5, on_the_server(lambda engine, host: host.kill("SIGKILL"))),
    "the host, politely": (3, on_the_server(lambda engine, host: host.stop(timeout=5))),
    "the host, removed": (3, on_the_server(lambda engine, host: host.remove(force=True, v=True))),
    "its interface": (
        5,
        on_the_server(lambda engine, host: engine.interface(host).kill("SIGKILL")),
    ),
}


@pytest.mark.slow
def test_thirty_kills(tmp_path: Path) -> None:
    print(f"HANDSON_SEED={SEED}")
    chosen = random.Random(SEED)
    drawn = [name for name, (times, _how) in VICTIMS.items() for _time in range(times)]
    assert len(drawn) == KILLS
    chosen.shuffle(drawn)
    Lab(NAME).down()
    try:
        course = Course(Workspace(NAME, tmp_path / "home"), chosen)
        seen = set()
        for number, victim in enumerate(drawn, start=1):
            with course.stream():
                threading.Event().wait(chosen.uniform(0, 1))  # a moment, whichever it is
                print(number, victim, flush=True)
                if not VICTIMS[victim][1](course):
                    continue
            course.step.hosts.close()
            # Where only the engine's service has gone, the next question has to do.
            needs_up = victim != "the engine's service"
            course.step = course.make() if needs_up else begin("00_start", course.workspace)
            said = course.said()
            assert course.done() == said, (number, victim)
            seen |= {*said.values()}
        assert seen == {True, False}  # it was not the same all the time
    finally:
        Lab(NAME).down()
