"""What a lab's server answers, and to whom; the books are moto's, the hosts are stood in for."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from werkzeug.serving import make_server

from handson.errors import LabDown, LabError
from handson.lab.access import Key
from handson.lab.api import LabApi
from handson.lab.server import LARGEST, Application, QuietHandler
from handson.lab.state import LabState

KEY = Key.new()


class Hardware:
    """Hosts that are in line with the books, until `broken` says why they cannot be."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_behind = False
        self.broken: Exception | None = None
        self.followed = 0

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
    """The address of a server; `connection` has mended moto in this process."""
    application = Application(hardware, KEY)  # type: ignore[arg-type]
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def ec2(endpoint: str, key: Key = KEY) -> Iterator[Any]:
    client = boto3.session.Session().client(
        "ec2",
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
    ],
)
def test_what_is_no_request_is_refused_without_a_word(data: bytes, endpoint: str) -> None:
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


def test_an_error_of_any_kind_is_an_answer(endpoint: str, hardware: Hardware) -> None:
    with ec2(endpoint) as client:
        hardware.broken = RuntimeError("a <bug> & more")
        with pytest.raises(ClientError, match="a <bug> & more"):
            client.create_vpc(CidrBlock="10.97.0.0/16")


def test_the_lab_tells_its_owner(endpoint: str) -> None:
    assert lab_api(endpoint).ask("hosts")[0]["name"] == "pc"
    assert lab_api(endpoint).is_up


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
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"answer": "lab"}).encode()]

    server = make_server("127.0.0.1", 0, other)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    found = lab_api(f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(LabDown, match="it is another program"):
        found.ask("name")
    thread.join()
    server.server_close()
