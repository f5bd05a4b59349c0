"""Labs that tests make, in this process or by a program, go with this process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from handson.lab import processes
from handson.lab.state import TESTS


@pytest.fixture(scope="session", autouse=True)
def labs_go_with_the_tests() -> Iterator[None]:
    """Mark them, so that later tests remove those of tests that were killed."""
    os.environ[TESTS] = processes.identity()
    yield
    del os.environ[TESTS]
