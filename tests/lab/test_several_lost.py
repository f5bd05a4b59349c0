"""Hosts of each kind are lost, several at once: each is named, and `handson up` brings it back."""

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
from handson.errors import HostUnreachable
from handson.lab import engine as engines
from handson.lab import internet
from handson.lab.lab import Lab
from handson.lab.state import LabState
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=4)

NAME = f"several{WORKER}"
ROOT = Path(main.__file__).parents[2]
UP = f"`handson up --name {NAME}` brings it back."


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A learner's workspace; the hosts of the course are made, and work."""
    found = Workspace(NAME, tmp_path_factory.mktemp("several") / "workspace")
    lab = Lab(NAME)
    lab.down()
    try:
        lab.up(found.public_key)
        step = begin("00_start", found)
        step.save(step.form())
        step.create()
        step.disconnect()
        works(found)
        yield found
    finally:
        lab.down()


def handson(workspace: Workspace, command: str) -> tuple[int, str]:
    """Run `handson` as a learner does; return its status and what it said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDSON_")}
    ended = subprocess.run(
        [sys.executable, "-m", "handson.cli.main", command, "--name", NAME],
        env={**kept, "HANDSON_WORKSPACE": str(workspace.path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=NEVER,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def full_name(workspace: Workspace, host: str) -> str:
    step = begin("00_start", workspace)
    return {"server": step.cloud.names.server, "client": step.cloud.names.client}.get(host, host)


def container(engine: engines.Engine, name: str) -> Any:
    (found,) = [h for h in engine.hosts() if name in (h.name, h.labels.get("handson.name"))] or [
        engine.host(name)
    ]
    return found


def works(workspace: Workspace) -> None:
    """See that the course goes on: a dialogue, names, the mailbox."""
    step = begin("00_start", workspace)
    try:
        assert step.talk(25).is_accepted
        assert step.hosts.mailbox is not None
        step.hosts.mailbox.run("true")
        assert step.server.read("getent hosts example.net")
    finally:
        step.disconnect()


def lose(workspace: Workspace, lost: dict[str, str]) -> None:
    """Stop, kill or remove hosts over the engine, behind the lab's back."""
    with engines.connect(NAME) as engine:
        for host, how in lost.items():
            found = container(engine, full_name(workspace, host))
            if how == "removed":
                found.remove(force=True, v=True)
            elif how == "cut off":
                engine.interface(found).kill("SIGKILL")
            else:
                found.kill("SIGKILL")


STATES = {"removed": "missing", "stopped": "exited", "cut off": "cut off"}
CASES: tuple[dict[str, str], ...] = (
    {"resolver": "stopped"},
    {"resolver": "removed"},
    {"resolver": "cut off"},
    {"client": "removed"},
    {"server": "stopped", "client": "stopped", "pc": "removed"},
    {"server": "removed", "client": "cut off", "mailbox": "removed", "resolver": "stopped"},
    {host: "stopped" for host in ("server", "client", "pc", "mailbox", "resolver")},
    {host: "removed" for host in ("server", "client", "pc", "mailbox", "resolver")},
)


@pytest.mark.parametrize("lost", CASES, ids=lambda lost: ",".join(lost) + " " + max(lost.values()))
def test_lost_hosts_are_named_and_come_back(lost: dict[str, str], workspace: Workspace) -> None:
    names = {host: full_name(workspace, host) for host in lost}
    workspace.record("01_security_group", {"passed": True, "checks": []})
    pins = workspace.path.joinpath("pins.json").read_text()
    lose(workspace, lost)

    status, said = handson(workspace, "status")
    assert status == 0, said
    for host, how in lost.items():
        (row,) = [line for line in said.splitlines() if line.split()[:1] == [names[host]]]
        # What EC2 calls stopped has no network any more: the lab has ended the rest of it.
        assert any(state in row for state in {STATES[how], "exited"}), row
    assert f"Start them: handson up --name {NAME}." in said

    status, said = handson(workspace, "diagnose")
    assert status == 1
    what, cure = said.splitlines()
    assert what.startswith("Not all hosts run: ") and cure == f"→ {UP}"
    assert all(f"{name} (" in what for name in names.values()), what

    step = begin("00_start", workspace)
    try:
        if "server" in lost and "pc" not in lost:
            with pytest.raises(HostUnreachable) as caught:
                step.server.run("true")
            assert caught.value.what == f"The instance {names['server']} is stopped."
            assert caught.value.cure == UP
        elif "pc" in lost and "server" not in lost:
            with pytest.raises(HostUnreachable, match="pc does not answer over ssh") as caught:
                step.server.run("true")
            assert UP in caught.value.cure
    finally:
        step.disconnect()

    status, said = handson(workspace, "up")
    assert status == 0, said
    new = {names[host] for host, how in lost.items() if how == "removed"}
    told = {line.split()[0] for line in said.splitlines() if "had been removed" in line}
    assert told == new
    is_of_course = bool({"server", "client"} & {h for h, how in lost.items() if how == "removed"})
    assert ("01_security_group" in workspace.progress()) == (not is_of_course)
    # Hosts of the lab's Internet have no pins: their keys, and the port, stand in lab.json.
    assert workspace.path.joinpath("pins.json").exists() == (not is_of_course)
    if not is_of_course:
        assert workspace.path.joinpath("pins.json").read_text() == pins
    with engines.connect(NAME) as engine:
        port = internet.published_port(engine, engine.host("pc"))
    assert LabState.load(NAME).pc_port == port
    works(workspace)
    status, said = handson(workspace, "status")
    assert "Start them" not in said
