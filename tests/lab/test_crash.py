"""A lab that was killed anywhere comes up again, and goes down without a trace."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from looking import WORKER, connect, traces
from waiting import wait_until

from handson.cloud.stacks import plan
from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import CloudError, HandsonError, LabDown
from handson.hosts.host import Host
from handson.lab import engine as engines
from handson.lab import engine_service, network, processes
from handson.lab.engine import Engine
from handson.lab.lab import SERVER, Lab
from handson.lab.state import LabState, lab_folder
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=3)

OwnLab = Callable[[str], Lab]
# Workers that run side by side have labs of their own.
T1, T2, T3, T4, T5, T7, T8, T9 = (f"t{number}{WORKER}" for number in (1, 2, 3, 4, 5, 7, 8, 9))


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
    crashed, workspace = own_lab(T1), home(T1)
    before = crashed.up(workspace.public_key)
    two_stacks(workspace)
    kill(SERVER, str(lab_folder(T1)))
    assert not crashed.is_up
    with pytest.raises(CloudError, match="The AWS API does not answer"):
        begin("00_start", workspace).cloud.stacks()
    after = crashed.up(workspace.public_key)
    assert crashed.is_up and after.endpoint != before.endpoint
    # Its books were kept: the server and its interface are there beside the lab's own.
    assert len(crashed.left_over()) == WHOLE + 2
    assert len(begin("00_start", workspace).cloud.stacks()) == 2
    assert crashed.down()
    no_trace(T1)
    with pytest.raises(LabDown):
        _ = begin("00_start", workspace).target.connection


def test_the_engines_service_is_killed(
    lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    crashed, workspace = own_lab(T2), home(T2)
    state = crashed.up(workspace.public_key)
    folder = lab_folder(T2)
    if not engine_service.service_processes(folder):
        pytest.skip("this engine's service is the machine's own, not the lab's")
    kill("podman", "system", "service", f"unix://{folder / engine_service.SOCKET}")
    assert crashed.up(workspace.public_key) == state  # its hosts never stopped
    two_stacks(workspace)  # and the API finds the new service
    kill("podman", "system", "service", f"unix://{folder / engine_service.SOCKET}")
    assert crashed.down()
    no_trace(T2)


UP = "import sys; from handson.lab.lab import Lab; Lab(sys.argv[1]).up(sys.argv[2])"


@pytest.mark.parametrize("file", ["", "server.json", "endpoint"])
def test_up_is_killed(
    file: str, lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    crashed, workspace = own_lab(T3), home(T3)
    process = subprocess.Popen(
        [sys.executable, "-c", UP, T3, workspace.public_key],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    # Its folder comes first, then the networks, then the API, and its hosts beside that.
    wait_until(lambda: (lab_folder(T3) / file).exists() or process.poll() is not None)
    assert process.poll() is None
    process.kill()
    process.wait()
    if file == "endpoint":
        crashed.down()
        no_trace(T3)
    else:
        state = crashed.up(workspace.public_key)
        assert crashed.is_up and LabState.load(T3) == state
        assert len(crashed.left_over()) == WHOLE
        crashed.down()
        no_trace(T3)


def test_hosts_that_were_removed_by_hand(
    lab: Lab, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    crashed, workspace = own_lab(T4), home(T4)
    crashed.up(workspace.public_key)
    with engines.connect(T4) as engine:
        host = engine.host("mailbox")
        assert host is not None
        host.remove(force=True, v=True)
    crashed.up(workspace.public_key)
    assert crashed.renewed == ["mailbox"]
    with engines.connect(T4) as engine:
        assert engine.host("mailbox") is not None
    assert len(crashed.left_over()) == WHOLE
    crashed.up(workspace.public_key)
    assert crashed.renewed == []
    crashed.down()
    no_trace(T4)
    assert not crashed.down()  # nothing was left to remove
    no_trace(T4)


def test_two_labs_side_by_side(
    step: Step, client: Host, own_lab: OwnLab, home: Callable[[str], Workspace]
) -> None:
    other = own_lab(T5)
    state, shared = other.up(home(T5).public_key), LabState.load(step.workspace.name)
    assert state.vpc_cidr != shared.vpc_cidr and state.internet_cidr != shared.internet_cidr
    second = two_stacks(home(T5))
    assert second.settings.server_ip != step.settings.server_ip
    # Neither reaches the other, whatever its security groups say.
    assert connect(client, second.settings.server_ip, 25) == "unreachable"
    assert connect(second.server, step.settings.server_ip, 25) == "unreachable"
    second.hosts.close()
    other.down()
    no_trace(T5)
    assert Lab(step.workspace.name).is_up
    assert client.read("echo there") == "there\n"
    assert step.talk(25).is_accepted


def test_labs_that_start_at_the_same_moment(
    own_lab: OwnLab, home: Callable[[str], Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes the same networks for free; the engine gives none out twice."""
    monkeypatch.setattr(Engine, "subnets", lambda self: [])
    monkeypatch.setattr(network, "taken", list)
    labs = {own_lab(name): home(name).public_key for name in (T7, T8, T9)}
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
    wait_until(lambda: watchers() <= 1)


def test_memory(lab: Lab, step: Step) -> None:
    found = lab.memory()
    date = step.settings.date
    names = {f"{date}-smtp-handson-{name}" for name in ("server", "client")}
    assert {"pc", "mailbox", "resolver"} | names <= found.keys()
    assert all(100_000 < number < 500_000_000 for number in found.values()), found


def test_a_name_that_is_none() -> None:
    with pytest.raises(HandsonError, match="cannot name a lab"):
        Lab("../etc")
