"""Attacks by root inside a host: on its firewall, on the lab's helpers, and on this machine.

Beside each attack stands a proof that its tool works where it may.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from looking import connect, connect_program, listener, python_on

from handson.cloud.cloud import Cloud
from handson.course.step import Step
from handson.hosts.host import Host
from handson.lab.container import File, put, started
from handson.lab.engine import Engine
from handson.lab.lab import Lab
from handson.lab.state import LabState


@pytest.fixture
def instance(step: Step) -> str:
    """The id of the server, the host that is attacked from."""
    found = step.cloud.instance(step.cloud.names.server)
    assert found is not None
    return found.id


@pytest.fixture
def host(instance: str, engine: Engine) -> Any:
    return engine.host(instance)


# -- tampered programs ---------------------------------------------------------------------

MARKS = "/srv/marks"
SAVED = "/usr/lib/saved"
# Says with which rights it is run, then does what was asked of the program it stands for. It
# runs no other program for that: those may be tampered with too.
WRAPPER = f"""#!{SAVED}/dash
while read -r name value; do
    case $name in Cap*) echo "NAME $name $value" >> {MARKS} ;; esac
done < /proc/self/status
exec {SAVED}/NAME "$@"
"""
# /bin is /usr/bin here, and sh is dash.
TAMPERED = {
    "nft": "/usr/sbin/nft",
    "ip": "/usr/bin/ip",
    "tcpdump": "/usr/bin/tcpdump",
    "dash": "/usr/bin/dash",
    "timeout": "/usr/bin/timeout",
    "cat": "/usr/bin/cat",
    "ss": "/usr/bin/ss",
    "sleep": "/usr/bin/sleep",
}


class Marks:
    """What the tampered programs of a host were run with."""

    def __init__(self, engine: Engine, host: Any) -> None:
        self.engine, self.host = engine, host

    def forget(self) -> None:
        # The shell that empties it has made its own mark before.
        self.engine.run(self.host, f": > {MARKS}")

    def read(self) -> list[tuple[str, str, int]]:
        """Return the program, the set of rights and the rights themselves, of each mark."""
        # By the engine alone: no program of the host is run for it.
        bits, _about = self.host.get_archive(MARKS)
        with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as tar:
            file = tar.extractfile("marks")
            assert file is not None
            words = [line.split() for line in file.read().decode().splitlines()]
        return [(name, kind.rstrip(":"), int(value, 16)) for name, kind, value in words]


def bounding(host: Any) -> int:
    """Return the most that any program of a host may do, as this machine's kernel has it."""
    lines = Path(f"/proc/{host.attrs['State']['Pid']}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapBnd")).split()[1], 16)


@pytest.fixture
def marks(engine: Engine, host: Any) -> Iterator[Marks]:
    """Programs of the host are replaced, as its root may do; they are put back at the end."""
    names = " ".join(TAMPERED)
    where = " ".join(f"{name}:{path}" for name, path in TAMPERED.items())
    engine.run(host, f"install -d {SAVED}; : > {MARKS}; chmod 666 {MARKS}")
    engine.run(host, f"for one in {where}; do cp -a ${{one#*:}} {SAVED}/${{one%%:*}}; done")
    try:
        put(
            host,
            [
                File(f"{path}.new", WRAPPER.replace("NAME", name), 0o755)
                for name, path in TAMPERED.items()
            ],
        )
        engine.run(host, f"for one in {where}; do mv ${{one#*:}}.new ${{one#*:}}; done")
        yield Marks(engine, host)
    finally:
        engine.run(
            host,
            f"for one in {where}; do cp -a {SAVED}/${{one%%:*}} ${{one#*:}}.new\n"
            f"mv ${{one#*:}}.new ${{one#*:}}; done; rm -r {SAVED} {MARKS}; echo {names}",
        )


def assert_no_more_than(own: int, seen: list[tuple[str, str, int]]) -> None:
    assert seen
    assert {kind for _name, kind, _rights in seen} >= {"CapEff", "CapPrm", "CapBnd"}
    for name, kind, rights in seen:
        assert rights & ~own == 0, f"{name} was run with more than its host has: {kind} {rights:x}"


