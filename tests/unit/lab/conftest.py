"""The API of the lab as a learner's own script meets it: boto3's clients and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from handson.cloud.client import Aws
from handson.cloud.cloud import Cloud

Refusal = Callable[..., tuple[str, str]]


@pytest.fixture
def api(cloud_of: Callable[..., Cloud]) -> Aws:
    return cloud_of("20250108")._aws


@pytest.fixture
def ec2(api: Aws) -> Any:
    """boto3's own client for EC2."""
    return api._client("ec2")


@pytest.fixture
def refusal() -> Refusal:
    """Return a caller that returns the code and the message with which a call is refused."""

    def call(operation: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as caught:
            operation(**arguments)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    return call
