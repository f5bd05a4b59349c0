from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

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
    [("ExpiredToken", "Log in again"), ("Throttling", "Wait a minute"), ("VpcLimit", "Fix the")],
)
def test_a_refusal_has_a_cure_that_fits(code: str, cure: str) -> None:
    assert cure in refusal(code).cure


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
