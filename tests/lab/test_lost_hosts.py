"""A host that was stopped or removed by hand is told of, and comes back with `handson up`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from looking import WORKER
from waiting import NEVER

from handson.cli import main
from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import HostUnreachable
from handson.lab import engine as engines
from handson.lab.lab import Lab
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=5)

NAME = f"lost{WORKER}"
ROOT = Path(main.__file__).parents[2]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A learner's workspace; the hosts of the course are made, and work."""
    found = Workspace(NAME, tmp_path_factory.mktemp("lost") / "workspace")
    Lab(NAME).down()
    try:
        assert "is up." in handson(found, "up")
        step = begin("00_start", found)
        step.save(step.form())
        step.create()
        assert step.talk(25).is_accepted
        step.disconnect()
        yield found
    finally:
        Lab(NAME).down()


@pytest.fixture
def step(workspace: Workspace) -> Iterator[Step]:
    step = begin("00_start", workspace)
    yield step
    step.disconnect()


def handson(workspace: Workspace, command: str, *arguments: str) -> str:
    """Run `handson` as a learner does; return what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDSON_")}
    ended = subprocess.run(
        [sys.executable, "-m", "handson.cli.main", command, "--name", NAME, *arguments],
        env={**kept, "HANDSON_WORKSPACE": str(workspace.path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=NEVER,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def full(step: Step, host: str) -> str:
    """Return how the lab calls a host."""
    return step.cloud.names.server if host == "server" else host


def find(engine: engines.Engine, step: Step, host: str) -> Any:
    """Return the container of a host."""
    if host != "server":
        return engine.host(host)
    instance = step.cloud.instance(step.cloud.names.server)
    assert instance is not None
    return engine.host(instance.id)


def state_of(workspace: Workspace, name: str) -> str:
    """Return the state of a host in the table of `handson status`, and what stands above it."""
    said = handson(workspace, "status")
    (line,) = [line for line in said.splitlines() if line.split()[:1] == [name]]
    cure = f"Some hosts do not run. Start them: handson up --name {NAME}."
    assert (cure in said) == (" running" not in line)
    assert ("A missing host is made again" in said) == (" missing" in line)
    return line.removeprefix(name).strip()


def asked(step: Step, host: str) -> None:
    """Do what a notebook's next command does with a host."""
    if host == "mailbox":
        assert step.hosts.mailbox is not None
        step.hosts.mailbox.run("true")
    else:
        step.server.run("true")


def works_again(workspace: Workspace, name: str) -> None:
    assert state_of(workspace, name).startswith("running")
    fresh = begin("00_start", workspace)
    try:
        assert fresh.talk(25).is_accepted
        asked(fresh, "mailbox")
    finally:
        fresh.disconnect()


def says_what_to_do(step: Step, host: str) -> None:
    """Check what commands say where a host is away: one sentence, and one of what to do."""
    fresh = begin("00_start", step.workspace)
    try:
        for one in (step, fresh):  # one that was connected, and one that was not
            with pytest.raises(HostUnreachable) as caught:
                asked(one, host)
            if host == "server":
                assert caught.value.what == f"The instance {full(step, host)} is stopped."
                assert caught.value.cure == f"`handson up --name {NAME}` brings it back."
            else:
                assert "does not answer over ssh" in caught.value.what
                assert "`handson status` tells" in caught.value.cure
    finally:
        fresh.disconnect()


HOSTS = ("server", "pc", "mailbox")


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_was_stopped(host: str, workspace: Workspace, step: Step) -> None:
    asked(step, host)
    pins, name = workspace.path.joinpath("pins.json").read_text(), full(step, host)
    with engines.connect(NAME) as engine:
        find(engine, step, host).stop(timeout=5)
    assert state_of(workspace, name).startswith("exited")
    says_what_to_do(step, host)
    workspace.record("01_security_group", {"passed": True, "checks": []})
    assert "had been removed" not in handson(workspace, "up")
    assert "01_security_group" in workspace.progress()
    works_again(workspace, name)
    # It is the same host.
    assert workspace.path.joinpath("pins.json").read_text() == pins


def test_an_instance_that_was_stopped_through_the_api(workspace: Workspace, step: Step) -> None:
    server = step.cloud.instance(step.cloud.names.server)
    assert server is not None
    step.cloud._aws.call("ec2", "stop_instances", InstanceIds=[server.id])
    says_what_to_do(step, "server")
    assert "had been removed" not in handson(workspace, "up")
    works_again(workspace, full(step, "server"))


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_was_removed(host: str, workspace: Workspace, step: Step) -> None:
    asked(step, host)
    name = full(step, host)
    with engines.connect(NAME) as engine:
        find(engine, step, host).remove(force=True, v=True)
    assert state_of(workspace, name) == "missing"
    says_what_to_do(step, host)
    workspace.record("01_security_group", {"passed": True, "checks": []})
    assert f"{name} had been removed. It was made again" in handson(workspace, "up")
    # What was done on the course's hosts is forgotten where one of them is new.
    assert ("01_security_group" in workspace.progress()) == (host != "server")
    works_again(workspace, name)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_whose_network_went_away(host: str, workspace: Workspace, step: Step) -> None:
    name = full(step, host)
    with engines.connect(NAME) as engine:
        engine.interface(find(engine, step, host)).kill("SIGKILL")
        assert state_of(workspace, name).startswith("cut off")
        assert "had been removed" not in handson(workspace, "up")
        works_again(workspace, name)
        # The network is there again, but the host is still in the one that has gone.
        interface = engine.interface(find(engine, step, host))
        interface.kill("SIGKILL")
        interface.start()
        assert state_of(workspace, name).startswith("cut off")
        handson(workspace, "up")
        works_again(workspace, name)
