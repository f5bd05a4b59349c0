"""The hosts of the course and the way to each: the server, and client and stranger behind it.

The server is reached at its public address (in the lab from the learner's place on the
lab's Internet), the others through the server, which is their bastion. Host keys are
pinned from the console output of the instance; an unknown key is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from fabric import Connection

from handson.cloud.cloud import Cloud
from handson.cloud.targets import Place, Target
from handson.errors import HandsonError, HostUnreachable
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.hosts.local import Here
from handson.hosts.runner import Runner
from handson.i18n import _
from handson.polling import patience
from handson.secret import Secret
from handson.settings import Settings
from handson.workspace import Workspace


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
        return self._host("server", self._to_server)

    @cached_property
    def client(self) -> Host:
        return self._host("client", self._to_client)

    @cached_property
    def stranger(self) -> Host:
        """A host next to the client, which the server has no reason to trust."""
        return self._host("stranger", self._to_stranger)

    @cached_property
    def internet(self) -> Runner:
        """The learner's own place on the Internet, from which the server can be tried."""
        jump = self.target.jump
        if jump is None:
            return Here()
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

    def _to_server(self) -> Connection:
        return self.connections.open(self.place("server"), self.gateway())

    def _to_client(self) -> Connection:
        return self.connections.open(self.place("client"), self.server.connection)

    def _to_stranger(self) -> Connection:
        return self.connections.open(self.place("stranger"), self.server.connection)

    def place(self, name: str) -> Place:
        """Return where a host of the course is; raise HostUnreachable when it is not there."""
        full = f"{self.settings.date}-smtp-handson-{name}"
        instance = self.cloud.instance(full)
        if instance is None:
            raise HostUnreachable(
                _("The instance {name} is not there.").format(name=full),
                _("Run the notebook 00_start: it makes the hosts."),
            )
        if instance.state != "running":
            raise HostUnreachable(
                _("The instance {name} is {state}.").format(name=full, state=instance.state),
                self.target.how_to_start,
            )
        keys = self.workspace.pinned(instance.id)
        if not keys:
            keys = self.cloud.host_keys(instance.id)
            self.workspace.pin(instance.id, keys)
        address = instance.public_ip if name == "server" else instance.private_ip
        if not address:
            raise HostUnreachable(
                _("The instance {name} has no public address.").format(name=full),
                _("Delete its stack and run 00_start once more."),
            )
        return Place(address, 22, self.target.login_user, tuple(keys))


def wait_until_ready(host: Host, seconds: float = 600) -> None:
    """Wait until a host has run its user data; raise HandsonError with its last lines else.

    cloud-init leaves the mark that is waited for (cloudinit.readthedocs.io, boot stages).
    """
    mark = "/var/lib/cloud/instance/boot-finished"
    for _gone in patience(seconds, 0.2, 0.2):
        if host.probe("test -e {mark}", mark=mark)[0] == 0:
            return
    tail = host.probe("sudo tail -n 10 /var/log/cloud-init-output.log")[1]
    raise HandsonError(
        _("{host} has not finished its user data:\n{tail}").format(
            host=host.name, tail=tail.strip()
        ),
        _("Delete the stack in 10_teardown and run 00_start once more."),
    )
