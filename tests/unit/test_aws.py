import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    LoginRefreshRequired,
    LoginTokenLoadError,
    ParamValidationError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from handson.cloud.client import Aws, Refused, in_plain_words
from handson.errors import CloudError


def refusal(code: str) -> CloudError:
    return in_plain_words(ClientError({"Error": {"Code": code, "Message": "No."}}, "DescribeVpcs"))


def test_a_refusal_names_the_operation_the_reason_and_the_code() -> None:
    error = refusal("UnauthorizedOperation")
    assert isinstance(error, Refused) and error.code == "UnauthorizedOperation"
    assert error.what == "AWS refused DescribeVpcs: No (UnauthorizedOperation)"
    assert "allow you that operation" in error.cure


@pytest.mark.parametrize(
    ("code", "cure"),
    [("ExpiredToken", "Log in again"), ("Throttling", "wait a minute"), ("VpcLimit", "Fix the")],
)
def test_a_refusal_has_a_cure_that_fits(code: str, cure: str) -> None:
    assert cure in refusal(code).cure


@pytest.mark.parametrize(
    "error",
    [
        TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
        LoginRefreshRequired(),
        LoginTokenLoadError(error_msg="no token"),
        UnauthorizedSSOTokenError(),
        SSOTokenLoadError(error_msg="no token"),
        CredentialRetrievalError(provider="custom-process", error_msg="expired"),
        ClientError({"Error": {"Code": "ExpiredToken", "Message": "Expired."}}, "DescribeVpcs"),
        ClientError({"Error": {"Code": "ExpiredTokenException"}}, "CreateStack"),
        ClientError({"Error": {"Code": "RequestExpired"}}, "DescribeVpcs"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_login_that_has_expired_is_made_anew(error: Exception) -> None:
    told = in_plain_words(error)
    assert told.cure.startswith("Log in again: ")
    assert "run the cell again" in told.cure and "aws sso login" in told.cure


def answers(handler: BaseHTTPRequestHandler) -> None:
    """Answer as STS does; the keys that begin with OLD have expired."""
    handler.rfile.read(int(handler.headers["Content-Length"]))
    is_old = "Credential=OLD" in handler.headers["Authorization"]
    body = (
        "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in "
        "the request is expired</Message></Error></ErrorResponse>"
        if is_old
        else "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/joe"
        "</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
    handler.send_response(403 if is_old else 200)
    handler.end_headers()
    handler.wfile.write(body.encode())


@pytest.fixture
def sts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """An STS on loopback; the keys are in the file `keys`, as a program prints them."""

    class Sts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answers(self)

        def log_message(self, *_: object) -> None:
            pass

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {tmp_path / 'keys'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with ThreadingHTTPServer(("127.0.0.1", 0), Sts) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Aws("ap-northeast-1", {"endpoint_url": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()


def log_in(file: Path, key: str) -> None:
    keys = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret"}
    file.write_text(json.dumps(keys))


def test_the_same_kernel_goes_on_after_a_new_login(sts: Aws, tmp_path: Path) -> None:
    def who() -> str:
        return str(sts.call("sts", "get_caller_identity")["Arn"])

    with pytest.raises(CloudError, match="does not know who you are") as caught:
        who()
    assert caught.value.cure.startswith("Log in again: ")
    log_in(tmp_path / "keys", "OLD1")
    with pytest.raises(CloudError, match="ExpiredToken"):
        who()
    log_in(tmp_path / "keys", "NEW1")
    assert who() == "arn:aws:iam::1:user/joe"


def test_pages_go_on_after_a_new_login_too(sts: Aws, tmp_path: Path) -> None:
    log_in(tmp_path / "keys", "OLD1")
    with pytest.raises(CloudError, match="ExpiredToken"):
        sts.pages("sts", "get_caller_identity", "Arn")
    log_in(tmp_path / "keys", "NEW1")
    assert sts.pages("sts", "get_caller_identity", "Arn")


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("OptInRequired", "Enable the region in the AWS console"),
        ("RegionDisabledException", "Enable the region in the AWS console"),
        # AWS says no more than this of a region that the account has not enabled.
        ("AuthFailure", "If the region is one that has to be enabled first"),
        ("InvalidClientTokenId", "If the region is one that has to be enabled first"),
        ("UnrecognizedClientException", "If the region is one that has to be enabled first"),
        ("RequestLimitExceeded", "too many requests at a time: wait a minute"),
        ("Throttling", "too many requests at a time: wait a minute"),
        ("ThrottlingException", "too many requests at a time: wait a minute"),
        ("TooManyRequestsException", "too many requests at a time: wait a minute"),
    ],
)
def test_what_the_api_refuses_says_what_to_do(code: str, cure: str) -> None:
    api = Aws("me-south-1", {"aws_access_key_id": "a", "aws_secret_access_key": "b"})
    with Stubber(api._client("ec2")) as ec2:
        ec2.add_client_error("describe_vpcs", code, "No.")
        with pytest.raises(Refused) as caught:
            api.call("ec2", "describe_vpcs")
    assert caught.value.what == f"AWS refused DescribeVpcs: No ({code})"
    assert cure in caught.value.cure


def test_an_expired_login_says_nothing_of_regions() -> None:
    assert "region" not in refusal("ExpiredToken").cure


def test_boto3s_own_complaints_are_cloud_errors_too() -> None:
    for fault in (ParamValidationError(report="nonsense"), ResponseParserError("nonsense")):
        error = in_plain_words(fault)
        assert "nonsense" in error.what and error.cure


def test_a_web_page_is_no_answer() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Not here</title>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.handle_request, daemon=True).start()
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(CloudError, match="Unable to parse response"):
            Aws("ap-northeast-1", {"endpoint_url": url, **keys}).call("sts", "get_caller_identity")


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nobody = Aws("ap-northeast-1", {"endpoint_url": connection["endpoint_url"]})
    with pytest.raises(CloudError, match="does not know who you are") as caught:
        nobody.call("sts", "get_caller_identity")
    assert "aws configure" in caught.value.cure


def test_nobody_answers(connection: dict[str, Any]) -> None:
    deaf = Aws("ap-northeast-1", {**connection, "endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(CloudError, match="does not answer") as caught:
        deaf.call("sts", "get_caller_identity")
    assert "handson status" in caught.value.cure


def test_a_client_is_made_once(connection: dict[str, Any]) -> None:
    api = Aws("ap-northeast-1", connection)
    assert api._client("sts") is api._client("sts")
