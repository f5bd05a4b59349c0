"""Attacks on a lab, by other users of the machine and by root inside a host.

Beside each attack stands a proof that its tool works where it may.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import users
from looking import connect, connect_program, listener
from waiting import NEVER, own

from handson.cloud.cloud import Cloud
from handson.course.step import Step
from handson.course.steps.harden import Harden
from handson.hosts.host import Host
from handson.lab import processes
from handson.lab.access import Key
from handson.lab.api import REGION, SERVICE
from handson.lab.container import File, put, started
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.lab.state import LabState, lab_folder

# Sends bytes to a port of this machine and prints what comes back.
SEND = """
import socket, sys
data = sys.stdin.buffer.read()
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as line:
    line.sendall(data)
    line.settimeout(10)
    answer, head, length = b"", b"", None
    try:
        while length is None or len(answer) < len(head) + 4 + length:
            part = line.recv(65536)
            if not part:
                break
            answer += part
            head, blank, _body = answer.partition(b"\\r\\n\\r\\n")
            for row in head.lower().split(b"\\r\\n") if blank else []:
                if row.startswith(b"content-length:"):
                    length = int(row.split(b":")[1])
    except (TimeoutError, ConnectionResetError):
        pass
sys.stdout.buffer.write(answer)
"""
READ = b"Action=DescribeVpcs&Version=2016-11-15"


@pytest.fixture(scope="module")
def guest() -> Iterator[users.User]:
    if reason := users.why_not():
        pytest.skip(reason)
    with users.user() as found:
        yield found


@pytest.fixture
def state(lab: Lab, step: Step) -> LabState:
    return LabState.load(lab.name)


@pytest.fixture
def key(state: LabState) -> Key:
    return Key(state.key_id, state.key_secret)


def ask(guest: users.User, state: LabState, data: bytes) -> bytes:
    """Send bytes to the API's port as another user, and return the answer."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", SEND, str(urlsplit(state.endpoint).port)],
        input=data,
        capture_output=True,
        timeout=NEVER,
        check=True,
        user=guest.uid,
        group=guest.uid,
        extra_groups=[],
        cwd="/",
    )
    return done.stdout


def request(
    state: LabState,
    body: bytes = READ,
    method: str = "POST",
    path: str = "/",
    headers: dict[str, str] | None = None,
) -> bytes:
    host = urlsplit(state.endpoint).netloc
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def signed(key: Key, state: LabState, body: bytes, path: str, service: str) -> dict[str, str]:
    region = REGION if service == SERVICE else "ap-northeast-1"
    return key.sign("POST", f"{state.endpoint}{path}", body, service, region)


def is_refused(answer: bytes) -> bool:
    """Return whether an answer says no and nothing else: not what program this is, nor whose."""
    head, _blank, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().splitlines()
    names = {line.partition(":")[0] for line in lines[1:]}
    return (
        lines[0].endswith("403 forbidden")
        and body == b""
        and names <= {"server", "date", "content-length", "connection"}
        and "werkzeug" not in head.decode().lower()
        and "python" not in head.decode().lower()
    )


def test_with_the_key_the_tool_works(guest: users.User, state: LabState, key: Key) -> None:
    headers = signed(key, state, READ, "/", "ec2")
    told = ask(guest, state, request(state, headers=headers))
    assert b"DescribeVpcsResponse" in told
    assert b"access-control-" not in told.lower()  # nor may a page read what its owner is told
    body = b'{"nonce": "x"}'
    own = signed(key, state, body, "/handson-lab/name", SERVICE)
    answer = ask(guest, state, request(state, body, path="/handson-lab/name", headers=own))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["answer"] == state.name


def attacks(state: LabState, key: Key) -> dict[str, bytes]:
    """Return requests of somebody who lacks the key, or has caught one that was signed."""
    right = signed(key, state, READ, "/", "ec2")
    run = b"Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=1"
    invented = (
        "AWS4-HMAC-SHA256 Credential={id}/20260101/x/ec2/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature="
    )
    other = Key(key.id, Key.new().secret)
    page = {"Origin": "https://evil.example"}
    return {
        "no key": request(state),
        "any key": request(state, headers={"Authorization": invented.format(id="lab") + "0" * 64}),
        "the key's name": request(
            state, headers={"Authorization": invented.format(id=key.id) + "0" * 64}
        ),
        "another secret": request(state, headers=signed(other, state, READ, "/", "ec2")),
        "another body": request(state, run, headers=right),
        "another path": request(state, path="/moto-api/reset", headers=right),
        "another method": request(state, method="GET", headers=right),
        "another date": request(state, headers={**right, "X-Amz-Date": "20200101T000000Z"}),
        "a web page": request(state, headers={**right, **page}),
        "a page's question": request(
            state, b"", "OPTIONS", headers={**page, "Access-Control-Request-Method": "POST"}
        ),
        "moto's reset": request(state, b"", path="/moto-api/reset"),
        "moto's data": request(state, b"", "GET", "/moto-api/data.json"),
        "the lab's name": request(state, b"", "GET", "/handson-lab"),
        "the lab's questions": request(state, b"{}", path="/handson-lab/hosts"),
        "a bucket": request(state, b"", "PUT", "/bucket"),
        "a signed address": request(
            state, b"", "GET", f"/?Action=DescribeVpcs&X-Amz-Credential={key.id}&X-Amz-Signature=0"
        ),
        "a chunked body": (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n"
        ),
        "a flood": (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 1000
        ),
        "a request within another": request(
            state, request(state, run, headers=right), headers={"Authorization": "x"}
        ),
        "a twisted path": request(state, b"{}", path="//handson-lab/../handson-lab/hosts"),
    }


