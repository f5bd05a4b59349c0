"""When a host is ready: its user data has run to the end."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import pytest

from handson.errors import HandsonError
from handson.hosts.host import Host, fill
from handson.hosts.inventory import FINISHED, READY, wait_until_ready

SAID = "Error: Unable to find a match: postfix"


class Booted:
    """A host that has these files, and this at the end of its cloud-init-output.log."""

    name = "server"

    def __init__(self, files: Collection[str]) -> None:
        self.files = {f"test -e {file}" for file in files}

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        line = fill(command, values)
        if line.startswith("test -e "):
            return (0 if line in self.files else 1), ""
        assert "/var/log/cloud-init-output.log" in line
        return 0, f"{SAID}\n"


def wait(*files: str, seconds: float = 0) -> None:
    wait_until_ready(cast(Host, Booted(files)), seconds)


def test_a_host_whose_user_data_ran_to_the_end_is_ready() -> None:
    wait(FINISHED, READY)


def test_a_host_whose_user_data_failed_is_not_ready() -> None:
    with pytest.raises(HandsonError) as caught:
        wait(FINISHED, seconds=600)  # and nobody waits for it
    assert caught.value.what == f"server has not run its user data to the end:\n{SAID}"
    assert "10_teardown" in caught.value.cure


@pytest.mark.parametrize("files", [(), (READY,)])
def test_a_host_that_still_boots_is_waited_for(files: tuple[str, ...]) -> None:
    with pytest.raises(HandsonError, match="not run its user data to the end"):
        wait(*files)