def test_tampered_programs_get_no_rights_and_no_say(
    marks: Marks,
    engine: Engine,
    host: Any,
    lab: Lab,
    instance: str,
    cloud: Cloud,
    client: Host,
    server: Host,
    step: Step,
) -> None:
    own = bounding(host)
    # What root of the host starts itself makes a mark: each of the replaced programs does.
    for call in ("nft -v", "ip -V", "tcpdump --version", "sh -c :", "cat /dev/null", "ss -V"):
        server.run(f"sudo {call}", status=None)
    server.run("sudo timeout 5 sleep 0")
    seen = marks.read()
    assert {name for name, _kind, _rights in seen} == set(TAMPERED)
    assert_no_more_than(own, seen)

    marks.forget()
    ip, cidr = step.settings.server_ip, step.settings.vpc_cidr
    assert connect(client, ip, 2999) == "timed out"
    cloud.open_port(2999, cidr)
    assert connect(client, ip, 2999) == "refused"
    cloud.close_port(2999, cidr)
    assert connect(client, ip, 2999) == "timed out"
    lab.api().capture(instance, 25)
    step.talk(25)
    text = lab.api().captured(instance)
    assert "EHLO" in text and "QUIT" in text
    assert lab.api().ask("hosts") and lab.api().ask("restore")["new"] == []
    engine.run(host, "true")  # this is how the lab runs something in a host
    seen = marks.read()
    names = {name for name, _kind, _rights in seen}
    assert {"dash", "timeout"} <= names
    assert not {"nft", "ip", "tcpdump"} & names
    assert_no_more_than(own, seen)


def test_a_host_that_boots_with_tampered_programs_has_its_firewall(
    marks: Marks, engine: Engine, host: Any, instance: str, ec2: Any, client: Host, step: Step
) -> None:
    ip = step.settings.server_ip
    marks.forget()
    ec2.reboot_instances(InstanceIds=[instance])
    host.reload()
    seen = marks.read()
    names = {name for name, _kind, _rights in seen}
    assert {"dash", "timeout"} <= names  # the lab has waited there for ssh
    assert not {"nft", "tcpdump"} & names
    assert_no_more_than(bounding(host), seen)
    program = "import socket, time; one = socket.create_server((str(), 2998)); time.sleep(60)"
    engine.run(
        host, f"nohup python3 -c '{program}' >/dev/null 2>&1 & echo $! > /run/listens; sleep 0.5"
    )
    try:
        assert connect(client, ip, 2998) == "timed out"
        step.cloud.open_port(2998, step.settings.vpc_cidr)
        assert connect(client, ip, 2998) == "open"
    finally:
        step.cloud.close_port(2998, step.settings.vpc_cidr)
        engine.run(host, "kill $(cat /run/listens)")


# -- root is root of its host, and of nothing else -----------------------------------------

