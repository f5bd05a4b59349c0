"""Names end at the mailbox; the client is behind its bastion; host keys are pinned."""

from __future__ import annotations

import json

import pytest
from looking import connect, python_on

from handson.course.begin import begin
from handson.course.step import Step
from handson.errors import HostUnreachable
from handson.hosts.host import Host
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.lab.state import LabState
from handson.workspace import Workspace

# The standard library has no question for MX: the query is put together by hand (RFC 1035).
ASK = r"""
import json, socket, struct
server = [line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")][0]
found = {}
for name, kind in QUESTIONS:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack("!6H", 7, 256, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(2)
        one.sendto(query, (server, 53))
        header = struct.unpack("!6H", one.recvfrom(512)[0][:12])
    found[f"{name} {kind}"] = [header[1] & 15, header[3]]  # its code, how many answers
print(json.dumps(found))
"""
A, MX, AAAA = 1, 15, 28


@pytest.fixture
def state(lab: Lab) -> LabState:
    return LabState.load(lab.name)


@pytest.mark.parametrize("name", ["server", "client", "mailbox", "pc"])
def test_every_name_is_the_mailbox(name: str, step: Step, engine: Engine, state: LabState) -> None:
    label = name
    if name in ("server", "client"):
        instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-{name}")
        assert instance is not None
        label = instance.id
    program = (
        "import json, socket; print(json.dumps([socket.gethostbyname(name) for name in "
        "('example.net', 'mx.of.somebody.test', 'anything.at.all')]))"
    )
    assert python_on(engine, engine.host(label), program) == [state.mailbox_ip] * 3


def test_there_is_no_mx_and_no_ipv6(client: Host) -> None:
    questions = [("example.net", MX), ("example.net", AAAA), ("example.net", A)]
    status, output = client.probe("python3 -", stdin=ASK.replace("QUESTIONS", repr(questions)))
    assert status == 0, output
    # No error and no answer: the mail goes to the address of the domain itself (RFC 5321, 5.1).
    assert json.loads(output) == {
        "example.net 15": [0, 0],
        "example.net 28": [0, 0],
        "example.net 1": [0, 1],
    }


def test_addresses_of_the_vpc_have_names(step: Step, server: Host) -> None:
    ip = step.settings.client_ip
    name = server.read("getent hosts {ip}", ip=ip).split()
    assert name == [ip, f"ip-{ip.replace('.', '-')}.compute.internal"]


def test_the_client_is_only_behind_the_server(
    step: Step, pc: Host, server: Host, engine: Engine
) -> None:
    instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-client")
    assert instance is not None and instance.public_ip == ""
    container = engine.host(instance.id)
    assert container is not None
    assert engine.addresses(container) == [step.settings.client_ip]
    assert connect(pc, step.settings.client_ip, 22) == "unreachable"
    assert connect(server, step.settings.client_ip, 22) == "open"
    answer = pc.probe("ip route get {ip}", ip=step.settings.client_ip)[1]
    assert "unreachable" in answer
    came_from = step.client.read("echo $SSH_CONNECTION").split()[0]
    assert came_from == step.settings.server_ip


@pytest.mark.parametrize("name", ["server", "client"])
def test_the_console_shows_the_hosts_own_keys(name: str, step: Step) -> None:
    host = step.server if name == "server" else step.client
    instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-{name}")
    assert instance is not None
    own = host.read("cat /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub")
    expected = sorted(" ".join(line.split()[:2]) for line in own.splitlines())
    assert sorted(step.cloud.host_keys(instance.id)) == expected
    assert sorted(step.workspace.pinned(instance.id)) == expected


def test_each_host_has_keys_of_its_own(step: Step, state: LabState) -> None:
    keys = [*state.pc_host_keys, *state.mailbox_host_keys]
    for host in (step.server, step.client):
        keys += host.read("cat /etc/ssh/ssh_host_*_key.pub").splitlines()
    kinds = [" ".join(key.split()[:2]) for key in keys]
    assert len(set(kinds)) == len(kinds) == 8


@pytest.mark.parametrize("name", ["server", "client"])
def test_another_host_key_is_refused(
    name: str, step: Step, tmp_path_factory: pytest.TempPathFactory, state: LabState
) -> None:
    folder = tmp_path_factory.mktemp("wrong-pins")
    workspace = Workspace(step.workspace.name, folder)
    for file in ("key", "choices.json", "pins.json"):
        (folder / file).write_bytes((step.workspace.path / file).read_bytes())
        (folder / file).chmod(0o600)
    instance = step.cloud.instance(f"{step.settings.date}-smtp-handson-{name}")
    assert instance is not None
    workspace.pin(instance.id, state.mailbox_host_keys)
    other = begin("00_start", workspace)
    try:
        with pytest.raises(HostUnreachable, match="another SSH host key than the one that was"):
            (other.server if name == "server" else other.client).run("touch /tmp/executed")
    finally:
        other.hosts.close()
    good = step.server if name == "server" else step.client
    good.refused("ls /tmp/executed", "No such file")
