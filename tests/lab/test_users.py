"""The users that other tests act as are real ones: their rights, and that nothing stays."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import users
from users import Checkout, User

from handson.lab import image, processes

checkout, admin, guest = users.checkout, users.admin, users.guest

# Makes a copy, and a user with a process of their own, one of root's and a file; is killed then.
KILLED = """
import os, signal, users
with users.open_checkout() as copy, users.user(sudo=True) as one:
    one.run(["touch", f"/tmp/{one.name}"])
    one.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 & sudo -n sleep 600 >/dev/null 2>&1 &"])
    while len(users.processes_of(one)) < 3:
        pass
    print(copy.root, one.name, *[process.pid for process in users.processes_of(one)], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def status(user: User) -> dict[str, str]:
    """Return what the kernel says of a process of this user."""
    lines = user.run(["cat", "/proc/self/status"]).stdout.splitlines()
    return {key: value.strip() for key, _colon, value in (line.partition(":") for line in lines)}


def refused(user: User, *argv: str) -> str:
    """Return what a program that may not do something says."""
    result = user.run(argv)
    assert result.returncode != 0, result.stdout
    return result.stderr


def traces(name: str, home: Path) -> list[str]:
    """Return what is left of a user."""
    folders = ("/etc/sudoers.d", "/tmp", "/run/sudo/ts")
    files = [home, *(Path(folder) / name for folder in folders)]
    known = [entry.pw_name for entry in pwd.getpwall() if entry.pw_name == name]
    return known + [str(path) for path in files if path.exists()]


@pytest.mark.parametrize("who", ["admin", "guest"])
def test_a_user_is_an_ordinary_one(who: str, request: pytest.FixtureRequest) -> None:
    user: User = request.getfixturevalue(who)
    seen = status(user)
    assert seen["Uid"].split() == [str(user.uid)] * 4
    assert "0" not in seen["Gid"].split() + seen["Groups"].split()
    for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(seen[which], 16) == 0, which
    environment = user.run(["env"]).stdout.splitlines()
    names = {line.partition("=")[0] for line in environment}
    assert names == {"HOME", "USER", "LOGNAME", "PATH", "LANG"}
    assert user.run(["pwd"]).stdout.strip() == str(user.home)
    assert seen["NSsid"] == seen["Pid"], "it leads a session of its own"


def test_a_user_may_not_do_what_only_root_may(guest: User) -> None:
    assert "Permission denied" in refused(guest, "ls", "/root")
    assert "Permission denied" in refused(guest, "cat", "/etc/shadow")
    assert "not permitted" in refused(guest, "sh", "-c", f"kill -0 {os.getpid()}")
    assert "Permission denied" in refused(guest, "cat", f"/proc/{os.getpid()}/environ")


def test_one_user_may_not_touch_what_is_anothers(admin: User, guest: User) -> None:
    with admin.start(["sleep", "60"]) as process:
        assert "not permitted" in refused(guest, "sh", "-c", f"kill {process.pid}")
        assert process.poll() is None
        process.kill()
    assert "Permission denied" in refused(guest, "touch", str(admin.home / "mine"))


def test_sudo_is_for_one_and_not_for_the_other(admin: User, guest: User) -> None:
    assert admin.run(["sudo", "-n", "id", "-u"]).stdout == "0\n"
    assert "password is required" in refused(guest, "sudo", "-n", "id", "-u")


def test_a_user_can_run_the_course_and_not_change_it(checkout: Checkout, guest: User) -> None:
    said = guest.run(checkout.handson("--help"))
    assert said.returncode == 0, said.stderr
    assert "Usage: handson" in said.stdout
    assert_complete(guest, checkout, packages_of=checkout)
    assert "Permission denied" in refused(guest, "touch", str(checkout.root / "handson/new.py"))


def test_a_user_can_have_a_checkout_and_change_it(checkout: Checkout, guest: User) -> None:
    own = checkout.own(guest)
    assert_complete(guest, own, packages_of=checkout)
    assert guest.run(["mkdir", str(own.root / "runs")]).returncode == 0
    assert {path.owner() for path in own.root.rglob("*") if not path.is_symlink()} == {guest.name}


def assert_complete(user: User, checkout: Checkout, packages_of: Checkout) -> None:
    """All comes out of that copy for a user, what is compiled and what is no Python as well."""
    program = (
        "import zmq, handson; from handson.course import outline; from handson.lab import image\n"
    )
    program += "print(outline.checkout(), handson.__file__, zmq.__file__, image.tag())"
    result = user.run([str(checkout.python), "-c", program])
    assert result.returncode == 0, result.stderr
    root, package, compiled, tag = result.stdout.split()
    assert root == str(checkout.root)
    assert package == str(checkout.root / "handson/__init__.py")
    assert compiled.startswith(str(packages_of.packages))
    assert tag == image.tag()


def test_what_takes_too_long_is_ended_with_its_children(guest: User) -> None:
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        guest.run(["sh", "-c", "sleep 60; true"], timeout=0.5)
    assert time.monotonic() - began < 5
    assert users.processes_of(guest) == []


def test_nothing_of_a_user_stays_when_a_test_fails() -> None:
    if reason := users.why_not():
        pytest.skip(reason)
    with pytest.raises(ZeroDivisionError), users.user(sudo=True) as one, users.user() as other:
        one.run(["touch", f"/tmp/{one.name}"])
        refused(other, "sudo", "-n", "true")
        process = one.start(["sudo", "-n", "sleep", "600"])
        raise ZeroDivisionError
    for gone in (one, other):
        assert traces(gone.name, gone.home) == []
        assert users.processes_of(gone) == []
    with process:
        assert process.wait() != 0


def test_a_copy_is_gone_at_the_end(guest: User) -> None:
    with users.open_checkout() as made:
        assert guest.run(["ls", str(made.root)]).returncode == 0
    assert not made.root.exists()


def test_what_a_killed_run_left_is_cleared_and_nothing_else(
    checkout: Checkout, guest: User
) -> None:
    paths = {"PYTHONPATH": f"{Path(users.__file__).parent}:{users.ROOT}"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    copy, name, *numbers = killed.stdout.split()
    home = Path(pwd.getpwnam(name).pw_dir)
    left = [psutil.Process(int(number)) for number in numbers]
    assert len(traces(name, home)) == 4
    assert len(left) >= 3
    assert Path(copy).is_dir()

    users.clear_left_over()
    assert not Path(copy).exists()
    assert traces(name, home) == []
    assert not [process for process in left if processes.runs(process)]
    assert guest.run(checkout.handson("--help")).returncode == 0