def test_nobody_without_the_key_is_answered(
    guest: users.User, state: LabState, key: Key, ec2: Any, engine: Engine
) -> None:
    books, hosts = ec2.describe_instances()["Reservations"], {h.id for h in engine.hosts()}
    for name, data in attacks(state, key).items():
        answer = ask(guest, state, data)
        assert is_refused(answer), (name, answer[:500])
    assert ec2.describe_instances()["Reservations"] == books
    assert {host.id for host in engine.hosts()} == hosts


def test_idle_connections_hold_nobody_up(guest: users.User, state: LabState, ec2: Any) -> None:
    program = (
        "import socket, sys\n"
        "lines = [socket.create_connection(('127.0.0.1', int(sys.argv[1]))) for _ in range(200)]\n"
        "print('there', flush=True); sys.stdin.read()\n"
        "import time; time.sleep(60)\n"
    )
    port = str(urlsplit(state.endpoint).port)
    with guest.start(["/usr/bin/python3", "-c", program, port]) as process:
        try:
            assert process.stdout and process.stdout.readline() == "there\n"
            assert ec2.describe_vpcs()["Vpcs"]
        finally:
            process.kill()


def test_the_key_stands_where_only_its_owner_reads(
    guest: users.User, lab: Lab, step: Step, key: Key
) -> None:
    folder = lab_folder(lab.name)
    for path in [folder, *folder.iterdir(), step.workspace.path / "key"]:
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode) or stat.S_IMODE(mode) & 0o077 == 0, path
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        assert key.secret not in line
    found = guest.run(["cat", str(folder / "lab.json")])
    assert (found.returncode, found.stdout) == (1, "")


def test_no_process_of_a_lab_has_the_learners_secrets(tmp_path: Path) -> None:
    """The password and the keys of AWS stay with the process that starts a lab."""
    canary = "Kanarien-Vogel7"
    name = own("secrets")
    program = "import sys; from handson.lab.lab import Lab; Lab(sys.argv[1]).up('ssh-ed25519 AAAA')"
    secrets = {"HANDSON_PASSWORD": canary, "AWS_SECRET_ACCESS_KEY": canary, "AWS_PROFILE": canary}
    before = {process.pid for process in psutil.process_iter()}
    try:
        root = str(Path(__file__).parents[2])
        subprocess.run(
            [sys.executable, "-c", program, name],
            env={**os.environ, **secrets, "PYTHONPATH": root},
            check=True,
            timeout=NEVER,
        )
        servers = processes.find("handson.lab.api_server", str(lab_folder(name)))
        assert len(servers) == 1
        seen = 0
        for process in psutil.process_iter():
            if process.pid in before:
                continue
            try:
                found = Path(f"/proc/{process.pid}/environ").read_bytes()
            except OSError:
                continue
            seen += bool(found)
            assert canary.encode() not in found, process.cmdline()
        assert seen > 10
    finally:
        Lab(name).down()


def test_a_process_that_only_looks_like_a_labs_is_let_alone(guest: users.User, lab: Lab) -> None:
    words = ["handson.lab.api_server", str(lab_folder(lab.name))]
    with guest.start(["/usr/bin/python3", "-c", "import time; time.sleep(600)", *words]) as one:
        try:
            assert one.pid not in [process.pid for process in processes.find(*words)]
            assert len(processes.find(*words)) == 1
        finally:
            one.kill()


def test_no_user_of_the_machine_reaches_a_host(
    guest: users.User, step: Step, state: LabState, client: Host
) -> None:
    server = step.cloud.instance(step.cloud.names.server)
    assert server is not None
    addresses = [
        server.private_ip,
        server.public_ip,
        step.settings.client_ip,
        state.pc_ip,
        state.mailbox_ip,
        state.mailbox_ip.rpartition(".")[0] + ".53",
    ]
    targets = [(address, port) for address in addresses for port in (22, 25, 53)]
    program = connect_program(targets, 1.0)
    found = guest.run(["/usr/bin/python3", "-c", program])
    assert found.returncode == 0, found.stderr
    assert set(json.loads(found.stdout).values()) == {"timed out"}
    assert connect(client, step.settings.server_ip, 25) == "open"  # from within it answers


# -- root in a host --------------------------------------------------------------------

# Says with which rights it was run, then does what was asked of the program it stands for.
WRAPPER = """#!/bin/sh.true
/usr/bin/grep.true -h CapEff /proc/self/status >> /tmp/marks 2>/dev/null
echo {name} >> /tmp/marks
exec {path}.true "$@"
"""
WRAPPED = [
    *("/usr/sbin/nft", "/usr/sbin/tcpdump", "/usr/bin/ip", "/usr/bin/timeout"),
    *("/usr/bin/cat", "/usr/bin/ss", "/usr/bin/systemctl", "/usr/bin/sleep"),
]


