"""Where a running lab is written down, so that any process of its owner can find it."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

from handson.errors import LabDown, LabError
from handson.i18n import _
from handson.lab.users import acting_as, home_of
from handson.settings import check_name

# What a lab is made for. A learner's stays until it is taken down; any other goes with the
# process that made it.
LEARNER, RUN, NBVAL = "learner", "run", "nbval"
# Names the process of the tests that a lab is made for, by whatever program: it goes with that.
TESTS = "TESTS_OF_HANDSON"

BOOKS = "books"  # the file that keeps what the AWS API knows


def labs_folder(uid: int | None = None, create: bool = False) -> Path:
    """Return the folder, mode 0700, that holds what a user's labs have to remember."""
    uid = os.getuid() if uid is None else uid
    folder = home_of(uid) / ".handson" / ".labs"
    if create:
        for part in (folder.parent, folder):
            _make_private(part, uid)
    return folder


def lab_folder(name: str, owner: int | None = None, create: bool = False) -> Path:
    """Return this user's folder for a lab: its state, key, log and sockets.

    What root makes for another user lies in root's folder, under a name of its own.
    """
    me = os.getuid()
    leaf = check_name(name) if owner in (None, me) else f"{check_name(name)}@{owner}"
    folder = labs_folder(me, create) / leaf
    if create:
        _make_private(folder, me)
    return folder


def _make_private(folder: Path, uid: int) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise LabError(
            _("The folder {folder} cannot be made: {reason}.").format(
                folder=folder, reason=error.strerror
            ),
            _("The lab keeps its state in the home folder: make it writable."),
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise LabError(
            _("{folder} belongs to another user, or is no folder.").format(folder=folder),
            _("Remove it, or ask its owner to."),
        )
    # ~/.handson may hold workspaces as well, and has been made by an earlier version.
    folder.chmod(0o700)


@dataclass(frozen=True)
class Maker:
    """Who made a lab, for what, and from where.

    `purpose` is 'learner', 'run' or 'nbval'; `user` the uid of who made it, `process` names the
    process (see `processes.identity`), and `tests` that of the tests for which it was made;
    `workspace` and `checkout` are folders.
    """

    purpose: str = LEARNER
    user: int = -1
    process: str = ""
    workspace: str = ""
    checkout: str = ""
    tests: str = ""

    def labels(self) -> dict[str, str]:
        """Return it as labels for what is made."""
        return {f"handson.{name}": str(value) for name, value in asdict(self).items()}

    @classmethod
    def of_labels(cls, labels: dict[str, str]) -> Maker:
        """Read it from the labels of something that was made."""
        found = {name: labels.get(f"handson.{name}", "") for name in cls.__dataclass_fields__}
        user = int(found["user"]) if found["user"].lstrip("-").isdigit() else -1
        return cls(**{**found, "user": user})  # type: ignore[arg-type]


@dataclass(frozen=True)
class LabState:
    """What has to be known of a running lab to use it.

    `endpoint` is the address of the AWS API, `key_id` and `key_secret` the pair that signs
    requests to it, `pc_port` the port on 127.0.0.1 behind which the learner's place listens
    for ssh, the `…_host_keys` are lines of a public key each, `public_key` is the learner's.
    `is_kept` tells that a lab of a run was left on purpose.
    """

    name: str
    endpoint: str
    key_id: str
    key_secret: str = field(repr=False)
    pc_port: int
    pc_ip: str
    pc_host_keys: list[str]
    mailbox_ip: str
    mailbox_host_keys: list[str]
    internet_cidr: str
    vpc_cidr: str
    image: str
    public_key: str
    engine: str = ""
    maker: Maker = field(default_factory=Maker)
    is_kept: bool = False

    @classmethod
    def file(cls, name: str, owner: int | None = None) -> Path:
        return lab_folder(name, owner) / "lab.json"

    @classmethod
    def load(cls, name: str, owner: int | None = None) -> LabState:
        """Read the state; raise LabDown when there is none."""
        try:
            found = json.loads(cls.file(name, owner).read_text())
            return cls(**{**found, "maker": Maker(**found["maker"])})
        except (OSError, ValueError, TypeError, KeyError):
            raise LabDown(
                _("The lab “{name}” is not running.").format(name=name),
                _("Start it in a terminal: handson up --name {name}").format(name=name),
            ) from None

    def save(self, owner: int | None = None) -> None:
        """Write it down for this user, and for the owner where that is somebody else."""
        text = json.dumps(asdict(self), indent=1)
        write_private(self.file(self.name, owner), text)
        if owner not in (None, os.getuid()):
            assert owner is not None
            with acting_as(owner):
                folder = labs_folder(owner, create=True) / self.name
                _make_private(folder, owner)
                write_private(folder / "lab.json", text)

    def remove_from(self, owner: int) -> None:
        """Remove what `save` wrote for an owner that is somebody else."""
        with acting_as(owner), contextlib.suppress(OSError):
            folder = labs_folder(owner) / self.name
            (folder / "lab.json").unlink(missing_ok=True)
            folder.rmdir()


def write_private(path: Path, content: str | bytes) -> None:
    """Write a file of mode 0600, whole or not at all, whatever happens meanwhile.

    Raises LabError where it cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        draft.replace(path)
    except OSError as error:
        raise LabError(
            _("{path} cannot be written: {reason}.").format(path=path, reason=error.strerror),
            _("Free space there (df -h), or make the folder writable for you (ls -ld)."),
        ) from None
