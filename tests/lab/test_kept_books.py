"""The API of a lab is killed, or the engine hangs: what was made stays, and is answered for."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from looking import WORKER, connect
from waiting import wait_until

from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import CloudError
from handson.lab import engine as engines
from handson.lab import engine_service, processes
from handson.lab.lab import SERVER, Lab
from handson.lab.state import BOOKS, lab_folder
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=3)

NAME = f"kept{WORKER}"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A learner's workspace, with the hosts of the course."""
    found = Workspace(NAME, tmp_path_factory.mktemp("kept") / "workspace")
    lab = Lab(NAME)
    lab.down()
    try:
        lab.up(found.public_key)
        step = begin("00_start", found)
        step.save(step.form())
        step.create()
        step.disconnect()
        yield found
    finally:
        lab.down()


def kill_the_api() -> None:
    (server,) = processes.find(SERVER, str(lab_folder(NAME)))
    server.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes.runs(server), 20)


def told(step: Step) -> dict[str, Any]:
    """Return all that the API tells of what was made."""
    ec2: Any = step.cloud._aws._client("ec2")
    keys = {
        "describe_instances": "Reservations",
        "describe_vpcs": "Vpcs",
        "describe_subnets": "Subnets",
        "describe_route_tables": "RouteTables",
        "describe_security_groups": "SecurityGroups",
        "describe_security_group_rules": "SecurityGroupRules",
        "describe_key_pairs": "KeyPairs",
    }
    found = {call: getattr(ec2, call)()[key] for call, key in keys.items()}
    return {**found, "stacks": step.cloud.stacks()}


def test_the_api_is_killed(workspace: Workspace) -> None:
    lab, step = Lab(NAME), begin("00_start", workspace)
    step.cloud.open_port(2001, step.settings.vpc_cidr)
    step.server.run("touch ~/mine")
    before, state = told(step), lab.state()
    assert state is not None
    step.disconnect()
    kill_the_api()
    assert not lab.is_up
    with pytest.raises(CloudError, match="The AWS API does not answer"):
        begin("00_start", workspace).cloud.stacks()

    after = lab.up(workspace.public_key)
    assert lab.renewed == []
    assert after.endpoint != state.endpoint
    assert (after.key_id, after.key_secret, after.pc_port) == (
        state.key_id,
        state.key_secret,
        state.pc_port,
    )
    assert stat.S_IMODE((lab_folder(NAME) / BOOKS).stat().st_mode) == 0o600
    step = begin("00_start", workspace)
    try:
        assert told(step) == before
        assert step.server.read("ls ~/mine").endswith("mine\n")
        assert step.talk(25).is_accepted
        # It goes on as if nothing had been: ports, and what is made anew.
        assert connect(step.client, step.settings.server_ip, 2001) == "refused"
        step.cloud.close_port(2001, step.settings.vpc_cidr)
        assert connect(step.client, step.settings.server_ip, 2001) == "timed out"
        step.cloud.open_port(2001, step.settings.vpc_cidr)
        assert connect(step.client, step.settings.server_ip, 2001) == "refused"
    finally:
        step.disconnect()


def test_a_host_and_the_api_are_killed(workspace: Workspace) -> None:
    step = begin("00_start", workspace)
    step.server.run("touch ~/mine")
    server, client = (
        step.cloud.instance(name) for name in (step.cloud.names.server, step.cloud.names.client)
    )
    assert server is not None and client is not None
    step.disconnect()
    kill_the_api()
    with engines.connect(NAME) as engine:
        engine.host(server.id).kill("SIGKILL")  # type: ignore[union-attr]
        engine.host("pc").remove(force=True, v=True)  # type: ignore[union-attr]
        engine.interface(engine.host(client.id)).kill("SIGKILL")
    lab = Lab(NAME)
    lab.up(workspace.public_key)
    assert lab.renewed == ["pc"]
    step = begin("00_start", workspace)
    try:
        again = step.cloud.instance(step.cloud.names.server)
        assert again is not None
        assert (again.id, again.state) == (server.id, "running")
        assert again.public_ip
        assert step.server.read("ls ~/mine").endswith("mine\n")
        assert step.talk(25).is_accepted
    finally:
        step.disconnect()