# Each attack changes nothing where it succeeds: it writes what is there already, or takes
# away what it has made. Run in namespaces of its own, it may succeed on this machine too.
ATTEMPT = r"""
import ctypes, errno, json, os, pathlib, socket, stat, subprocess, tempfile

libc = ctypes.CDLL(None, use_errno=True)
folder = tempfile.mkdtemp()

def check(status):
    if status < 0:
        raise OSError(ctypes.get_errno(), "")

def run(*words, text=""):
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.lower()
        no = "not permitted" in said or "permission denied" in said or "not have permission" in said
        raise OSError(errno.EPERM if no else errno.EIO, said)

def mount(kind, options=b"", flags=0):
    check(libc.mount(b"none", folder.encode(), kind, flags, options))
    libc.umount2(folder.encode(), 2)

def same(path):
    # Opened to write, which is what is refused; and what is there is written back.
    with open(path, "r") as file:
        text = file.read()
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode() or b"\n")
    finally:
        os.close(descriptor)

def folder_in(path):
    made = os.path.join(path, "attempt-" + str(os.getpid()))
    os.mkdir(made)
    os.rmdir(made)

def node(kind, major, minor, is_opened=True):
    path = os.path.join(folder, "node")
    os.mknod(path, kind | 0o600, os.makedev(major, minor))
    try:
        if is_opened:
            os.close(os.open(path, os.O_RDONLY))
    finally:
        os.unlink(path)

def disk(is_opened):
    numbers = open("/proc/partitions").read().split("\n")[2].split()
    node(stat.S_IFBLK, int(numbers[0]), int(numbers[1]), is_opened)

def module():
    # init_module(2): what is no module is refused for that only where modules are let in.
    check(libc.syscall(175, b"no module at all", 16, b""))

def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).close()

def frames():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300).close()

def host_name():
    name = socket.gethostname().encode()
    check(libc.sethostname(name, len(name)))

def in_a_namespace(flags, act):
    # In a child: a namespace of users makes its maker root of what is in it.
    inside, outside = os.pipe()
    if os.fork() == 0:
        try:
            check(libc.unshare(flags))
            act()
            number = 0
        except OSError as error:
            number = error.errno or errno.EIO
        except BaseException:
            number = errno.EIO
        os.write(outside, str(number).encode())
        os._exit(0)
    os.wait()
    number = int(os.read(inside, 9))
    if number:
        raise OSError(number, "")

USER, NET, CGROUP, NS = 0x10000000, 0x40000000, 0x02000000, 0x00020000
TABLE = "table inet attempt {}\ndelete table inet attempt\n"
FLUSH = "flush ruleset\n"
attacks = {
    "flush the firewall": lambda: run("nft", "-f", "-", text=FLUSH),
    "make a table": lambda: run("nft", "-f", "-", text=TABLE),
    "see the firewall": lambda: run("nft", "list", "ruleset"),
    "add an address": lambda: run("ip", "address", "add", "10.1.2.3/32", "dev", "lo"),
    "add a route": lambda: run("ip", "route", "add", "blackhole", "192.0.2.1/32"),
    "take the link down and up": lambda: run("ip", "link", "set", "lo", "up"),
    "read packets": frames,
    "forge packets": raw,
    "mount a file system": lambda: mount(b"tmpfs"),
    "mount proc": lambda: mount(b"proc"),
    "mount the control groups": lambda: mount(b"cgroup", b"none,name=systemd"),
    "make a disk": lambda: disk(False),
    "make a disk and open it": lambda: disk(True),
    "make the memory and open it": lambda: node(stat.S_IFCHR, 1, 1),
    "make a device and open it": lambda: node(stat.S_IFCHR, 1, 3),
    "load a module": module,
    "set the host's name": host_name,
    "a setting of the kernel": lambda: same("/proc/sys/kernel/hostname"),
    "a setting of the network": lambda: same("/proc/sys/net/ipv4/ip_forward"),
    "a new namespace of mounts": lambda: in_a_namespace(NS, lambda: mount(b"tmpfs")),
    "a new namespace of networks": lambda: in_a_namespace(NET, lambda: None),
    "the firewall, as root of users": lambda: in_a_namespace(
        USER, lambda: run("nft", "-f", "-", text=FLUSH)
    ),
}
for tree in ("memory", "freezer", "pids", "devices", "cpu"):
    top = f"/sys/fs/cgroup/{tree}"
    if os.path.isdir(top):
        attacks[f"a group in {tree}"] = lambda top=top: folder_in(top)
for tree, name in (
    ("memory", "memory.swappiness"), ("memory", "cgroup.procs"), ("freezer", "cgroup.procs"),
    ("pids", "cgroup.procs"), ("devices", "cgroup.procs"), ("devices", "devices.deny"),
):
    path = f"/sys/fs/cgroup/{tree}/{name}"
    if os.path.exists(path):
        def touch(path=path):
            os.close(os.open(path, os.O_WRONLY))
        attacks[f"{name} in {tree}"] = touch
for tree in ("systemd", "memory", "freezer", "pids", "devices"):
    path = f"/sys/fs/cgroup/{tree}/release_agent"
    if os.path.isdir(os.path.dirname(path)):
        def create(path=path):
            # Only opened; where there is none, it would have to be made.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
            is_masked = stat.S_ISCHR(os.fstat(descriptor).st_mode)  # it is /dev/null
            os.close(descriptor)
            if is_masked:
                raise OSError(errno.EROFS, "")
        attacks[f"the release agent in {tree}"] = create
for name in ("core_pattern", "modprobe"):
    # A kernel without modules has no program that loads them.
    if os.path.exists(f"/proc/sys/kernel/{name}"):
        attacks[f"a setting of the kernel, {name}"] = lambda name=name: same(
            f"/proc/sys/kernel/{name}"
        )

answers = {}
for name, act in attacks.items():
    if name in SKIPPED:
        continue
    try:
        act()
        answers[name] = "done"
    except OSError as error:
        answers[name] = errno.errorcode.get(error.errno, str(error.errno))
    except Exception as error:
        answers[name] = repr(error)
os.rmdir(folder)
print(json.dumps(answers))
"""

