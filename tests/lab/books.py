"""For tests: something of a lab is killed while its ports are opened and closed.

After each time the books of the security group and the packets have to tell the same.
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

from looking import connect_all
from waiting import wait_until

from handson.errors import HandsonError
from handson.lab import Lab, engine_service, processes
from handson.lab import engine as engines
from handson.lab.lab import SERVER
from handson.lab.state import lab_folder
from handson.stacks import plan
from handson.step import Step, begin
from handson.workspace import Workspace

# Read here: the tests take such variables out of the way before they begin.
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
PORTS = (2001, 2002, 2003)  # nothing listens there: what is let in is refused by the host
LET_IN, DROPPED = "refused", "timed out"


class Course:
    """A lab with a server, and a stream of opens and closes of its ports."""

    def __init__(self, workspace: Workspace, chosen: random.Random) -> None:
        self.workspace, self.chosen = workspace, chosen
        self.lab = Lab(workspace.name)
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


def kill_service(course: Course) -> None:
    """Kill the container engine's service, where it is not the machine's own."""
    _kill(engine_service.service_processes(lab_folder(course.lab.name)))


def kill_api(course: Course) -> None:
    _kill(processes.find(SERVER, str(lab_folder(course.lab.name))))


def _kill(found: list[Any]) -> None:
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda one=process: not processes.runs(one), 20)  # type: ignore[misc]


def on_the_server(act: Callable[[engines.Engine, Any], object]) -> Callable[[Course], None]:
    def kill(course: Course) -> None:
        with engines.connect(course.lab.name) as engine:
            (host,) = engine.hosts(**{"handson.role": "instance"})
            with contextlib.suppress(engines.BROKEN):  # type: ignore[arg-type]
                act(engine, host)

    return kill


VICTIMS: dict[str, Callable[[Course], None]] = {
    "the engine's service": kill_service,
    "the API": kill_api,
    "the host": on_the_server(lambda engine, host: host.kill("SIGKILL")),
    "the host, politely": on_the_server(lambda engine, host: host.stop(timeout=5)),
    "the host, removed": on_the_server(lambda engine, host: host.remove(force=True, v=True)),
    "its interface": on_the_server(lambda engine, host: engine.interface(host).kill("SIGKILL")),
}


def kill_and_compare(name: str, times: dict[str, int], home: Path) -> None:
    """Kill each of these victims so often, in an order drawn by chance, and compare each time."""
    print(f"HANDSON_SEED={SEED}")
    chosen = random.Random(SEED)
    drawn = [victim for victim, number in times.items() for _time in range(number)]
    chosen.shuffle(drawn)
    Lab(name).down()
    try:
        course = Course(Workspace(name, home), chosen)
        seen = set()
        for number, victim in enumerate(drawn, start=1):
            print(number, victim, flush=True)
            with course.stream():
                threading.Event().wait(chosen.uniform(0, 1))  # a moment, whichever it is
                VICTIMS[victim](course)
            course.step.hosts.close()
            # Where only the engine's service has gone, the next question has to do.
            needs_up = victim != "the engine's service"
            course.step = course.make() if needs_up else begin("00_start", course.workspace)
            said = course.said()
            assert course.done() == said, (number, victim)
            seen |= {*said.values()}
        course.step.hosts.close()
        assert seen == {True, False}  # it was not the same all the time
    finally:
        Lab(name).down()
