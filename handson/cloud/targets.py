"""The one seam between AWS and the lab: what has to be known to reach either."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from handson.errors import HandsonError
from handson.i18n import _
from handson.settings import Settings, check_ip
from handson.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """A host outside the VPC that can be reached over ssh.

    `host_keys` are its public keys, 'TYPE BASE64' each. `name` and `cure` say which host it
    is, and what to do where it does not answer.
    """

    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]
    name: str = ""
    cure: str = ""


class Tap(Protocol):
    """Reads the packets of an instance (given its id) from outside."""

    def capture(self, instance: str, port: int) -> None:
        """Begin to read those of a TCP port."""

    def captured(self, instance: str) -> str:
        """End it, and return what tcpdump has printed."""


@dataclass(frozen=True)
class Target:
    """Where the course runs.

    `connection` is what boto3's clients are made with; `jump` the learner's own place,
    where it is another than this machine; `mailbox` the recipient's mail host, where the
    course may look into it; `fixed` the choices that the target makes by itself. `tap` reads
    the packets of an instance; it is None where root on the instance itself can do that.
    `how_to_start` says how an instance that is stopped is started; `away` returns the hosts
    that do not run, where the target can tell at once.
    """

    name: str
    login_user: str
    connection: Mapping[str, Any] = field(default_factory=dict)
    jump: Place | None = None
    mailbox: Place | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    find_own_ip: Callable[[], str] = lambda: ""
    tap: Tap | None = None
    how_to_start: str = ""
    away: Callable[[], list[str]] = list

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with the target's own choices, and the learner's address found."""
        known = settings.with_(**self.fixed) if self.fixed else settings
        return known if known.own_ip else known.with_(own_ip=self.find_own_ip())


def of(settings: Settings, workspace: Workspace) -> Target:
    """Return the target that the settings name.

    Raises LabDown when it is a lab that is down, LabError when it is another workspace's.
    """
    if settings.target == "aws":
        return Target(
            "aws",
            login_user="ec2-user",
            find_own_ip=_address_on_the_internet,
            how_to_start=_("Start it: aws ec2 start-instances, or in the EC2 console."),
        )
    # Imported here: on AWS nothing of the lab is needed.
    from handson.lab.api import LabApi
    from handson.lab.lab import check_key
    from handson.lab.state import LabState

    lab = LabState.load(workspace.name)
    check_key(lab, workspace.public_key)
    user = "admin"
    cure = _(
        "`handson status` tells whether it runs; `handson up --name {name}` brings it back."
    ).format(name=lab.name)
    pc_keys, mailbox_keys = tuple(lab.pc_host_keys), tuple(lab.mailbox_host_keys)
    return Target(
        "lab",
        login_user=user,
        connection={
            "endpoint_url": lab.endpoint,
            "aws_access_key_id": lab.key_id,
            "aws_secret_access_key": lab.key_secret,
        },
        jump=Place("127.0.0.1", lab.pc_port, user, pc_keys, "pc", cure),
        mailbox=Place(lab.mailbox_ip, 22, user, mailbox_keys, "mailbox", cure),
        fixed={"own_ip": lab.pc_ip, "vpc_cidr": lab.vpc_cidr},
        tap=LabApi(lab),
        how_to_start=_("`handson up --name {name}` brings it back.").format(name=lab.name),
        away=LabApi(lab).away,
    )


def _address_on_the_internet() -> str:
    """Return the address from which AWS sees this machine, as AWS itself tells it."""
    try:
        with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=5) as answer:
            return check_ip(answer.read(64).decode())
    except (OSError, ValueError):
        raise HandsonError(
            _("Your own IP address could not be found out."),
            _("Type it into the form, or set HANDSON_OWN_IP."),
        ) from None
