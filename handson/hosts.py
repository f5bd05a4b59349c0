"""The hosts of the course and the way to each: the server, and client and stranger behind it.

The server is reached at its public address (in the lab from the learner's place on the
lab's Internet), the others through the server, which is their bastion. Host keys are
pinned from the console output of the instance; an unknown key is refused.
"""

from __future__ import annotations

import base64
import socket
from functools import cached_property
from pathlib import Path

import paramiko
from fabric import Config, Connection

from handson.cloud import Cloud
from handson.errors import HostUnreachable
from handson.here import Here
from handson.host import BulkRemote, Host
from handson.i18n import _
from handson.mail import Speaker
from handson.secret import Secret
from handson.settings import Settings
from handson.target import Place, Target
from handson.workspace import Workspace


class Hosts:
    """Opens connections when they are first needed and keeps them for the next command."""

    def __init__(
        self, workspace: Workspace, target: Target, settings: Settings, cloud: Cloud
    ) -> None:
        self.workspace, self.target, self.settings, self.cloud = workspace, target, settings, cloud

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
    def internet(self) -> Speaker:
        """The learner's own place on the Internet, from which the server can be tried."""
        if self.target.jump is None:
            return Here()
        return self._host("internet", self._to_pc)

    @cached_property
    def mailbox(self) -> Host | None:
        """The recipient's mail host, where the course may look into it, else None."""
        place = self.target.mailbox
        if place is None:
            return None
        return self._host("mailbox", lambda: self._open(place, self._jump))

    def close(self) -> None:
        """Close every connection."""
        for name in ("client", "stranger", "server", "mailbox", "internet", "_jump"):
            thing = self.__dict__.pop(name, None)
            if isinstance(thing, Host | Connection):
                thing.close()

    # -- the way -------------------------------------------------------------

    def _host(self, name: str, connect: object) -> Host:
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
        return Host(name, connect, words, self._hidden, self.workspace.log)  # type: ignore[arg-type]

    def _hidden(self) -> tuple[Secret | None, tuple[str, ...]]:
        return self.workspace.password, (self.settings.login, self.settings.user)

    @cached_property
    def _jump(self) -> Connection | None:
        return self._open(self.target.jump, None) if self.target.jump else None

    def _to_server(self) -> Connection:
        return self._open(self.place("server"), self._jump)

    def _to_client(self) -> Connection:
        return self._open(self.place("client"), self.server.connection)

    def _to_stranger(self) -> Connection:
        return self._open(self.place("stranger"), self.server.connection)

    def _to_pc(self) -> Connection:
        assert self.target.jump is not None
        return self._open(self.target.jump, None)

    def place(self, name: str) -> Place:
        """Return where a host of the course is; raise HostUnreachable when it is not there."""
        full = f"{self.settings.date}-smtp-handson-{name}"
        instance = self.cloud.instance(full)
        if instance is None or instance.state != "running":
            state = instance.state if instance else _("not there")
            raise HostUnreachable(
                _("The instance {name} is {state}.").format(name=full, state=state),
                _("00_start makes it; a stopped one is started in the EC2 console."),
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

    def _open(self, place: Place, gateway: Connection | None) -> Connection:
        return open_connection(place, self.workspace.key_file, gateway)


def unreachable(name: str, error: Exception) -> HostUnreachable:
    """Return the error for a host that does not answer over ssh."""
    if isinstance(error, paramiko.BadHostKeyException):
        return HostUnreachable(
            _("{host} shows another SSH host key than the one that was pinned.").format(host=name),
            _("Do not log in. If you made the instance anew, run 00_start once more."),
        )
    return HostUnreachable(
        _("{host} does not answer over ssh ({reason}).").format(
            host=name, reason=str(error) or type(error).__name__
        ),
        _(
            "Is it running, and does its security group allow port 22 from your address? "
            "`handson status` tells; an address of yours that changed needs 00_start once more."
        ),
    )


def open_connection(place: Place, key_file: Path, gateway: Connection | None = None) -> Connection:
    """Open an ssh connection to a host whose keys are known; raise HostUnreachable otherwise."""
    connection = Connection(
        place.address,
        user=place.user,
        port=place.port,
        gateway=gateway,
        connect_timeout=15,
        config=Config(overrides={"runners": {"remote": BulkRemote}, "load_ssh_configs": False}),
        connect_kwargs={
            "key_filename": str(key_file),
            "look_for_keys": False,
            "allow_agent": False,
        },
    )
    client = connection.client
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    known = place.address if place.port == 22 else f"[{place.address}]:{place.port}"
    for line in place.host_keys:
        kind, data = line.split()[:2]
        key = paramiko.PKey.from_type_string(kind, base64.b64decode(data))
        client.get_host_keys().add(known, kind, key)
    try:
        connection.open()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise unreachable(place.address, error) from None
    connection.transport.set_keepalive(15)
    # How long a host behind this one is waited for; paramiko's own is an hour.
    connection.transport.channel_timeout = 15
    if gateway is None:
        # Each command is a short exchange; waiting to fill packets would triple its time.
        connection.transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
