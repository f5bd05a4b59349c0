"""For tests: something of a lab is killed while its ports are opened and closed.

After each time the books of the security group, the packets and the rules in the host's
firewall have to tell the same. `HANDSON_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from looking import connect_all, connect_program, python_on
from waiting import LONG, NEVER, wait_until

from handson.cloud.stacks import plan
from handson.course.begin import begin
from handson.errors import HandsonError
from handson.lab import engine as engines
from handson.lab import engine_service, processes
from handson.lab.engine_errors import BROKEN
from handson.lab.lab import SERVER, Lab
from handson.lab.state import lab_folder
from handson.workspace import Workspace

# Read here: the tests take such variables out of the way before they begin.
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
PORTS = (2001, 2002, 2003)  # nothing listens there: what is let in is refused by the host
LET_IN, DROPPED = "refused", "timed out"
Let = set[tuple[str, int]]


class Course:
    """A lab with a server, and a stream of opens and closes of its ports."""

    def __init__(self, workspace: Workspace, chosen: random.Random) -> None:
        self.workspace, self.chosen = workspace, chosen
        self.lab = Lab(workspace.name)
        self.lab.up(workspace.public_key)
        self.step = begin("00_start", workspace)
        self.make()

    def begin_anew(self) -> None:
        """Begin as a notebook does: with no connection from before."""
        self.step.hosts.close()
        self.step = begin("00_start", self.workspace)

    def make(self) -> None:
        """Bring the lab up, and make the network and the server where they are not there."""
        self.lab.up(self.workspace.public_key)
        self.begin_anew()
        step = self.step
        step.save(step.form())
        key = step.cloud.import_key(self.workspace.public_key)
        for stack in plan(step.settings, key, step.settings.own_ip)[:2]:
            step.cloud.create(stack)

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Open and close ports in a thread, some of them before this goes on.

        What is refused by a lab in trouble is tried on.
        """
        over, step, chosen = threading.Event(), self.step, random.Random(self.chosen.random())
        before, changes = self.said(), threading.Semaphore(0)

        def go_on() -> None:
            let = set(before)
            while not over.is_set():
                rule = chosen.choice(self.sources), chosen.choice(PORTS)
                act = step.cloud.close_port if rule in let else step.cloud.open_port
                let ^= {rule}
                with contextlib.suppress(HandsonError):
                    act(rule[1], rule[0])
                changes.release()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            for _number in range(chosen.randint(1, 3)):
                assert changes.acquire(timeout=NEVER)
            yield
        finally:
            over.set()
            thread.join()

    @property
    def sources(self) -> tuple[str, str]:
        """The whole VPC, and one address: that of the learner's place."""
        return self.step.settings.vpc_cidr, f"{self.step.settings.own_ip}/32"

    def state(self) -> str:
        """Return what EC2 says of the server: this is the first question after a kill."""
        instance = self.step.cloud.instance(self.step.cloud.names.server)
        assert instance is not None
        return instance.state

    def said(self) -> Let:
        """Return what the books let in: pairs of a source and a port."""
        rules = self.step.cloud.rules(self.step.cloud.names.server_group)
        pairs = itertools.product(self.sources, PORTS)
        return {(s, p) for s, p in pairs if any(r.opens(p) and r.source == s for r in rules)}

    def done(self) -> Let:
        """Return what packets from those sources get through."""
        instance = self.step.cloud.instance(self.step.cloud.names.server)
        assert instance is not None and self.step.target.jump is not None
        vpc, learner = self.sources
        targets = [(instance.private_ip, port) for port in PORTS]
        with engines.connect(self.lab.name) as engine:
            # The resolver of the lab has an address in the VPC.
            program = connect_program(targets, 1.0)
            answers = python_on(engine, engine.host("resolver"), program)
        let = {(vpc, port) for port in PORTS if is_let_in(answers[f"{instance.private_ip} {port}"])}
        if not instance.public_ip:  # it is stopped
            return let
        targets = [(instance.public_ip, port) for port in PORTS]
        answers = connect_all(self.step.hosts.internet, targets)  # type: ignore[arg-type]
        return let | {
            (learner, port) for port in PORTS if is_let_in(answers[f"{instance.public_ip} {port}"])
        }

    def loaded(self) -> Let:
        """Return what the rules in the server's firewall let in."""
        with engines.connect(self.lab.name) as engine:
            (host,) = engine.hosts(**{"handson.role": "instance"})
            text = engine.run(engine.interface(host), "nft list ruleset")
        return {
            (source, port)
            for source, port in itertools.product(self.sources, PORTS)
            if f"tcp dport {port} ip saddr {source.removesuffix('/32')} accept" in text
        }

    def compare(self) -> Let:
        """See that all tell the same; return what is let in."""
        said = self.said()
        assert self.done() == said
        assert self.loaded() == said
        return said


