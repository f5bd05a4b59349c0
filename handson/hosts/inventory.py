"""The hosts of the course and the way to each: the server, the client, and the stranger.

The target knows where they are. On an EC2 the server is reached at its public address (in the
lab from the learner's place on the lab's Internet), the others through the server, which is
their bastion. A host whose key is not known is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from fabric import Connection

from handson.cloud.cloud import Cloud
from handson.cloud.targets import Endpoint, Target
from handson.errors import HandsonError
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.hosts.local import Here
from handson.hosts.runner import Runner
from handson.i18n import _
from handson.polling import patience
from handson.secret import Secret
from handson.settings import Settings
from handson.workspace import Workspace

FINISHED = "/var/lib/cloud/instance/boot-finished"
READY = "/var/lib/cloud/instance/smtp-handson-ready"


class Hosts:
    """Opens connections when they are first needed and keeps them for the next command."""

    def __init__(
        self,
        workspace: Workspace,
        target: Target,
        settings: Settings,
        cloud: Cloud,
        connections: Connections | None = None,
    ) -> None:
        self.workspace, self.target, self.settings, self.cloud = workspace, target, settings, cloud
        self.connections = connections or Connections(workspace)

    @cached_property
    def server(self) -> Host:
        return self._host("server", self._way_to("server"))

    @cached_property
    def client(self) -> Host:
        return self._host("client", self._way_to("client"))

    @cached_property
    def stranger(self) -> Host | None:
        """A host next to the client that the server has no reason to trust, where there is one."""
        if "stranger" not in self.target.hosts:
            return None
        return self._host("stranger", self._way_to("stranger"))

    @cached_property
    def internet(self) -> Runner | None:
        """The learner's own place on the Internet, from which the server can be tried.

        None where it may as well be in the hosts' own network.
        """
        jump = self.target.jump
        if jump is None:
            return Here() if self.target.is_outside else None
        return self._host("internet", lambda: self.connections.open(jump))

    @cached_property
    def mailbox(self) -> Host | None:
        """The recipient's mail host, where the course may look into it, else None."""
        place = self.target.mailbox
        if place is None:
            return None
        return self._host("mailbox", lambda: self.connections.open(place, self.gateway()))

    def close(self) -> None:
        """Close every connection for good, those that somebody waits for or works on too."""
        self.connections.close()
        for thing in list(self.__dict__.values()):
            if isinstance(thing, Host):
                thing.close()

    # -- the way -------------------------------------------------------------

    def _host(self, name: str, connect: Callable[[], Connection]) -> Host:
        settings = self.settings
        words = {
            "domain": settings.domain,
            "user": settings.user,
            "login": settings.login,
            "sender": settings.sender,
            "recipient": settings.recipient,
            "server_ip": settings.server_ip,
            "client_ip": settings.client_ip,
            "stranger_ip": settings.stranger_ip,
            "date": settings.date,
        }
        return Host(name, connect, words, self._hidden, self.workspace.log)

    def _hidden(self) -> tuple[Secret | None, tuple[str, ...]]:
        return self.workspace.password, (self.settings.login, self.settings.user)

    def gateway(self) -> Connection | None:
        """Return the connection that leads to the server's network, where one is needed."""
        pc = self.internet
        return pc.connection if isinstance(pc, Host) else None

    def _way_to(self, name: str) -> Callable[[], Connection]:
        return lambda: self._connect(name)

    def _connect(self, name: str) -> Connection:
        place = self.place(name)
        before = getattr(self, place.behind).connection if place.behind else self.gateway()
        return self.connections.open(place, before)

    def place(self, name: str) -> Endpoint:
        """Return where a host of the course is; raise HostUnreachable when it is not there."""
        return self.target.place(name, self.cloud)


def wait_until_ready(host: Host, seconds: float = 600) -> None:
    """Wait until a host has run its user data; raise HandsonError where that failed.

    cloud-init ends the boot with its mark after a failure too (cloudinit.readthedocs.io, boot
    stages); the last line of the user data leaves the other.
    """
    for _gone in patience(seconds, 0.2, 0.2):
        if host.probe("test -e {mark}", mark=FINISHED)[0] == 0:
            if host.probe("test -e {mark}", mark=READY)[0] == 0:
                return
            break
    tail = host.probe("sudo tail -n 10 /var/log/cloud-init-output.log")[1]
    raise HandsonError(
        _("{host} has not run its user data to the end:\n{tail}").format(
            host=host.name, tail=tail.strip()
        ),
        _("Delete the stack in 10_teardown and run 00_start once more."),
    )
