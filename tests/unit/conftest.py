"""An AWS API on loopback, in this process: moto as the lab patches it, without hosts."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handson.cloud.cloud import Cloud
from handson.cloud.stacks import plan
from handson.settings import Settings

OWN_IP = "203.0.113.5"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJHiG0AFDGbEW3GWgVEJc3V8f0jyXOBSo2kNSJZrJo3J a"
CONSOLE: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test with no variable of the course, and with no secret: it may be any word."""
    monkeypatch.setattr("handson.secret._known", {})
    for name in list(os.environ):
        if name.startswith("HANDSON_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def connection() -> Iterator[dict[str, Any]]:
    """What boto3's clients need to reach the API."""
    from moto.server import ThreadedMotoServer

    from handson.lab.patches import apply

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    apply(
        (f"203.0.113.{n}" for n in itertools.cycle(range(10, 250))),
        lambda instance_id: CONSOLE.get(instance_id, ""),
    )
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "endpoint_url": f"http://{host}:{port}",
        "aws_access_key_id": "lab",
        "aws_secret_access_key": "lab",
    }
    server.stop()


@pytest.fixture
def console() -> Iterator[dict[str, str]]:
    """What an instance's console shows, by id."""
    yield CONSOLE
    CONSOLE.clear()


@pytest.fixture(scope="session")
def cloud_of(connection: dict[str, Any]) -> Callable[..., Cloud]:
    """Return a maker of clouds for a day and further choices."""
    # boto3 takes half a second to read EC2's description: once is enough for all clouds.
    shared = Cloud(Settings(), connection)._aws

    def make(date: str, **choices: str) -> Cloud:
        cloud = Cloud(Settings(date=date, **choices), connection)
        cloud._aws = cloud._stacks.aws = cloud._groups.aws = shared
        return cloud

    return make


@pytest.fixture(scope="session")
def built(cloud_of: Callable[..., Cloud]) -> tuple[Cloud, list[str]]:
    """The five stacks of one day, and what was said while they were made. Left as they are."""
    cloud, said = cloud_of("20250101"), []
    for stack_plan in plan(cloud.settings, cloud.import_key(PUBLIC_KEY), OWN_IP):
        cloud.create(stack_plan, said.append)
    return cloud, said
