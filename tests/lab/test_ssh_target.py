"""Two hosts that one has already: those of a lab, reached by plain ssh, with no AWS about them.

Each is at a port of loopback, as a host would be at some address: a process of ssh carries that
port to the host's own sshd. The course knows nothing of the lab then.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import pytest
from looking import WORKER
from solving import learner, solve
from waiting import wait_until

from handson.cli.status import status
from handson.course import progress
from handson.course.begin import begin
from handson.course.goto import goto
from handson.course.undo import undo
from handson.hosts.ssh import ssh_command
from handson.workspace import Workspace

pytestmark = pytest.mark.slow(minutes=2)

NAME = f"plainssh{WORKER}"
STEPS = ("02_sasl_install", "03_sasldb", "04_main_cf", "05_master_cf")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def has_sshd(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            return line.recv(4) == b"SSH-"
    except OSError:
        return False


@contextmanager
def carried(host: str, workspace: Workspace) -> Iterator[int]:
    """Let a port of loopback lead to the sshd of a host of the lab; yield the port."""
    port = free_port()
    forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:127.0.0.1:22"]
    program, *words = ssh_command(host, workspace, [])
    process = subprocess.Popen([program, *forward, *words], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: has_sshd(port) or process.poll() is not None)
        assert process.poll() is None
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The workspace of somebody who has two hosts, with a relay that trusts the client's address.

    The lab's part is over when they are there and their firewall lets the client in.
    """
    folder = tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        lab = stack.enter_context(learner(NAME, folder / "lab"))
        solve("00_start")
        step = begin("00_start")
        settings, keys = step.settings, {}
        step.cloud.open_port(587, f"{settings.client_ip}/32")
        for name in ("server", "client"):
            keys[name] = step.hosts.place(name).host_keys
        step.hosts.close()
        ports = {name: stack.enter_context(carried(name, lab)) for name in ("server", "client")}
        chosen = {
            "HANDSON_NAME": f"{NAME}-own",
            "HANDSON_WORKSPACE": str(folder / "own"),
            "HANDSON_TARGET": "ssh",
            "HANDSON_SERVER": f"admin@127.0.0.1:{ports['server']}",
            "HANDSON_CLIENT": f"admin@127.0.0.1:{ports['client']}",
            "HANDSON_SERVER_IP": settings.server_ip,
            "HANDSON_CLIENT_IP": settings.client_ip,
            "HANDSON_SSH_KEY": str(lab.key_file),
            "HANDSON_SERVER_HOST_KEY": keys["server"][0],
            "HOME": str(folder),
        }
        # One key is told, the other one is known to ssh: the two ways in which there are.
        (folder / ".ssh").mkdir()
        known = [f"[127.0.0.1]:{ports['client']} {key}\n" for key in keys["client"]]
        (folder / ".ssh" / "known_hosts").write_text("".join(known))
        with mock.patch.dict(os.environ, chosen):
            yield Workspace()


def states(workspace: Workspace) -> dict[str, str]:
    step = begin("00_start", workspace)
    try:
        return progress.now(step)
    finally:
        step.disconnect()


def test_the_hosts_are_met_and_not_made(own: Workspace) -> None:
    solve("00_start")
    step = begin("00_start", own)
    try:
        made = step.create()
        matrix = step.relay_matrix("start")
    finally:
        step.hosts.close()
    assert "nothing was made" in made.text()
    # Who is not there tries nothing: neither a stranger nor anybody on the Internet.
    assert [origin.name for origin in matrix.origins] == ["client"]
    assert matrix.is_as_expected, matrix.text()
    assert "admin@127.0.0.1" in "\n".join(view.text() for view in status(own))


def test_the_steps_pass_by_their_notebooks(own: Workspace) -> None:
    solve("01_security_group")
    checks = {check["id"]: check for check in own.progress()["01_security_group"]["checks"]}
    assert not checks["submission-allowed"]["applies"]
    assert checks["submission-answers"]["ok"]
    for slug in STEPS:
        solve(slug)
        assert own.progress()[slug]["passed"], slug
        # Without a third host nobody can tell what a stranger meets.
        checks = {check["id"]: check for check in own.progress()[slug]["checks"]}
        away = {id for id, check in checks.items() if not check["applies"]}
        assert away == ({"strangers-refused"} if slug == "04_main_cf" else set())
        assert all(check["ok"] for id, check in checks.items() if id not in away)
    assert {states(own)[slug] for slug in ("00_start", "01_security_group", *STEPS)} == {"done"}


def test_ways_back_and_forth(own: Workspace) -> None:
    """Whatever the test before has left: to the start of a step, and a step back."""
    note = goto("05", own)
    assert "05_master_cf" in note.text()
    found = states(own)
    assert {found[slug] for slug in ("00_start", "01_security_group", *STEPS[:-1])} == {"done"}
    step = begin("05_master_cf", own)
    try:
        assert not step.look().passed
        undone = undo(begin("02_sasl_install", own))
        assert [one.slug for one, _shown in undone.steps][-1] == "02_sasl_install"
        assert not step.server.facts.package("sasl2-bin").is_installed
        assert step.hosts.client.read("echo still there") == "still there\n"
    finally:
        step.hosts.close()


def test_nothing_is_deleted(own: Workspace) -> None:
    solve("10_teardown")
    report = own.progress()["10_teardown"]
    assert report["passed"] and not any(check["applies"] for check in report["checks"])
    step = begin("00_start", own)
    try:
        assert step.server.read("true") == step.client.read("true") == ""
    finally:
        step.hosts.close()