def test_a_tampered_host_has_no_hand_in_its_firewall(
    step: Step, cloud: Cloud, engine: Engine, lab: Lab, client: Host
) -> None:
    """Its programs are replaced: what the lab does to its network runs none of them."""
    instance = cloud.instance(cloud.names.server)
    assert instance is not None
    host = engine.host(instance.id)
    assert host is not None
    engine.run(host, "cp -a /usr/bin/dash /bin/sh.true; cp -a /usr/bin/grep /usr/bin/grep.true")
    moved = [path for path in WRAPPED if "No such" not in _exists(engine, host, path)]
    assert {"/usr/sbin/nft", "/usr/bin/timeout"} <= set(moved)
    try:
        for path in moved:
            text = WRAPPER.format(name=path, path=path)
            put(host, [File(f"{path}.new", text, 0o755)])
            engine.run(host, f"cp -a {path} {path}.true; mv {path}.new {path}")
        ip = step.settings.server_ip
        assert connect(client, ip, 2999) == "timed out"
        cloud.open_port(2999, step.settings.vpc_cidr)
        assert connect(client, ip, 2999) == "refused"
        cloud.close_port(2999, step.settings.vpc_cidr)
        assert connect(client, ip, 2999) == "timed out"
        with step.as_step(Harden).wiretap(25) as wire:
            step.talk(25)
        assert "QUIT" in wire.text()
        marks = engine.run(host, "cat /tmp/marks").split("\n")
    finally:
        for path in moved:
            engine.run(host, f"[ ! -e {path}.true ] || mv {path}.true {path}")
    assert "/usr/bin/timeout" in marks  # the marks work: what the lab reads there is marked
    assert not {"/usr/sbin/nft", "/usr/sbin/tcpdump", "/usr/bin/ip"} & set(marks)
    own = _bounding(engine.run(host, "cat /proc/1/status"))
    used = [int(line.split()[1], 16) for line in marks if line.startswith("CapEff")]
    assert used and all(one & ~own == 0 for one in used)


def _exists(engine: Engine, host: Any, path: str) -> str:
    return engine.run(host, f"ls {path} 2>&1 || true")


def _bounding(status: str) -> int:
    return int(next(line for line in status.splitlines() if line.startswith("CapBnd"))[7:], 16)


@pytest.mark.parametrize(
    "command",
    [
        "nft flush ruleset",
        "ip addr add 10.1.2.3/8 dev eth0",
        "mount -t tmpfs none /mnt",
        "mknod /root/disk b 254 0",
        "sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'",
        "mkdir /sys/fs/cgroup/memory/x",
        "mkdir /sys/fs/cgroup/pids/x",
        "sh -c 'echo FROZEN > /sys/fs/cgroup/freezer/freezer.state'",
        "sh -c 'echo b > /proc/sysrq-trigger'",
        "chroot /proc/1/root mount -o remount,rw /sys",
    ],
)
def test_root_in_a_host_is_root_of_nothing_else(command: str, server: Host) -> None:
    status, said = server.probe(f"sudo {command}")
    assert status != 0, said
    assert server.probe("sudo touch /root/mine")[0] == 0  # it is root there


def test_no_window_without_a_firewall_at_boot(
    step: Step, ec2: Any, engine: Engine, server: Host
) -> None:
    """From its first moment a service of the host tries to reach the machine."""
    gateway = step.settings.vpc_cidr.replace(".0.0/16", ".0.1")
    instance = step.cloud.instance(step.cloud.names.server)
    assert instance is not None
    unit = (
        "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\n"
        "ExecStart=/usr/bin/python3 /root/knock.py\n[Install]\nWantedBy=sysinit.target\n"
    )
    with listener() as (port, came):
        knock = (
            "import socket, time\nend = time.monotonic() + 5\ntried = 0\n"
            "while time.monotonic() < end:\n    tried += 1\n"
            "    open('/root/tried', 'w').write(str(tried))\n"
            "    try:\n"
            f"        socket.create_connection(('{gateway}', {port}), 0.2).close()\n"
            "    except OSError:\n        time.sleep(0.01)\n"
        )
        server.write("/root/knock.py", knock)
        server.write("/etc/systemd/system/knock.service", unit)
        server.run("sudo systemctl enable knock.service", status=None)
        try:
            before = started(engine.host(instance.id))
            ec2.reboot_instances(InstanceIds=[instance.id])
            host = engine.host(instance.id)
            assert started(host) > before
            tried = engine.run(
                host, "until [ -s /root/tried ]; do sleep 0.1; done; cat /root/tried"
            )
            assert int(tried) > 0
            engine.run(host, "while systemctl -q is-active knock; do sleep 0.1; done")
            assert came == []
        finally:
            host = engine.host(instance.id)
            engine.run(host, "systemctl disable knock; rm -f /root/knock.py /root/tried")
    server.connection.close()  # of a host that was not there for a while
