"""What a lab's server answers, and to whom; the books are moto's, the hosts are stood in for."""

from __future__ import annotations

import io
import json
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from docker.errors import APIError
from werkzeug.serving import make_server

from handson.cloud.client import Aws
from handson.errors import LabDown, LabError
from handson.lab import api_server, books, reconcile
from handson.lab.access import Key
from handson.lab.api import LabApi
from handson.lab.api_server import LARGEST, Application, QuietHandler
from handson.lab.state import BOOKS, LabState
from handson.settings import Settings

KEY = Key.new()
# boto3 takes half a second to read EC2's description: once is enough for all clients.
SESSION = boto3.session.Session()


class Hardware:
    """Hosts that are in line with the books, until `broken` says why they cannot be."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_behind = False
        self.broken: Exception | None = None
        self.followed = 0

    def turn(self) -> AbstractContextManager[Any]:
        return self.lock

    def notice(self) -> None:
        pass

    def follow(self) -> None:
        self.is_behind = True
        if self.broken:
            raise self.broken
        self.followed += 1
        self.is_behind = False

    def hosts(self) -> list[dict[str, Any]]:
        if self.broken:
            raise self.broken
        return [{"name": "pc", "state": "running", "addresses": [], "memory": 1}]

    @property
    def engine(self) -> Hardware:
        return self

    name = "lab"


@pytest.fixture
def hardware() -> Hardware:
    return Hardware()


@pytest.fixture
def endpoint(hardware: Hardware, connection: dict[str, Any]) -> Iterator[str]:
    """The address of a server; `connection` has patched moto in this process."""
    application = Application(hardware, KEY)  # type: ignore[arg-type]
    api_server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler
    )
    thread = threading.Thread(target=api_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{api_server.server_port}"
    api_server.shutdown()
    thread.join()
    api_server.server_close()


@contextmanager
def ec2(endpoint: str, key: Key = KEY, service: str = "ec2") -> Iterator[Any]:
    client: Any = SESSION.client(  # type: ignore[call-overload]
        service,
        region_name="eu-central-1",
        endpoint_url=endpoint,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
    )
    yield client
    client.close()


def lab_api(endpoint: str, key: Key = KEY) -> LabApi:
    return LabApi(
        LabState(
            name="lab",
            endpoint=endpoint,
            key_id=key.id,
            key_secret=key.secret,
            pc_port=1,
            pc_ip="198.51.100.5",
            pc_host_keys=[],
            mailbox_ip="198.51.100.25",
            mailbox_host_keys=[],
            internet_cidr="198.51.100.0/24",
            vpc_cidr="10.87.0.0/16",
            image="",
            public_key="",
        )
    )


def vpcs(client: Any) -> set[str]:
    return {vpc["VpcId"] for vpc in client.describe_vpcs()["Vpcs"]}


def test_boto3_with_the_key_is_answered(endpoint: str, hardware: Hardware) -> None:
    with ec2(endpoint) as client:
        vpc = client.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
        assert hardware.followed == 1
        assert vpc in vpcs(client)
        client.delete_vpc(VpcId=vpc)
        assert vpc not in vpcs(client)


def test_boto3_with_another_key_is_not(endpoint: str, hardware: Hardware) -> None:
    for key in (Key.new(), Key(KEY.id, "lab"), Key("LAB", "lab")):
        # Not even an error in the API's form: it answers nobody.
        with ec2(endpoint, key) as client, pytest.raises(ResponseParserError):
            client.create_vpc(CidrBlock="10.99.0.0/16")
    assert hardware.followed == 0


def request(path: str, body: bytes, service: str, method: str = "POST") -> dict[str, Any]:
    headers = KEY.sign(method, f"http://127.0.0.1{path}", body, service, "x")
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "RAW_URI": path,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_X_AMZ_DATE": headers["X-Amz-Date"],
        "HTTP_AUTHORIZATION": headers["Authorization"],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/moto-api/reset", "ec2"),
        ("/moto-api/data.json", "handson"),
        ("/", "s3"),
        ("/", "lambda"),
        ("/", "handson"),
        ("/bucket/key", "ec2"),
        ("/handson-lab", "handson"),
        ("/handson-lab/name", "ec2"),
        ("//handson-lab/name", "handson"),
    ],
)
def test_the_key_opens_these_services_at_these_paths_only(
    path: str, service: str, hardware: Hardware
) -> None:
    answers: list[Any] = []
    application = Application(hardware, KEY)  # type: ignore[arg-type]
    body = application(request(path, b"{}", service), lambda *args: answers.append(args))
    assert (b"".join(body), answers[0][0]) == (b"", "403 Forbidden")


@pytest.mark.parametrize(
    "changed",
    [
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"CONTENT_LENGTH": str(LARGEST + 1)},
        {"CONTENT_LENGTH": "-1"},
        {"CONTENT_LENGTH": "x"},
        {"CONTENT_LENGTH": "9" * 5000},
    ],
)
def test_a_web_page_or_a_flood_is_refused_with_the_key_too(
    changed: dict[str, str], hardware: Hardware
) -> None:
    application = Application(hardware, KEY)  # type: ignore[arg-type]
    for headers, status in ((changed, "403"), ({}, "200")):
        answers: list[Any] = []
        application(
            {**request("/handson-lab/hosts", b"{}", "handson"), **headers},
            lambda *args, kept=answers: kept.append(args),
        )
        assert answers[0][0].startswith(status)
        assert not [name for name, _value in answers[0][1] if name.lower().startswith("access-")]


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 200 + b"\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        b"GET http://[x/ HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_without_a_word(
    data: bytes, endpoint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    address = urlsplit(endpoint)
    answer = b""
    with (
        socket.create_connection((address.hostname, address.port), 10) as line,
        suppress(ConnectionResetError),  # not all was read of a long one
    ):
        line.sendall(data)
        while part := line.recv(65536):
            answer += part
    head, _blank, body = answer.decode().partition("\r\n\r\n")
    first, *lines = head.splitlines()
    assert (first, body) == ("HTTP/1.1 403 Forbidden", "")
    names = {line.partition(":")[0] for line in lines}
    assert names == {"Server", "Date", "Content-Length", "Connection"}
    assert "Server: -" in lines
    assert "Traceback" not in capfd.readouterr().err


def test_a_change_that_did_not_reach_the_hosts_is_told_and_made_up_for(
    endpoint: str, hardware: Hardware
) -> None:
    with ec2(endpoint) as client:
        hardware.broken = LabError("The engine is gone.")
        with pytest.raises(ClientError, match="The engine is gone") as caught:
            client.create_vpc(CidrBlock="10.98.0.0/16")
        assert caught.value.response["Error"]["Code"] == "InternalError"
        # Nothing is told of the books, not even read, while the hosts are not in line.
        with pytest.raises(ClientError, match="The engine is gone"):
            client.describe_vpcs()
        hardware.broken = None
        found = client.describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.98.0.0/16"]}])["Vpcs"]
        assert (hardware.followed, hardware.is_behind) == (1, False)
        assert len(found) == 1
        client.delete_vpc(VpcId=found[0]["VpcId"])


def test_the_engine_says_no_in_its_own_words(endpoint: str, hardware: Hardware) -> None:
    hardware.broken = APIError("500 Server Error for url: http+docker", None, "the disk is full")
    with ec2(endpoint) as client, pytest.raises(ClientError) as caught:
        client.create_vpc(CidrBlock="10.96.0.0/16")
    said = caught.value.response["Error"]["Message"]
    assert said == "The container engine cannot do it: the disk is full"
    # A service that is asked in JSON is answered in JSON.
    with ec2(endpoint, service="ssm") as client, pytest.raises(ClientError) as caught:
        client.get_parameter(Name="/none")
    assert caught.value.response["Error"] == {"Code": "InternalError", "Message": said}
    hardware.is_behind = False


def test_who_waits_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any]
) -> None:
    monkeypatch.setattr(reconcile, "PATIENCE", 0.01)
    hardware = reconcile.Hardware(lambda: None, None, tmp_path)  # type: ignore[arg-type, return-value]
    with ThreadPoolExecutor() as pool, hardware.turn():
        waiting = pool.submit(hardware.turn().__enter__)
        assert "still busy" in str(waiting.exception())
    with hardware.turn(), hardware.turn():  # one may take it again
        pass


def test_no_public_address_is_given_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"i-1": SimpleNamespace(public_ip="198.18.5.101")}
    monkeypatch.setattr(books, "instances", lambda: given)
    addresses = api_server._public_addresses("198.18.5.0/24")
    assert [next(addresses) for _time in range(3)] == [f"198.18.5.{n}" for n in (100, 102, 103)]


def test_books_are_kept(connection: dict[str, Any], tmp_path: Path) -> None:
    assert books.take_up(tmp_path) == {}
    aws = Aws(Settings().region, connection)
    vpc = aws.call("ec2", "create_vpc", CidrBlock="10.95.0.0/16")["Vpc"]["VpcId"]
    books.keep(tmp_path, {"made": {"i-1"}})
    assert stat.S_IMODE((tmp_path / BOOKS).stat().st_mode) == 0o600
    aws.call("ec2", "delete_vpc", VpcId=vpc)
    assert vpc not in books.vpcs()
    assert books.take_up(tmp_path) == {"made": {"i-1"}}
    assert vpc in books.vpcs()
    aws.call("ec2", "delete_vpc", VpcId=vpc)
    assert vpc not in books.vpcs()


def test_an_error_of_any_kind_is_an_answer(endpoint: str, hardware: Hardware) -> None:
    with ec2(endpoint) as client:
        hardware.broken = RuntimeError("a <bug> & more")
        with pytest.raises(ClientError, match="a <bug> & more"):
            client.create_vpc(CidrBlock="10.97.0.0/16")


def test_the_lab_tells_its_owner(endpoint: str) -> None:
    assert lab_api(endpoint).ask("hosts")[0]["name"] == "pc"
    assert lab_api(endpoint).is_up


def test_hosts_that_are_away_are_named(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lab_api(endpoint).away() == []
    hosts = [{"name": "pc", "state": "running"}, {"name": "mailbox", "state": "missing"}]
    monkeypatch.setattr(Hardware, "hosts", lambda self: hosts)
    assert lab_api(endpoint).away() == ["mailbox (missing)"]


def test_the_lab_tells_nobody_else(endpoint: str) -> None:
    stranger = lab_api(endpoint, Key.new())
    with pytest.raises(LabDown, match="does not answer"):
        stranger.ask("hosts")
    assert not stranger.is_up


def test_what_goes_wrong_is_told_with_its_cure(endpoint: str, hardware: Hardware) -> None:
    hardware.broken = LabError("The engine is gone.", "Start it.")
    with pytest.raises(LabError, match="The engine is gone") as caught:
        lab_api(endpoint).ask("hosts")
    assert caught.value.cure == "Start it."
    with pytest.raises(LabError, match="cannot be asked"):
        lab_api(endpoint).ask("reset")


def test_a_lab_that_is_not_there_is_down() -> None:
    with pytest.raises(LabDown, match="does not answer"):
        lab_api("http://127.0.0.1:1").ask("hosts")


def test_another_program_at_its_address_is_not_the_lab() -> None:
    def other(environ: dict[str, Any], start: Any) -> list[bytes]:
        # What is left unread werkzeug waits to read to its end, and the client for the answer's.
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"answer": "lab"}).encode()]

    api_server = make_server("127.0.0.1", 0, other)
    thread = threading.Thread(target=api_server.handle_request)
    thread.start()
    found = lab_api(f"http://127.0.0.1:{api_server.server_port}")
    with pytest.raises(LabDown, match="it is another program"):
        found.ask("name")
    thread.join()
    api_server.server_close()
