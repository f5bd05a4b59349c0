"""Each operation done twice: the second finds that it is already so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from handson.cloud.cloud import Cloud
from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import HostUnreachable, LabError
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.lab.state import LabState
from handson.workspace import Workspace

SCRATCH = "/etc/twice.conf"


@pytest.fixture
def scratch(server: Host) -> Iterator[str]:
    server.run(f"printf 'one\\ntwo\\n' | sudo tee {SCRATCH}")
    yield SCRATCH
    server.run(f"sudo rm -f {SCRATCH} {SCRATCH}.*")


def containers(engine: Engine) -> dict[str, str]:
    return {host.name: host.id for host in engine.hosts()}


def test_up(lab: Lab, step: Step, engine: Engine) -> None:
    state, before = LabState.load(lab.name), containers(engine)
    said: list[str] = []
    assert lab.up(step.workspace.public_key, said.append) == state
    assert containers(engine) == before
    assert said == []


def test_up_from_another_workspace_is_refused(
    lab: Lab, step: Step, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Workspace(lab.name, tmp_path_factory.mktemp("other"))
    with pytest.raises(LabError, match="lets another key in than yours"):
        lab.up(other.public_key)
    with pytest.raises(LabError, match="lets another key in than yours"):
        _ = begin("00_start", other).target.connection
    place = step.target.jump
    assert place is not None
    with pytest.raises(HostUnreachable, match="Authentication failed"):
        Connections(other).open(place)
    Connections(step.workspace).open(place).close()


def test_create(step: Step, engine: Engine) -> None:
    before = containers(engine)
    table = step.create().text()
    assert table.count("CREATE_COMPLETE") == len(step.cloud.stacks()) >= 4
    assert containers(engine) == before


def test_a_new_kernel_finds_everything(step: Step, engine: Engine) -> None:
    before = containers(engine)
    again = begin("00_start", step.workspace)
    try:
        again.create()
        assert again.client.read("hostname") == step.client.read("hostname")
    finally:
        again.hosts.close()
    assert containers(engine) == before


def test_open_and_close_a_port(cloud: Cloud, step: Step) -> None:
    cidr = step.settings.vpc_cidr
    answers = [cloud.open_port(587, cidr), cloud.open_port(587, cidr)]
    answers += [cloud.close_port(587, cidr), cloud.close_port(587, cidr)]
    assert answers == [True, False, True, False]


def test_write(server: Host, scratch: str) -> None:
    first = server.write(scratch, "one\nthree\n", mode="0640", owner="root:postfix")
    assert "already so" not in first.text()
    stamp = server.read(f"stat -c '%y %a %U:%G' {scratch}")
    assert "640 root:postfix" in stamp
    second = server.write(scratch, "one\nthree\n", mode="0640", owner="root:postfix")
    assert "(already so)" in second.text()
    assert server.read(f"stat -c '%y %a %U:%G' {scratch}") == stamp
    assert server.read(f"sudo cat {scratch}") == "one\nthree\n"


def test_the_first_backup_is_kept(server: Host, scratch: str) -> None:
    server.backup(scratch)
    assert "no difference" in server.diff(scratch).text()
    server.write(scratch, "one\nthree\n")
    server.backup(scratch)
    (backup,) = server.backups(scratch)
    assert server.read(f"cat {backup}") == "one\ntwo\n"
    difference = server.diff(scratch).text()
    assert "-two" in difference and "+three" in difference
    assert server.diff(scratch).text() == difference


@pytest.mark.parametrize(
    "command",
    [
        "sudo postconf -e 'smtpd_banner = twice'",
        "sudo postconf -M twice/inet='twice inet n - n - - smtpd'",
        "sudo postconf -P twice/inet/smtpd_client_restrictions=permit_sasl_authenticated,reject",
    ],
)
def test_postconf(command: str, server: Host, kept_settings: Callable[[], str]) -> None:
    server.run("sudo postconf -M twice/inet='twice inet n - n - - smtpd'")
    original = kept_settings()
    server.run(command)
    once = kept_settings()
    server.run(command)
    assert kept_settings() == once
    assert once != original or "-M" in command
    assert once.count("twice") in (1, 2)


@pytest.fixture
def kept_settings(server: Host) -> Iterator[Callable[[], str]]:
    """Return what tells the two files' content, and put the files back afterwards."""
    server.run("sudo cp -a /etc/postfix/main.cf /etc/postfix/master.cf /root/")
    yield lambda: server.read("sudo cat /etc/postfix/main.cf /etc/postfix/master.cf")
    server.run("sudo cp -a /root/main.cf /root/master.cf /etc/postfix/")
