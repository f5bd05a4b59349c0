"""Who gets into a lab's API: nothing behind it is asked before the key is seen."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from handson.lab.access import Key

KEY = Key.new()
BODY = b"Action=DescribeVpcs&Version=2016-11-15"
HOST = "127.0.0.1:4566"


def request(
    headers: dict[str, str] | None = None,
    body: bytes = BODY,
    key: Key = KEY,
    service: str = "ec2",
    method: str = "POST",
    path: str = "/",
) -> dict[str, Any]:
    """Return a WSGI request as boto3 signs it."""
    asked = AWSRequest(
        method=method,
        url=f"http://{HOST}{path}",
        data=body,
        headers={"Host": HOST, **(headers or {})},
    )
    SigV4Auth(Credentials(key.id, key.secret), service, "ap-northeast-1").add_auth(asked)
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.partition("?")[0],
        "RAW_URI": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in asked.headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    if "HTTP_CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
    return environ


def test_each_key_is_another() -> None:
    keys = [Key.new() for _number in range(20)]
    assert len({key.id for key in keys}) == len({key.secret for key in keys}) == 20
    assert all(len(key.secret) == 40 for key in keys)
    assert KEY.secret not in repr(KEY)


@pytest.mark.parametrize("service", ["ec2", "sts", "handson"])
def test_a_signed_request_is_admitted(service: str) -> None:
    assert KEY.admits(request(service=service), BODY) == service


def test_what_boto3_may_add_is_admitted() -> None:
    more = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X-Amz-Content-SHA256": hashlib.sha256(BODY).hexdigest(),
        "X-Amz-Target": "AmazonSSM.GetParameters",
        "User-Agent": "Boto3/1  md/x",
    }
    assert KEY.admits(request(more), BODY) == "ec2"
    assert KEY.admits(request(path="/?a=b&c=%20d", method="GET", body=b""), b"") == "ec2"


def test_nobody_gets_in_without_the_key() -> None:
    other = Key.new()
    for wrong in (other, Key(KEY.id, other.secret), Key(other.id, KEY.secret), Key(KEY.id, "")):
        assert KEY.admits(request(key=wrong), BODY) == ""


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "x",
        "Basic bGFiOmxhYg==",
        "AWS4-HMAC-SHA256 Credential=lab/20250101/x/ec2/aws4_request, SignedHeaders=host",
        f"AWS4-HMAC-SHA256 Credential={KEY.id}/20250101/x/ec2/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}",
    ],
)
def test_other_authorizations(authorization: str | None) -> None:
    environ = request()
    del environ["HTTP_AUTHORIZATION"]
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = authorization
    assert KEY.admits(environ, BODY) == ""


def test_the_signature_holds_for_this_request_only() -> None:
    earlier = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y%m%dT%H%M%SZ")
    for changed in (
        {"REQUEST_METHOD": "GET"},
        {"RAW_URI": "/handson-lab/hosts", "PATH_INFO": "/handson-lab/hosts"},
        {"RAW_URI": "/?Action=RunInstances"},
        {"HTTP_HOST": "evil.example"},
        {"HTTP_X_AMZ_DATE": earlier},
    ):
        assert KEY.admits({**request(), **changed}, BODY) == "", changed
    assert KEY.admits(request(), b"Action=RunInstances") == ""
    assert KEY.admits(request(), b"") == ""


def test_the_digest_in_a_header_has_to_be_that_of_the_body() -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    environ = request({"X-Amz-Content-SHA256": digest})
    assert KEY.admits(environ, BODY) == "ec2"
    assert KEY.admits(environ, b"Action=RunInstances") == ""
    unsigned = request({"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert KEY.admits(unsigned, BODY) == ""


def test_a_signed_header_has_to_be_there() -> None:
    environ = request({"X-Amz-Target": "AmazonSSM.GetParameters"})
    del environ["HTTP_X_AMZ_TARGET"]
    assert KEY.admits(environ, BODY) == ""
    assert KEY.admits({**request(), "HTTP_X_AMZ_DATE": ""}, BODY) == ""


@pytest.mark.parametrize(("minutes", "is_in"), [(-14, True), (14, True), (-16, False), (16, False)])
def test_an_old_request_is_not_taken_again(
    minutes: int, is_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: then)
    assert bool(KEY.admits(request(), BODY)) is is_in


def test_a_target_that_is_not_signed_is_refused() -> None:
    target = {"X-Amz-Target": "AmazonSSM.DescribeParameters"}
    assert KEY.admits(request(target, service="ssm"), BODY) == "ssm"
    added = {**request(service="ssm"), "HTTP_X_AMZ_TARGET": target["X-Amz-Target"]}
    assert KEY.admits(added, BODY) == ""


def test_headers_that_nobody_can_read_are_refused() -> None:
    assert KEY.admits({**request(), "HTTP_HOST": "["}, BODY) == ""
    digest = request({"X-Amz-Content-SHA256": hashlib.sha256(BODY).hexdigest()})
    assert KEY.admits({**digest, "HTTP_X_AMZ_CONTENT_SHA256": "\xe9"}, BODY) == ""


def test_an_address_may_be_signed_in_the_query_by_nobody() -> None:
    environ = request()
    environ["RAW_URI"] = f"/?X-Amz-Credential={KEY.id}&X-Amz-Signature={'0' * 64}"
    del environ["HTTP_AUTHORIZATION"]
    assert KEY.admits(environ, BODY) == ""
