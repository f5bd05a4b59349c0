"""A lab belongs to a user of the machine: real users, with and without rights on the engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import users
from users import Checkout, User
from waiting import NEVER, own

from handson.lab.api import LabApi
from handson.lab.state import LabState

pytestmark = pytest.mark.slow(minutes=2)

checkout = users.checkout
NAME = own("shared")

# What a learner does in notebooks 00 and 09, without a browser.
LEARN = """
from handson import begin
from handson.course.steps.harden import Harden
step = begin("00_start")
step.save(step.form())
step.create()
with step.as_step(Harden).wiretap(25) as wire:
    step.talk(25)
assert "QUIT" in wire.text(), wire.text()
print(step.talk(587).connected)
"""


@contextmanager
def cleared(checkout: Checkout, *owners: User | None) -> Iterator[None]:
    """Remove these users' labs at the end, root's where it says None."""
    try:
        yield
    finally:
        for owner in owners:
            for_whom = ("--for", owner.name) if owner else ()
            handson(None, checkout, "down", *for_whom)


def handson(
    user: User | None, checkout: Checkout, command: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as this user, or as root."""
    words = checkout.handson(command, "--name", NAME, *arguments)
    if user:
        return user.run(words, timeout=NEVER)
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}
    return subprocess.run(
        words, env=environment, cwd="/", capture_output=True, text=True, timeout=NEVER, check=False
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def addresses(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Return the addresses of the hosts that `handson status` shows."""
    return set(re.findall(r"\b(?:198|10|172|203)\.\d+\.\d+\.\d+\b", done.stdout))


@pytest.fixture
def two(checkout: Checkout) -> Iterator[tuple[User, User]]:
    with users.user(sudo=True) as first, users.user(sudo=True) as second:
        yield first, second


@pytest.fixture
def guest(checkout: Checkout) -> Iterator[User]:
    """A user who may use neither the engine nor sudo."""
    with users.user() as found:
        yield found


def test_three_users_and_one_name(checkout: Checkout, two: tuple[User, User]) -> None:
    """They start at the same moment, see their own lab only, and take down no other."""
    everybody = [*two, None]
    with cleared(checkout, *everybody):
        with ThreadPoolExecutor(3) as pool:
            ups = list(pool.map(lambda user: handson(user, checkout, "up"), everybody))
        assert [done.returncode for done in ups] == [0, 0, 0], [said(done) for done in ups]
        shown = [addresses(handson(user, checkout, "status")) for user in everybody]
        assert all(shown) and not shown[0] & shown[1] and not (shown[0] | shown[1]) & shown[2]

        gone = handson(two[0], checkout, "down")
        assert f"The lab “{NAME}” is removed." in gone.stdout, said(gone)
        assert "is not running" in handson(two[0], checkout, "status").stdout
        for user, before in zip(everybody[1:], shown[1:], strict=True):
            assert addresses(handson(user, checkout, "status")) == before
            assert handson(user, checkout, "ssh", "mailbox", "hostname").stdout == "mailbox\n"
        # The first has no lab any more, and cannot take down the others' by saying so again.
        again = handson(two[0], checkout, "down")
        assert f"There was no lab “{NAME}”." in again.stdout, said(again)
        assert addresses(handson(two[1], checkout, "status")) == shown[1]


def test_without_rights_on_the_engine(checkout: Checkout, guest: User) -> None:
    up = handson(guest, checkout, "up")
    assert up.returncode == 1
    assert "you may not use it" in said(up) and f"--for {guest.name}" in said(up)
    down = handson(guest, checkout, "down")
    assert down.returncode == 1 and "removed" not in said(down)
    assert "Traceback" not in said(up) + said(down)


def test_a_lab_that_root_made_for_somebody(checkout: Checkout, guest: User) -> None:
    with cleared(checkout, guest):
        up = handson(None, checkout, "up", "--for", guest.name)
        assert up.returncode == 0, said(up)
        assert f"It belongs to {guest.name}" in up.stdout
        status = handson(guest, checkout, "status")
        assert status.returncode == 0 and "is up" in status.stdout, said(status)
        assert "is up already" in handson(guest, checkout, "up").stdout

        learnt = guest.run(
            [str(checkout.python), "-c", LEARN],
            env={"HANDSON_NAME": NAME, "HANDSON_HEADLESS": "1", "PYTHONPATH": str(checkout.root)},
            timeout=NEVER,
        )
        assert learnt.returncode == 0, said(learnt)
        assert learnt.stdout.splitlines()[-1] == "timed out"

        refused = handson(guest, checkout, "down")
        assert refused.returncode == 1
        assert f"handson down --for {guest.name} --name {NAME}" in said(refused)
        assert "Only root can remove it: sudo " in said(refused)
        assert "is up" in handson(guest, checkout, "status").stdout

        down = handson(None, checkout, "down", "--for", guest.name)
        assert down.returncode == 0 and "is removed" in down.stdout, said(down)
        assert not (guest.home / ".handson" / ".labs").exists()
        assert "is not running" in handson(guest, checkout, "status").stdout


def test_only_root_acts_for_somebody(checkout: Checkout, guest: User) -> None:
    done = handson(guest, checkout, "up", "--for", "root")
    assert done.returncode == 1 and "Only root can make or remove" in said(done)
    nobody = handson(None, checkout, "up", "--for", "no-such-user")
    assert nobody.returncode == 1 and "There is no user “no-such-user”" in said(nobody)


def test_a_link_in_the_home_leads_root_nowhere(
    checkout: Checkout, guest: User, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    guest.run(["ln", "-s", str(tmp_path), str(guest.home / ".handson")])
    with cleared(checkout, guest):
        done = handson(None, checkout, "up", "--for", guest.name)
    assert done.returncode == 1, said(done)
    assert "Traceback" not in said(done)
    assert list(tmp_path.iterdir()) == []


def test_a_lab_of_another_workspace_says_so(checkout: Checkout, tmp_path: Path) -> None:
    with cleared(checkout, None):
        assert handson(None, checkout, "up").returncode == 0
        state = LabState.load(NAME)
        assert LabApi(state).is_up
        assert json.loads(LabState.file(NAME).read_text())["maker"]["user"] == os.getuid()
        environment = {**os.environ, "HANDSON_WORKSPACE": str(tmp_path / "other")}
        other = subprocess.run(
            checkout.handson("up", "--name", NAME),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert other.returncode == 1
        assert "lets another key in than yours" in said(other)
        elsewhere = subprocess.run(
            checkout.handson("status", "--name", "another"),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert elsewhere.returncode == 1
        assert f"belongs to the lab “{NAME}”, not to “another”" in said(elsewhere)
