"""The order of the tests, and the labs that they make, here or by a program of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from handson.lab import processes
from handson.lab.state import TESTS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none is the last one and runs alone."""
    # All tests of a file run on one worker, in their order.
    minutes: dict[Path, int] = {}
    for item in items:
        if slow := item.get_closest_marker("slow"):
            minutes[item.path] = slow.kwargs.get("minutes", 1)
    items.sort(key=lambda item: -minutes.get(item.path, 0))


@pytest.fixture(scope="session", autouse=True)
def labs_go_with_the_tests() -> Iterator[None]:
    """Mark them, so that later tests remove those of tests that were killed."""
    os.environ[TESTS] = processes.identity()
    yield
    del os.environ[TESTS]