REFUSED = {"EPERM", "EACCES", "EROFS"}
# What the kernel of the machine itself may lack. A host must not have it either.
LACKING = {"ENOSYS", "ENODEV", "ENOENT", "ENXIO", "EINVAL", "EBUSY", "ENOEXEC", "EUSERS", "ENOSPC"}
# Here it would load or change what belongs to the whole machine.
NOT_HERE = {"a setting of the kernel, core_pattern", "a setting of the kernel, modprobe"}
# Refused to root of the machine too: root of a namespace of users is root of nothing that was
# there before, and a machine may keep its disks from everybody. Their tools are proven by others.
OF_NOBODY = {
    "the firewall, as root of users",
    "make a disk and open it",
}


def attempt(skipped: set[str]) -> str:
    return ATTEMPT.replace("SKIPPED", repr(skipped))


@pytest.fixture(scope="module")
def on_the_machine() -> dict[str, str]:
    """How the same attacks go for root of this machine, in namespaces of its own."""
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--uts", "/usr/bin/python3", "-"],
        input=attempt(NOT_HERE),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("way", ["over the engine", "over ssh"])
def test_root_in_a_host_is_root_of_nothing_else(
    way: str, engine: Engine, host: Any, server: Host, on_the_machine: dict[str, str]
) -> None:
    if way == "over the engine":
        found = python_on(engine, host, attempt(set()))
    else:
        status, said = server.probe("sudo python3 -", stdin=attempt(set()))
        assert status == 0, said
        found = json.loads(said)
    assert len(found) >= 20
    for name, answer in found.items():
        is_lacking = on_the_machine.get(name) in LACKING and answer in LACKING
        assert answer in REFUSED or is_lacking, (name, answer, on_the_machine.get(name))
    # The program itself works: for root of the machine most of it is done, in the same words.
    done = {name for name, answer in on_the_machine.items() if answer == "done"}
    refused = {name for name, answer in on_the_machine.items() if answer in REFUSED}
    assert refused <= OF_NOBODY, on_the_machine
    assert {"make a table", "see the firewall", "add an address", "read packets"} <= done
    assert {"mount a file system", "forge packets", "a setting of the kernel"} <= done
    assert {"make a disk", "make a device and open it"} <= done
    assert len(done & found.keys()) >= 15, on_the_machine


def test_what_a_host_s_firewall_is_stays_as_it_was(
    engine: Engine, host: Any, client: Host, step: Step
) -> None:
    """After all attempts the rules are the same, for the kernel and for packets."""
    interface = engine.interface(host)
    before = engine.run(interface, "nft list ruleset")
    python_on(engine, host, attempt(set()))
    assert engine.run(interface, "nft list ruleset") == before
    assert "policy drop" in before
    assert connect(client, step.settings.server_ip, 2997) == "timed out"
    assert connect(client, step.settings.server_ip, 25) == "open"


# -- boot ----------------------------------------------------------------------------------

