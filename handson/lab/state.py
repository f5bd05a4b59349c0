"""Where a running lab is written down, so that any process can find it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from handson.errors import InvalidInput, LabDown
from handson.i18n import _


def check_name(name: str) -> str:
    """Return the name of a lab; raise InvalidInput unless it can name a container.

    >>> check_name("course")
    'course'
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name):
        raise InvalidInput(
            _("“{name}” cannot name a lab.").format(name=name[:60]),
            _("Use a small letter first, then up to 29 small letters, digits or hyphens."),
        )
    return name


def runtime_folder(name: str, create: bool = False) -> Path:
    """Return the folder for a lab's socket, log and state: gone after a reboot, as the lab is.

    It lies under the system's folder for temporary files because a socket's path may
    have 107 characters at most (unix(7)).
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = base / f"handson-{os.getuid()}" / check_name(name)
    if create:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A folder that somebody else made beforehand in /tmp is not ours to trust.
        for part in (folder.parent, folder):
            if part.stat().st_uid != os.getuid():
                raise LabDown(
                    _("{folder} belongs to another user.").format(folder=part),
                    _("Remove it, or set XDG_RUNTIME_DIR to a folder of your own."),
                )
            part.chmod(0o700)
    return folder


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold off the user's other labs, so that no two choose the same networks (flock(2))."""
    folder = os.open(runtime_folder(name).parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@dataclass(frozen=True)
class LabState:
    """What has to be known of a running lab to use it.

    `endpoint` is the address of the AWS API, `pc_port` the port on 127.0.0.1 behind which
    the learner's place listens for ssh, the `…_host_keys` are lines of a public key each.
    """

    name: str
    endpoint: str
    pc_port: int
    pc_ip: str
    pc_host_keys: list[str]
    mailbox_ip: str
    mailbox_host_keys: list[str]
    internet_cidr: str
    vpc_cidr: str
    image: str
    engine: str = ""

    @classmethod
    def file(cls, name: str) -> Path:
        return runtime_folder(name) / "lab.json"

    @classmethod
    def load(cls, name: str) -> LabState:
        """Read the state; raise LabDown when there is none."""
        try:
            return cls(**json.loads(cls.file(name).read_text()))
        except (OSError, ValueError, TypeError):
            raise LabDown(
                _("The lab “{name}” is not running.").format(name=name),
                _("Start it in a terminal: handson up --name {name}").format(name=name),
            ) from None

    def save(self) -> None:
        target = self.file(self.name)
        draft = target.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.replace(target)  # whole or not at all, whatever happens meanwhile
