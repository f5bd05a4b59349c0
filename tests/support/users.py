"""Real ordinary users of this machine for tests, and a copy of this checkout that they can read.

Root makes both, and both carry this process's number in their names: what a run that was
killed left behind is found by it and cleared away by the next one.

    with open_checkout() as checkout, user(sudo=True) as admin, user() as guest:
        admin.run(checkout.handson("up", "--name", "a1"), timeout=300)
        guest.run(["cat", "/etc/shadow"])
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from handson.lab import processes

ROOT = Path(__file__).parents[2]
# The checkout's own interpreter may lie in a folder that only root may enter. Extensions are
# compiled for a version, so this one has to be of the same.
PYTHON = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
COPIES = Path("/var/tmp")
SUDOERS = Path("/etc/sudoers.d")
# Where sudo remembers whom it asked for a password.
ASKED = [Path("/run/sudo/ts"), Path("/var/lib/sudo/lectured")]
FOR_ALL = [Path(folder) for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")]
# What a user gets who logs in on Debian: no /sbin, no /usr/sbin.
SEARCHED = "/usr/local/bin:/usr/bin:/bin"
# A lab's hosts share this machine's numbers: their first user has 1000, as the first user
# here would. Ours are numbered apart, so that ending their processes ends no other ones.
NUMBERS = ["--key", "UID_MIN=20000", "--key", "UID_MAX=29999"]

_count = itertools.count(1)


def why_not() -> str:
    """Return why this process can make no users who run the course, or nothing."""
    if os.geteuid():
        return "only root can make users"
    for program in ("useradd", "userdel", "sudo", "visudo"):
        if not shutil.which(program):
            return f"there is no {program}"
    if not PYTHON.exists():
        return f"there is no {PYTHON} for all users, of the version that runs the tests"
    return ""


# -- users -----------------------------------------------------------------------------


@dataclass(frozen=True)
class User:
    """An ordinary user of this machine."""

    name: str
    uid: int
    home: Path

    def run(
        self, argv: Sequence[str], env: dict[str, str] | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user to its end; what still runs after `timeout` is ended."""
        with self.start(argv, env) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                # Its children too: they may hold the ends of its pipes.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(argv, process.returncode, output, errors)

    def start(
        self, argv: Sequence[str], env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program as this user, in the home folder and in a session of its own.

        It sees the five variables of a login, and those in `env`.
        """
        who = pwd.getpwuid(self.uid)
        return subprocess.Popen(
            argv,
            env={
                "HOME": str(self.home),
                "USER": self.name,
                "LOGNAME": self.name,
                "PATH": SEARCHED,
                "LANG": "C.UTF-8",
                **(env or {}),
            },
            cwd=self.home,
            # The kernel takes all capabilities from a process that stops being root's.
            user=self.uid,
            group=who.pw_gid,
            extra_groups=os.getgrouplist(self.name, who.pw_gid),
            umask=0o022,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextlib.contextmanager
def user(sudo: bool = False) -> Iterator[User]:
    """A new user, who may use sudo without a password or not at all; gone at the end.

    Gone with the user are the home, all processes, also those that sudo started, and what
    lies in the folders for temporary files.
    """
    clear_left_over()
    name = f"hands-on-{next(_count)}-{os.getpid()}"
    try:
        subprocess.run(
            ["useradd", "--create-home", "--shell", "/bin/bash", *NUMBERS, name], check=True
        )
        if sudo:
            _allow_sudo(name)
        yield _known(name)
    finally:
        _remove(name)


def clear_left_over() -> None:
    """Remove the users and the copies of runs that are no more."""
    with _alone():
        for entry in pwd.getpwall():
            match = re.fullmatch(r"hands-on-\d+-(\d+)", entry.pw_name)
            if match and not psutil.pid_exists(int(match[1])):
                _remove(entry.pw_name)
        for folder in COPIES.glob("hands-on-checkout-*"):
            match = re.fullmatch(r"hands-on-checkout-(\d+)-\w+", folder.name)
            # Anybody may make a folder there; only root's are ours.
            if match and not psutil.pid_exists(int(match[1])) and folder.stat().st_uid == 0:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold off other runs, which may find the same things left over (flock(2))."""
    folder = os.open(COPIES, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _known(name: str) -> User:
    entry = pwd.getpwnam(name)
    return User(name, entry.pw_uid, Path(entry.pw_dir))


def _allow_sudo(name: str) -> None:
    # One mistake in that folder, and nobody may use sudo any more. A name with a dot is not
    # read by sudo.
    draft = SUDOERS / f"{name}.new"
    try:
        draft.touch(mode=0o440)
        draft.write_text(f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n")
        subprocess.run(["visudo", "--quiet", "--check", f"--file={draft}"], check=True)
        draft.replace(SUDOERS / name)
    finally:
        draft.unlink(missing_ok=True)


def _remove(name: str) -> None:
    """Remove a user and all that is the user's, whatever is there of it."""
    try:
        gone = _known(name)
    except KeyError:
        return
    # First the rights, then the processes, which could make new files, then the files.
    for file in (SUDOERS / f"{name}.new", SUDOERS / name):
        file.unlink(missing_ok=True)
    _end_processes(gone)
    owned = [path for folder in FOR_ALL if folder.is_dir() for path in folder.iterdir()]
    for path in owned:
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_uid == gone.uid:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
    for folder in ASKED:
        (folder / name).unlink(missing_ok=True)
    # The home goes first: without its user it would never be found again.
    shutil.rmtree(gone.home, ignore_errors=True)
    subprocess.run(["userdel", name], check=True)


def _end_processes(gone: User, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while found := processes_of(gone):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{gone.name} still has processes: {found}")
        time.sleep(0.02)


def processes_of(owner: User) -> list[psutil.Process]:
    """Return what runs as this user, or as root through this user's sudo."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            # sudo, and what it starts, carry the user's name in their environment.
            is_theirs = owner.uid in process.uids() or owner.name in process.environ().values()
            if is_theirs and processes.runs(process):
                found.append(process)
    return found


# -- the checkout ------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout, with a virtual environment; all may read it."""

    root: Path

    @property
    def python(self) -> Path:
        return self.root / ".venv/bin/python"

    @property
    def packages(self) -> Path:
        return self.root / ".venv/lib" / PYTHON.name / "site-packages"

    def handson(self, *arguments: str) -> list[str]:
        """Return the command line of `handson` with these arguments."""
        return [str(self.python), "-m", "handson.cli.main", *arguments]

    def own(self, user: User) -> Checkout:
        """Make a checkout that belongs to a user, for what writes there: runs, notebooks.

        Its packages are those of this one.
        """
        made = Checkout(user.home / "course")
        script = """
            shared=$1 course=$2
            mkdir "$course"
            cp --archive "$shared/handson" "$shared/notebooks" "$shared/cfn" "$course"
            "$3" -m venv --without-pip "$course/.venv"
            ln -s "$shared/.venv/share" "$shared/.venv/etc" "$course/.venv"
            printf '%s\\n' "$course" "import site; site.addsitedir('$4')" >"$5/checkout.pth"
        """
        places = [self.root, made.root, PYTHON, self.packages, made.packages]
        user.run(["sh", "-euc", script, "sh", *map(str, places)]).check_returncode()
        return made


@contextlib.contextmanager
def open_checkout() -> Iterator[Checkout]:
    """A copy of what the course needs, for all to read and for root to change; gone at the end."""
    clear_left_over()
    root = Path(tempfile.mkdtemp(prefix=f"hands-on-checkout-{os.getpid()}-", dir=COPIES))
    try:
        for part in ("handson", "notebooks", "cfn"):
            shutil.copytree(ROOT / part, root / part)
        _copy_venv(Checkout(root))
        # The checkout may have been made with a umask that closes it to others.
        subprocess.run(["chmod", "--recursive", "a+rX", root], check=True)
        yield Checkout(root)
    finally:
        shutil.rmtree(root)


def _copy_venv(made: Checkout) -> None:
    venv = made.root / ".venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", venv], check=True)
    _link(Path(sysconfig.get_path("purelib")), made.packages)
    for part in ("share/jupyter", "etc/jupyter"):
        _link(Path(sys.prefix) / part, venv / part)
    # The package itself is installed as a way to the checkout; here it leads to the copy.
    for file in made.packages.glob("__editable__*"):
        file.unlink()
    (made.packages / "checkout.pth").write_text(f"{made.root}\n")


def _link(source: Path, target: Path) -> None:
    """Copy a folder by hard links, or in full where it lies on another file system."""
    target.mkdir(parents=True, exist_ok=True)
    for how in ("--link", "--remove-destination"):
        copied = subprocess.run(
            ["cp", "--archive", how, f"{source}/.", target], check=False, capture_output=True
        )
        if copied.returncode == 0:
            return
    copied.check_returncode()


# -- fixtures ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """The copy of the checkout, made once."""
    if reason := why_not():
        pytest.skip(reason)
    with open_checkout() as made:
        yield made


@pytest.fixture
def admin(checkout: Checkout) -> Iterator[User]:
    """A user with sudo."""
    with user(sudo=True) as made:
        yield made


@pytest.fixture
def guest(checkout: Checkout) -> Iterator[User]:
    """A user without any rights but their own."""
    with user() as made:
        yield made