UNIT = """[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/knock.py
[Install]
WantedBy=sysinit.target
"""
# Tries for 3 seconds to connect to each address; says when it began, after the host's first
# process, and what came of it.
KNOCK = r"""
import json, os, socket, time
hertz = os.sysconf("SC_CLK_TCK")
def first_moment(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19]) / hertz
report = {"after": first_moment("self") - first_moment(1), "tried": 0, "open": []}
end = time.monotonic() + 3
while time.monotonic() < end:
    for target in TARGETS:
        report["tried"] += 1
        try:
            socket.create_connection(target, 0.1).close()
            if target[0] not in report["open"]:
                report["open"].append(target[0])
        except OSError:
            time.sleep(0.005)
with open("/usr/local/lib/knock.new", "w") as file:
    json.dump(report, file)
os.rename("/usr/local/lib/knock.new", "/usr/local/lib/knock.json")
"""


def reboot(ec2: Any, instance: str) -> None:
    ec2.reboot_instances(InstanceIds=[instance])


def stop_and_start(ec2: Any, instance: str) -> None:
    ec2.stop_instances(InstanceIds=[instance])
    ec2.start_instances(InstanceIds=[instance])


@pytest.mark.parametrize("again", [reboot, stop_and_start])
def test_no_moment_without_a_firewall_at_boot(
    again: Callable[[Any, str], None], engine: Engine, instance: str, ec2: Any, lab: Lab
) -> None:
    """From its first moment a service of the host tries to reach this machine."""
    state = LabState.load(lab.name)
    vpc, internet = (cidr.partition("/")[0] for cidr in (state.vpc_cidr, state.internet_cidr))
    machine = [address.rpartition(".")[0] + ".1" for address in (vpc, internet)]
    resolver = vpc.rpartition(".")[0] + ".2"  # which every host may ask
    host = engine.host(instance)
    before = started(host)
    with listener() as (port, came):
        targets = [*((address, port) for address in machine), (resolver, 53)]
        knock = KNOCK.replace("TARGETS", repr(targets))
        files = {"/usr/local/lib/knock.py": knock, "/etc/systemd/system/knock.service": UNIT}
        put(host, [File(path, text) for path, text in files.items()])
        engine.run(host, "systemctl enable knock.service")
        try:
            again(ec2, instance)
            host = engine.host(instance)
            assert started(host) > before
            report = "/usr/local/lib/knock.json"
            said = json.loads(
                engine.run(host, f"until [ -s {report} ]; do sleep 0.1; done; cat {report}")
            )
        finally:
            host = engine.host(instance)
            engine.run(host, "systemctl disable knock.service")
            engine.run(host, f"rm -f {' '.join(files)} /usr/local/lib/knock.json")
        assert came == []
        # It was there early, tried often, and can connect to what is open to it.
        assert said["after"] < 5
        assert said["tried"] > 10
        assert said["open"] == [resolver]
        # The listener does hear: this machine itself gets there at the same addresses.
        for address in machine:
            with socket.create_connection((address, port), timeout=2) as one:
                assert one.recv(1) == b"x"
        assert len(came) == 2


def test_the_machine_does_not_get_in_while_a_host_boots(
    engine: Engine, instance: str, ec2: Any, step: Step
) -> None:
    """From before the reboot until after it, this machine tries to reach the host's ssh."""
    ip = step.settings.server_ip
    trying = subprocess.Popen(
        ["/usr/bin/python3", "-c", TRY, ip, "22"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        ec2.reboot_instances(InstanceIds=[instance])
    finally:
        said, _errors = trying.communicate("over\n", timeout=30)
    tried, opened = map(int, said.split())
    assert tried > 5
    assert opened == 0
    # ssh is there to be reached, and is from within the lab.
    found = step.cloud.instance(step.cloud.names.server)
    assert found is not None
    program = connect_program([(found.public_ip, 22)], 1.0)
    answers = python_on(engine, engine.host("pc"), program)
    assert answers == {f"{found.public_ip} 22": "open"}


# Connects again and again until a line comes on standard input; says how often, and to what end.
TRY = r"""
import select, socket, sys
tried = opened = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    tried += 1
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.1).close()
        opened += 1
    except OSError:
        pass
print(tried, opened)
"""
