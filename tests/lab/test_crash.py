"""A lab that was killed anywhere comes up again, and goes down without a trace."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from looking import connect, traces
from waiting import own, wait_until

from handson.errors import CloudError, HandsonError, LabDown
from handson.host import Host
from handson.lab import Lab, engine_service, network, processes
from handson.lab import engine as engines
from handson.lab.engine import Engine
from handson.lab.lab import SERVER
from handson.lab.state import LabState, lab_folder
from handson.stacks import plan
from handson.step import Step, begin
from handson.workspace import Workspace

OwnLab = Callable[[str], Lab]


@pytest.fixture
def home(tmp_path: Path) -> Callable[[str], Workspace]:
    return lambda name: Workspace(name, tmp_path / name)


def kill(*words: str) -> None:
    found = processes.find(*words)
    assert found, words
    for process in found:
        os.kill(process.pid, signal.SIGKILL)
        # What is dead may wait for whoever started it to take notice.
        wait_until(lambda one=process: not processes.runs(one), 60)  # type: ignore[misc]


# Three hosts, the interface of each, three networks, the API.
WHOLE = 10


def no_trace(name: str) -> None:
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not traces(name), 20)
    assert traces(name) == []


def two_stacks(workspace: Workspace) -> Step:
    """Make the network and the server; return a step."""
    step = begin("00_start", workspace)
    step.save(step.form())
    key = step.cloud.import_key(workspace.public_key)
    for stack in plan(step.settings, key, step.settings.own_ip)[:2]:
        step.cloud.create(stack)
    assert step.server.read("hostname").startswith("ip-")
    step.hosts.close()
    return begin("00_start", workspace)


def test_the_api_is_killed(lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]) -> None:
    crashed, workspace = own_lab(own("t1")), home(own("t1"))
    before = crashed.up(workspace.public_key)
    two_stacks(workspace)
    kill(SERVER, str(lab_folder(own("t1"))))
    assert not crashed.is_up
    with pytest.raises(CloudError, match="The AWS API does not answer"):
        begin("00_start", workspace).cloud.stacks()
    after = crashed.up(workspace.public_key)
    assert crashed.is_up and after.endpoint != before.endpoint
    # The API keeps its books in memory; what stood in them is gone with them.
    assert len(crashed.left_over()) == WHOLE
    assert begin("00_start", workspace).cloud.stacks() == []
    assert crashed.down()
    no_trace(own("t1"))
    with pytest.raises(LabDown):
        _ = begin("00_start", workspace).target


def test_the_engines_service_is_killed(
    lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    crashed, workspace = own_lab(own("t2")), home(own("t2"))
    state = crashed.up(workspace.public_key)
    folder = lab_folder(own("t2"))
    if not engine_service.service_processes(folder):
        pytest.skip("this engine's service is the machine's own, not the lab's")
    kill("podman", "system", "service", f"unix://{folder / engine_service.SOCKET}")
    assert crashed.up(workspace.public_key) == state  # its hosts never stopped
    two_stacks(workspace)  # and the API finds the new service
    kill("podman", "system", "service", f"unix://{folder / engine_service.SOCKET}")
    assert crashed.down()
    no_trace(own("t2"))


UP = "import sys; from handson.lab import Lab; Lab(sys.argv[1]).up(sys.argv[2])"


@pytest.mark.parametrize("seconds", [0.8, 1.6, 2.4])
def test_up_is_killed(
    seconds: float, lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    crashed, workspace = own_lab(own("t3")), home(own("t3"))
    process = subprocess.Popen(
        [sys.executable, "-c", UP, own("t3"), workspace.public_key],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    time.sleep(seconds)
    process.kill()
    process.wait()
    if seconds > 2:
        crashed.down()
        no_trace(own("t3"))
    else:
        state = crashed.up(workspace.public_key)
        assert crashed.is_up and LabState.load(own("t3")) == state
        assert len(crashed.left_over()) == WHOLE
        crashed.down()
        no_trace(own("t3"))


def test_hosts_that_were_removed_by_hand(
    lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    crashed, workspace = own_lab(own("t4")), home(own("t4"))
    crashed.up(workspace.public_key)
    with engines.connect(own("t4")) as engine:
        host = engine.host("mailbox")
        assert host is not None
        host.remove(force=True, v=True)
    crashed.up(workspace.public_key)
    with engines.connect(own("t4")) as engine:
        assert engine.host("mailbox") is not None
    crashed.down()
    no_trace(own("t4"))
    assert not crashed.down()  # nothing was left to remove
    no_trace(own("t4"))


def test_two_labs_side_by_side(
    step: Step, client: Host, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    other = own_lab(own("t5"))
    state, shared = other.up(home(own("t5")).public_key), LabState.load(step.workspace.name)
    assert state.vpc_cidr != shared.vpc_cidr and state.internet_cidr != shared.internet_cidr
    second = two_stacks(home(own("t5")))
    assert second.settings.server_ip != step.settings.server_ip
    # Neither reaches the other, whatever its security groups say.
    assert connect(client, second.settings.server_ip, 25) == "unreachable"
    assert connect(second.server, step.settings.server_ip, 25) == "unreachable"
    second.hosts.close()
    other.down()
    no_trace(own("t5"))
    assert Lab(step.workspace.name).is_up
    assert client.read("echo there") == "there\n"
    assert step.talk(25).is_accepted


def test_labs_that_start_at_the_same_moment(
    own_lab: OwnLab, home: Callable[[str], Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes the same networks for free; the engine gives none out twice."""
    monkeypatch.setattr(Engine, "subnets", lambda self: [])
    monkeypatch.setattr(network, "taken", list)
    labs = {own_lab(name): home(name).public_key for name in (own("t7"), own("t8"), own("t9"))}
    with ThreadPoolExecutor(len(labs)) as pool:
        states = list(pool.map(lambda lab: lab.up(labs[lab]), labs))
    assert len({state.vpc_cidr for state in states}) == len(labs)
    assert len({state.internet_cidr for state in states}) == len(labs)


def test_a_shared_lab_leaves_no_processes_behind(lab: Lab, step: Step) -> None:
    """Commands that the lab ran in its hosts over the engine do not pile up."""

    def watchers() -> int:
        return len(processes.find("conmon", engine.full("pc")))

    with engines.connect(lab.name) as engine:
        for _ in range(10):
            engine.run(engine.host("pc"), "true")
    deadline = time.monotonic() + 15
    while watchers() > 1 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert watchers() <= 1


def test_memory(lab: Lab, step: Step) -> None:
    found = lab.memory()
    date = step.settings.date
    names = {f"{date}-smtp-handson-{name}" for name in ("server", "client")}
    assert {"pc", "mailbox", "resolver"} | names <= found.keys()
    assert all(100_000 < number < 500_000_000 for number in found.values()), found


def test_a_name_that_is_none() -> None:
    with pytest.raises(HandsonError, match="cannot name a lab"):
        Lab("../etc")