def test_a_change_is_broken_off_by_the_death_of_the_api(workspace: Workspace) -> None:
    """Whatever was done of it by then, books and packets tell the same afterwards."""
    lab = Lab(NAME)
    for after in (0.0, 0.05, 0.2, 0.5):
        step = begin("00_start", workspace)
        cidr = step.settings.vpc_cidr
        was_open = connect(step.client, step.settings.server_ip, 2002) == "refused"
        act = step.cloud.close_port if was_open else step.cloud.open_port
        with ThreadPoolExecutor() as pool:
            change = pool.submit(act, 2002, cidr)
            time.sleep(after)
            kill_the_api()
            error = change.exception()
        assert error is None or isinstance(error, CloudError)
        step.disconnect()
        lab.up(workspace.public_key)
        step = begin("00_start", workspace)
        rules = step.cloud.rules(step.cloud.names.server_group)
        is_open = any(rule.opens(2002) and rule.source == cidr for rule in rules)
        answer = connect(step.client, step.settings.server_ip, 2002)
        assert answer == ("refused" if is_open else "timed out")
        assert error is not None or is_open is not was_open  # what was answered was done
        step.disconnect()


def test_the_engine_hangs(workspace: Workspace) -> None:
    """Its service is there and says nothing: another one is started, and the API goes on."""
    step = begin("00_start", workspace)
    found = engine_service.service_processes(lab_folder(NAME))
    if not found:
        pytest.skip("this engine's service is the machine's own, not the lab's")
    attempts: list[int] = []
    ec2: Any = step.cloud._aws._client("ec2")
    ec2.meta.events.register("before-send", lambda **_more: attempts.append(1))
    try:
        for process in found:
            os.kill(process.pid, signal.SIGSTOP)
        assert step.cloud.instance(step.cloud.names.server).state == "running"  # type: ignore[union-attr]
        assert len(attempts) == 1  # it was answered while boto3 waited
        assert step.cloud.open_port(2003, step.settings.vpc_cidr)
        assert connect(step.client, step.settings.server_ip, 2003) == "refused"
    finally:
        for process in found:
            os.kill(process.pid, signal.SIGCONT)
        step.disconnect()


def test_the_engine_is_gone(workspace: Workspace) -> None:
    """No engine can be started any more: the answer says so, and the log holds the rest."""
    (server,) = processes.find(SERVER, str(lab_folder(NAME)))
    socket = lab_folder(NAME) / engine_service.SOCKET
    processes.end(engine_service.service_processes(lab_folder(NAME)))
    socket.unlink(missing_ok=True)
    socket.mkdir()  # no service can listen there
    step = begin("00_start", workspace)
    try:
        for ask in (step.cloud.rules, step.cloud.stacks):
            with pytest.raises(CloudError, match="Podman") as caught:
                ask()
            assert "Traceback" not in str(caught.value) and "docker" not in caught.value.what
        with pytest.raises(CloudError, match="Podman"):
            step.cloud.open_port(2003, step.settings.vpc_cidr)
        assert "Traceback" in (lab_folder(NAME) / "server.log").read_text()
        assert processes.runs(server)
    finally:
        socket.rmdir()
    # It is there again: so is all else.
    step.cloud.close_port(2003, step.settings.vpc_cidr)
    assert connect(step.client, step.settings.server_ip, 2003) == "timed out"
    step.disconnect()


def test_the_end(workspace: Workspace) -> None:
    """What an API that was killed had made can be deleted."""
    kill_the_api()
    lab = Lab(NAME)
    lab.up(workspace.public_key)
    step = begin("00_start", workspace)
    for stack in reversed(step.cloud.stacks()):
        assert step.cloud.delete_stack(stack.name)
    assert step.cloud.stacks() == []
    ec2: Any = step.cloud._aws._client("ec2")
    assert [v for v in ec2.describe_vpcs()["Vpcs"] if not v["IsDefault"]] == []
    with engines.connect(NAME) as engine:
        assert {host.labels["handson.host"] for host in engine.hosts()} == {
            "pc",
            "mailbox",
            "resolver",
        }
    step.disconnect()