def is_let_in(answer: str) -> bool:
    assert answer in (LET_IN, DROPPED, "unreachable"), answer
    return answer == LET_IN


def kill_service(course: Course) -> None:
    """Kill the container engine's service, where it is not the machine's own."""
    _kill(engine_service.service_processes(lab_folder(course.lab.name)))


def kill_api(course: Course) -> None:
    _kill(processes.find(SERVER, str(lab_folder(course.lab.name))))


def _kill(found: list[Any]) -> None:
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda one=process: not processes.runs(one))  # type: ignore[misc]


def on_the_server(act: Callable[[engines.Engine, Any], object]) -> Callable[[Course], None]:
    def kill(course: Course) -> None:
        with engines.connect(course.lab.name) as engine:
            (host,) = engine.hosts(**{"handson.role": "instance"})
            with contextlib.suppress(BROKEN):  # type: ignore[arg-type]
                act(engine, host)

    return kill


VICTIMS: dict[str, Callable[[Course], None]] = {
    "the engine's service": kill_service,
    "the API": kill_api,
    "the host": on_the_server(lambda engine, host: host.kill("SIGKILL")),
    "the host, politely": on_the_server(lambda engine, host: host.stop(timeout=5)),
    "the host, removed": on_the_server(lambda engine, host: host.remove(force=True, v=True)),
    "its interface": on_the_server(lambda engine, host: engine.interface(host).kill("SIGKILL")),
    "its firewall": on_the_server(
        lambda engine, host: engine.run(engine.interface(host), "nft flush ruleset")
    ),
}
# What leaves the API as it was: the next question is enough. Who flushes a firewall is root on
# the machine, and nobody asks the kernel for its rules each time: `handson up` loads them anew.
HARMLESS = {"the engine's service"}
NEED_UP = {"the API", "its firewall"}


def kill_and_compare(name: str, times: dict[str, int], home: Path) -> None:
    """Kill each of these victims so often, in an order drawn by chance, and compare each time."""
    print(f"HANDSON_SEED={SEED}")
    chosen = random.Random(SEED)
    drawn = [
        victim
        for victim, number in times.items()
        for _time in range(number if LONG else math.ceil(number / 3))
    ]
    chosen.shuffle(drawn)
    Lab(name).down()
    try:
        course = Course(Workspace(name, home), chosen)
        seen: list[Let] = []
        for number, victim in enumerate(drawn, start=1):
            print(number, victim, flush=True)
            with course.stream():
                threading.Event().wait(chosen.uniform(0, 1))  # a moment, whichever it is
                VICTIMS[victim](course)
            course.begin_anew()
            if victim not in NEED_UP:
                state = course.state()
                # A change that the kill broke off has started the host anew before this answer.
                assert state in ("running", "stopped")
                assert victim not in HARMLESS or state == "running"
                if state == "running":
                    seen.append(course.compare())
                else:
                    assert course.done() == set()
            if victim not in HARMLESS:
                course.make()
                assert course.state() == "running"
                seen.append(course.compare())
        assert any(seen)  # else there was nothing to compare
        course.step.hosts.close()
    finally:
        Lab(name).down()
