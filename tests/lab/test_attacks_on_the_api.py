"""Attacks on a lab's API and its secrets, by other users of the machine.

Beside each attack stands a proof that its tool works where it may.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
import users
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import ResponseParserError
from looking import NAME, connect_program, python_on
from waiting import NEVER, wait_until

from handson.course.step import Step
from handson.errors import LabDown
from handson.lab import engine as engines
from handson.lab import engine_service, internet, processes
from handson.lab.access import SKEW, Key
from handson.lab.api import REGION, SERVICE, LabApi
from handson.lab.engine import Engine
from handson.lab.lab import SERVER, Lab
from handson.lab.state import LabState, lab_folder

NOBODY = 65534
READ = b"Action=DescribeVpcs&Version=2016-11-15"

# Sends each request on a connection of its own, and says what comes back until it ends.
SEND = r"""
import base64, json, socket, sys
given = json.load(sys.stdin)
answers = {}
for name, data in given["requests"].items():
    answer, end = b"", "closed"
    with socket.create_connection(("127.0.0.1", given["port"]), 10) as line:
        try:
            line.sendall(base64.b64decode(data))
        except OSError:
            pass  # it was refused before all was sent
        line.settimeout(10)
        try:
            while part := line.recv(65536):
                answer += part
        except TimeoutError:
            end = "open"
        except OSError:
            pass
    answers[name] = [base64.b64encode(answer).decode(), end]
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Stranger:
    """Somebody on this machine who has nothing to do with the lab, and no sudo."""

    uid: int

    def run(self, program: str, given: str = "", *words: str) -> str:
        """Run a Python program as this user and return what it prints."""
        done = subprocess.run(
            ["/usr/bin/python3", "-c", program, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=NEVER,
            check=False,
            env={"PATH": users.SEARCHED},
            user=self.uid,
            group=self.uid,
            extra_groups=[],
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def send(self, state: LabState, requests: dict[str, bytes]) -> dict[str, tuple[bytes, str]]:
        """Send raw bytes to the API; return each answer, and how the connection ended."""
        coded = {name: base64.b64encode(data).decode() for name, data in requests.items()}
        port = urlsplit(state.endpoint).port
        found = json.loads(self.run(SEND, json.dumps({"port": port, "requests": coded})))
        return {name: (base64.b64decode(text), end) for name, (text, end) in found.items()}


@pytest.fixture(scope="module")
def guest() -> Iterator[users.User]:
    if reason := users.why_not():
        pytest.skip(reason)
    with users.user() as made:
        yield made


@pytest.fixture(params=["an ordinary user", "nobody"])
def stranger(request: pytest.FixtureRequest, guest: users.User) -> Stranger:
    return Stranger(NOBODY if request.param == "nobody" else guest.uid)


@pytest.fixture
def state(lab: Lab, step: Step) -> LabState:
    return LabState.load(lab.name)


@pytest.fixture
def key(state: LabState) -> Key:
    return Key(state.key_id, state.key_secret)


# -- requests ----------------------------------------------------------------------------


def request(
    state: LabState,
    headers: dict[str, str] | None = None,
    body: bytes = READ,
    method: str = "POST",
    path: str = "/",
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(state.endpoint).netloc}"]
    given = {"Content-Length": str(len(body)), **(headers or {})}
    lines += [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def signed(
    key: Key, state: LabState, body: bytes = READ, path: str = "/", service: str = "ec2"
) -> dict[str, str]:
    region = REGION if service == SERVICE else "ap-northeast-1"
    return key.sign("POST", f"{state.endpoint}{path}", body, service, region)


def signed_at(key: Key, state: LabState, then: datetime) -> dict[str, str]:
    """Sign a request in the right way, as at another time."""
    date = then.strftime("%Y%m%dT%H%M%SZ")
    made = AWSRequest("POST", f"{state.endpoint}/", data=READ)
    made.headers["X-Amz-Date"] = made.context["timestamp"] = date
    auth = SigV4Auth(Credentials(key.id, key.secret), "ec2", "ap-northeast-1")
    text = auth.string_to_sign(made, auth.canonical_request(made))
    names = auth.signed_headers(auth.headers_to_sign(made))
    return {
        "X-Amz-Date": date,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={auth.scope(made)}, "
        f"SignedHeaders={names}, Signature={auth.signature(text, made)}",
    }


def signed_address(key: Key, state: LabState) -> str:
    """Return the path of an address that is signed in the right way, as S3 has them."""
    made = AWSRequest("GET", f"{state.endpoint}/?{READ.decode()}")
    SigV4QueryAuth(Credentials(key.id, key.secret), "ec2", "ap-northeast-1").add_auth(made)
    return str(made.url).removeprefix(state.endpoint)


def invented(key_id: str) -> dict[str, str]:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    credential = f"{key_id}/{now[:8]}/ap-northeast-1/ec2/aws4_request"
    text = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature="
    return {"X-Amz-Date": now, "Authorization": text + secrets.token_hex(32)}


def chunked(headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST / HTTP/1.1", *lines, "Transfer-Encoding: chunked", "", ""])
    return head.encode() + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def attacks(state: LabState, key: Key, image: str) -> dict[str, bytes]:
    """Return requests of somebody without the key, or who has caught one that was signed."""
    right = signed(key, state)
    run = f"Action=RunInstances&Version=2016-11-15&ImageId={image}&MinCount=1&MaxCount=1".encode()
    page = {"Origin": "https://evil.example"}
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
        "Access-Control-Request-Private-Network": "true",
    }
    old, soon = (datetime.now(UTC) + way * (SKEW + timedelta(minutes=1)) for way in (-1, 1))
    host = {"Host": urlsplit(state.endpoint).netloc}
    return {
        "no Authorization": request(state),
        "no Authorization, a change": request(state, body=run),
        "an invented key": request(state, invented("AKIA" + "0" * 16), run),
        "the key's id, another signature": request(state, invented(key.id), run),
        "the key's id, another secret": request(
            state, signed(Key(key.id, Key.new().secret), state, run), run
        ),
        "a caught request, another body": request(state, right, run),
        "a caught request, the lab's own path": request(state, right, path="/handson-lab/hosts"),
        "a caught request, moto's reset": request(state, right, path="/moto-api/reset"),
        "a caught request, a query": request(state, right, path="/?" + run.decode()),
        "a caught request, another method": request(state, right, method="PUT"),
        "a caught request, another date": request(
            state, {**right, "X-Amz-Date": "20200101T000000Z"}
        ),
        "a request signed long ago": request(state, signed_at(key, state, old)),
        "a request signed for later": request(state, signed_at(key, state, soon)),
        "a caught request, from a page": request(state, {**right, **page}),
        "a caught request, from a local page": request(state, {**right, "Origin": "null"}),
        "a page's question first": request(state, {**page, **asked}, b"", "OPTIONS"),
        "a question first, no page": request(state, asked, b"", "OPTIONS"),
        "the lab's name": request(state, body=b"{}", path="/handson-lab/name"),
        "the lab's name, GET": request(state, body=b"", method="GET", path="/handson-lab/name"),
        "the lab's hosts": request(state, body=b"{}", path="/handson-lab/hosts"),
        "a twisted path": request(state, body=b"{}", path="//handson-lab/../handson-lab/hosts"),
        "moto's reset": request(state, body=b"", path="/moto-api/reset"),
        "moto's reset with the key": request(
            state, signed(key, state, b"", "/moto-api/reset"), b"", path="/moto-api/reset"
        ),
        "moto's data": request(state, body=b"", method="GET", path="/moto-api/data.json"),
        "moto's page": request(state, body=b"", method="GET", path="/moto-api/"),
        "a signed address": request(state, body=b"", method="GET", path=signed_address(key, state)),
        "a chunked body": chunked(host, run),
        "a caught request, a chunked body": chunked({**host, **right}, run),
        "two lengths": request(state, body=run).replace(
            b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n", 1
        ),
        "a length below nothing": request(state, {**right, "Content-Length": "-1"}),
        "a flood": request(state, {**right, "Content-Length": "99999999999"}, b"x" * 1000),
        "a caught request within one that is refused": request(
            state, {"Authorization": "x"}, request(state, right)
        ),
        "two in one connection": request(state) + request(state, right),
        "no request": b"hello\r\n\r\n",
        "another protocol": b"GET / HTTP/9.9\r\n\r\n",
        "a name of its own": request(state, method="BREW"),
        "a long address": request(state, body=b"", method="GET", path="/" + "x" * 70_000),
        "many headers": request(state, {f"X-{number}": "x" for number in range(200)}, b""),
        "a long header": request(state, {"X-Long": "x" * 70_000}, b""),
    }


def assert_refused(name: str, answer: bytes, end: str) -> None:
    """The answer says no and nothing else: not what program this is, nor whose."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().splitlines()
    assert blank and lines[0] == "http/1.1 403 forbidden", (name, answer[:300])
    assert body == b"", (name, answer[:300])
    names = {line.partition(":")[0] for line in lines[1:]}
    assert names <= {"server", "date", "content-length", "connection"}, (name, head)
    assert not {line for line in lines if line.startswith("server:")} - {"server: -"}, (name, head)
    assert end == "closed", name


@dataclass(frozen=True)
class Now:
    """What a lab's books say, and what there is of its hosts."""

    books: str
    hosts: list[tuple[str, str, str]]

    @classmethod
    def look(cls, ec2: Any, step: Step, engine: Engine) -> Now:
        books = [
            ec2.describe_instances()["Reservations"],
            ec2.describe_vpcs()["Vpcs"],
            ec2.describe_security_groups()["SecurityGroups"],
            ec2.describe_key_pairs()["KeyPairs"],
            [(stack.name, stack.status) for stack in step.cloud.stacks()],
        ]
        every = engine.containers()
        hosts = [(one.id, one.status, one.attrs["State"]["StartedAt"]) for one in every]
        return cls(json.dumps(books, default=str, sort_keys=True), sorted(hosts))


def test_nobody_without_the_key_is_answered(
    stranger: Stranger, state: LabState, key: Key, ec2: Any, step: Step, engine: Engine
) -> None:
    image = ec2.describe_instances()["Reservations"][0]["Instances"][0]["ImageId"]
    before = Now.look(ec2, step, engine)
    wrong = []
    for name, (answer, end) in stranger.send(state, attacks(state, key, image)).items():
        try:
            assert_refused(name, answer, end)
        except AssertionError as error:
            wrong.append(f"{name}: {answer[:200]!r} {end} {str(error)[:80]}")
    assert not wrong, "\n".join(wrong)
    assert Now.look(ec2, step, engine) == before


def test_with_the_key_the_same_tools_are_answered(
    stranger: Stranger, state: LabState, key: Key
) -> None:
    path, body = "/handson-lab/name", b'{"nonce": "x"}'
    own = signed(key, state, body, path, SERVICE)
    found = stranger.send(
        state,
        {
            "signed": request(state, signed(key, state)),
            "signed by hand": request(state, signed_at(key, state, datetime.now(UTC))),
            "the lab's own": request(state, own, body, path=path),
            "one, and one without the key": request(state, own, body, path=path)
            + request(state, {}, body, path=path),
        },
    )
    answers = {name: answer for name, (answer, _end) in found.items()}
    assert b"DescribeVpcsResponse" in answers["signed"]
    assert b"DescribeVpcsResponse" in answers["signed by hand"]
    name = json.dumps({"answer": state.name}).encode()
    assert answers["the lab's own"].endswith(name)
    # That the first had the key helps the second, on the same connection, in nothing.
    first, second = answers["one, and one without the key"].split(name)
    assert first.startswith(b"HTTP/1.1 200") and not second


def test_idle_connections_hold_nobody_up(stranger: Stranger, state: LabState, ec2: Any) -> None:
    """100 connections say nothing, and 100 stop in the middle of a request."""
    program = (
        "import socket, sys, time\n"
        "lines = [socket.create_connection(('127.0.0.1', int(sys.argv[1]))) for _ in range(200)]\n"
        "for line in lines[100:]:\n"
        "    line.sendall(b'POST / HTTP/1.1\\r\\nContent-Length: 100\\r\\n\\r\\nx')\n"
        "print('there', flush=True); time.sleep(60)\n"
    )
    port = urlsplit(state.endpoint).port
    process = subprocess.Popen(
        ["/usr/bin/python3", "-c", program, str(port)],
        stdout=subprocess.PIPE,
        text=True,
        user=stranger.uid,
        group=stranger.uid,
        extra_groups=[],
        cwd="/",
    )
    with process:
        try:
            assert process.stdout and process.stdout.readline() == "there\n"
            servers = processes.find(SERVER, str(lab_folder(state.name)))

            def held() -> int:
                lines = servers[0].net_connections("tcp")
                is_up = psutil.CONN_ESTABLISHED
                return sum(one.status == is_up and one.laddr.port == port for one in lines)

            wait_until(lambda: held() >= 200)  # they are the server's, and none is refused
            began = time.monotonic()
            assert ec2.describe_vpcs()["Vpcs"]
            assert LabApi(state).ask("name") == state.name
            assert time.monotonic() - began < 10
        finally:
            process.kill()


# -- where the key stands ------------------------------------------------------------------

# Prints where a word can be read by whoever runs this; the words come on standard input.
FIND = r"""
import json, os, stat, sys
given = json.load(sys.stdin)
words = [word.encode() for word in given["words"]]
found, looked = [], 0

def look(path):
    global looked
    try:
        with open(path, "rb") as file:
            text = file.read(2 << 20)
    except OSError:
        return
    looked += 1
    found.extend([path, word.decode()] for word in words if word in text)

for number in filter(str.isdigit, os.listdir("/proc")):
    if int(number) != os.getpid():
        look(f"/proc/{number}/cmdline")
        look(f"/proc/{number}/environ")
for top in given["folders"]:
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in ("site-packages", ".git")]
        for name in names:
            path = os.path.join(folder, name)
            try:
                about = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(about.st_mode) and about.st_mtime >= given["since"]:
                look(path)
json.dump({"found": found, "looked": looked}, sys.stdout)
"""


def test_no_other_user_finds_the_key(
    stranger: Stranger, lab: Lab, step: Step, state: LabState, tmp_path: Path
) -> None:
    canary, spoken = f"canary-{secrets.token_hex(8)}", f"spoken-{secrets.token_hex(8)}"
    planted = Path(f"/var/tmp/hands-on-planted-{os.getpid()}")
    folder = lab_folder(lab.name)
    since = min(path.lstat().st_mtime for path in folder.iterdir()) - 60
    places = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/log", "/etc", str(folder)]
    given = {
        "words": [state.key_secret, state.key_id, canary, spoken],
        "folders": [*places, str(step.workspace.path)],
        "since": since,
    }
    one = subprocess.Popen(["/bin/sh", "-c", "sleep 60; true", spoken])
    try:
        planted.write_text(f"a word: {canary}\n")
        planted.chmod(0o644)
        answer = json.loads(stranger.run(FIND, json.dumps(given)))
    finally:
        planted.unlink(missing_ok=True)
        for child in psutil.Process(one.pid).children():
            child.kill()
        one.kill()
        one.wait()
    # What everybody can read, a file and a command line, is found; the key is not.
    assert sorted(answer["found"]) == sorted(
        [[str(planted), canary], [f"/proc/{one.pid}/cmdline", spoken]]
    )


def test_the_lab_s_folder_is_its_owner_s_alone(
    stranger: Stranger, lab: Lab, step: Step, tmp_path: Path
) -> None:
    folder = lab_folder(lab.name)
    paths = [folder, *sorted(folder.rglob("*"))]
    assert {"lab.json", "server.json", "endpoint", "server.log"} <= {path.name for path in paths}
    for path in [folder.parent, folder.parent.parent, *paths, step.workspace.path / "key"]:
        about = path.lstat()
        assert about.st_uid == os.getuid(), path
        # Who cannot enter the folder reaches no socket in it, whatever its mode.
        assert stat.S_ISSOCK(about.st_mode) or stat.S_IMODE(about.st_mode) & 0o077 == 0, path
    opening = (
        "import json, os, sys\nfound = {}\nfor path in json.load(sys.stdin):\n"
        "    try:\n        os.close(os.open(path, os.O_RDONLY)); found[path] = 'open'\n"
        "    except OSError as error:\n        found[path] = os.strerror(error.errno)\n"
        "print(json.dumps(found))"
    )
    asked = [*map(str, paths), "/etc/passwd"]
    found = json.loads(stranger.run(opening, json.dumps(asked)))
    assert found.pop("/etc/passwd") == "open"
    assert set(found.values()) == {"Permission denied"}


# -- the hosts' ports ----------------------------------------------------------------------

PORTS = (22, 25, 53, 587)
# Listens for a while at each of these ports where nobody does yet.
LISTEN = """
import socket, time
lines = []
for port in PORTS:
    try:
        lines.append(socket.create_server(("0.0.0.0", port)))
    except OSError:
        pass
time.sleep(60)
"""


@pytest.fixture
def open_hosts(step: Step, engine: Engine, ec2: Any) -> Iterator[dict[str, list[str]]]:
    """Each host listens at each port, and its security group lets in all of the lab.

    Yields the addresses of each host.
    """
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    found = ec2.describe_instances()["Reservations"]
    groups = {g["GroupId"] for r in found for i in r["Instances"] for g in i["SecurityGroups"]}
    hosts = engine.hosts()
    try:
        for group in groups:
            ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=everything)
        for host in hosts:
            program = LISTEN.replace("PORTS", repr(PORTS))
            engine.run(
                host, f"nohup python3 -c '{program}' >/dev/null 2>&1 & echo $! > /run/listens"
            )
        yield {host.labels["handson.host"]: engine.addresses(host) for host in hosts}
    finally:
        for host in hosts:
            engine.run(host, "kill $(cat /run/listens) || true; rm /run/listens")
        for group in groups:
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=everything)


def test_no_user_of_the_machine_reaches_a_host(
    stranger: Stranger, open_hosts: dict[str, list[str]], engine: Engine
) -> None:
    assert {"pc", "mailbox", "resolver"} < open_hosts.keys()
    targets = [
        (address, port) for every in open_hosts.values() for address in every for port in PORTS
    ]
    inside: dict[str, str] = {}
    for name in ("pc", "resolver"):  # one on the Internet alone, one in the VPC too
        answers = python_on(engine, engine.host(name), connect_program(targets, 1.0))
        inside |= {target: "open" for target, answer in answers.items() if answer == "open"}
    assert inside.keys() == {f"{address} {port}" for address, port in targets}
    outside = json.loads(stranger.run(connect_program(targets, 1.0)))
    # The learner's way in: the port that is published on loopback lies behind this address.
    networks = engine.interface(engine.host("pc")).attrs["NetworkSettings"]["Networks"]
    published = networks[engine.full(internet.OUTSIDE)]["IPAddress"]
    assert outside.pop(f"{published} 22") == "open"
    assert set(outside.values()) == {"timed out"}, outside


# -- a lab of its own ----------------------------------------------------------------------

OWN = f"{NAME}-own"
CANARY = f"Kanarien-{secrets.token_hex(8)}"
SECRETS = {
    "HANDSON_PASSWORD": CANARY,
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "AWS_SESSION_TOKEN": CANARY,
    "AWS_ACCESS_KEY_ID": CANARY,
}
UP = "import sys; from handson.lab.lab import Lab; Lab(sys.argv[1]).up('ssh-ed25519 AAAA')"


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    """One more lab, started where the learner's secrets stand in the environment."""
    lab = Lab(OWN)
    lab.down()
    try:
        subprocess.run(
            [sys.executable, "-c", UP, OWN],
            env={**os.environ, **SECRETS, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
            timeout=NEVER,
        )
        yield lab
    finally:
        lab.down()


def environ(process: psutil.Process) -> bytes:
    return Path(f"/proc/{process.pid}/environ").read_bytes()


def started_by(lab: Lab) -> dict[str, list[psutil.Process]]:
    """Return all processes that a lab has started, by what they are."""
    folder = lab_folder(lab.name)
    ours = f"handson-{os.getuid()}-{lab.name}-"
    watchers, inside = [], []
    for process in processes.find("conmon"):
        with contextlib.suppress(psutil.Error):  # it ends just now
            if any(word.startswith(ours) for word in process.cmdline()):
                watchers.append(process)
                inside += process.children(recursive=True)
    return {
        "server": processes.find(SERVER, str(folder)),
        "service": engine_service.service_processes(folder),
        "watchers": watchers,
        "inside": inside,
    }


def test_no_process_of_a_lab_has_the_learner_s_secrets(own: Lab) -> None:
    found = started_by(own)
    with engines.connect(own.name) as engine:
        containers = engine.containers()
        if not engine.is_podman:
            pytest.skip("Docker's processes are not the lab's children")
        firsts = {one.attrs["State"]["Pid"] for one in containers}
        told = json.dumps([one.attrs for one in containers])
    assert len(firsts) == 6  # pc, mailbox and resolver, with their interfaces
    assert firsts <= {process.pid for process in found["inside"]}
    assert len(found["server"]) == 1
    assert len(found["watchers"]) >= 6
    seen: dict[str, int] = {}
    for what, every in found.items():
        for process in every:
            try:
                text = environ(process)
            except OSError:
                continue  # it has ended
            seen[what] = seen.get(what, 0) + bool(text)
            assert CANARY.encode() not in text, (what, process.cmdline())
    assert set(seen) >= {"server", "watchers", "inside"} and all(seen.values()), seen
    assert CANARY not in told
    for path in lab_folder(own.name).iterdir():
        assert path.is_socket() or CANARY.encode() not in path.read_bytes(), path
    # Where a secret stands in an environment it is seen.
    with subprocess.Popen(["sleep", "60"], env={**os.environ, **SECRETS}) as one:
        try:
            # Some systems show it a moment after the process has started.
            wait_until(lambda: CANARY.encode() in environ(psutil.Process(one.pid)), 60)
        finally:
            one.kill()


def test_the_key_of_one_lab_opens_nothing_of_another(
    own: Lab, lab: Lab, state: LabState, key: Key, stranger: Stranger
) -> None:
    other = LabState.load(own.name)
    theirs = Key(other.key_id, other.key_secret)
    assert other.endpoint != state.endpoint
    for mine, its, opens in ((state, key, True), (other, theirs, True), (state, theirs, False)):
        client = boto3.session.Session().client(
            "ec2",
            region_name="ap-northeast-1",
            endpoint_url=mine.endpoint,
            aws_access_key_id=its.id,
            aws_secret_access_key=its.secret,
        )
        api = LabApi(mine)
        api.key = its
        if opens:
            assert client.describe_vpcs()["Vpcs"]
            assert api.ask("name") == mine.name
        else:
            with pytest.raises(ResponseParserError):
                client.describe_vpcs()
            with pytest.raises(LabDown):
                api.ask("hosts")
        client.close()
    # Nor does the other's secret under this one's name.
    mixed = Key(key.id, theirs.secret)
    asked = {"mixed": request(state, signed(mixed, state))}
    assert_refused("mixed", *stranger.send(state, asked)["mixed"])


def test_down_ends_no_process_that_only_looks_like_the_lab_s(own: Lab, guest: users.User) -> None:
    """The last test of this lab: it takes it down."""
    folder = lab_folder(own.name)
    lines = [
        [SERVER, str(folder)],
        ["podman", "system", "service", f"unix://{folder}/podman.sock"],
        ["conmon", *(process.cmdline()[-1] for process in started_by(own)["watchers"])],
    ]
    wait = ["-c", "import time; time.sleep(120)"]
    theirs = [guest.start(["/usr/bin/python3", *wait, *words]) for words in lines]
    real = started_by(own)
    # The same words in a process of root's are taken for the lab's.
    ours = subprocess.Popen(["/usr/bin/python3", *wait, *lines[0]], start_new_session=True)
    try:
        assert own.down()
        assert ours.wait(10) != 0
        assert not [one for every in real.values() for one in every if processes.runs(one)]
        assert [process.poll() for process in theirs] == [None] * 3
        assert own.left_over() == []
    finally:
        for process in [*theirs, ours]:
            process.kill()
            process.communicate()
