"""The hosts and the cloud that a notebook works with, connected when they are first needed."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, TypeVar

from handson.cloud import targets
from handson.cloud.cloud import Cloud
from handson.hosts import snapshot
from handson.hosts.connections import Connections
from handson.hosts.host import Host
from handson.hosts.inventory import Hosts
from handson.secret import Secret
from handson.settings import Settings
from handson.workspace import Workspace

Self = TypeVar("Self", bound="Workplace")


class Workplace:
    """What the learner's choices lead to: a target, its cloud, its hosts.

    Before a host is used, its state is recorded for the undo, under `slug` too where it is one
    of `snapshots`; a package manager that is at work on those in `installs` may finish first.
    """

    slug: ClassVar[str]
    snapshots: ClassVar[tuple[str, ...]] = ()
    installs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.connections = Connections(workspace)

    @cached_property
    def target(self) -> targets.Target:
        return targets.of(self.workspace.settings(), self.workspace)

    @cached_property
    def settings(self) -> Settings:
        """The learner's choices, with what the target knows by itself."""
        return self.target.apply(self.workspace.settings())

    @property
    def password(self) -> Secret:
        """The SASL user's password; made at first use when none was chosen."""
        return self.workspace.password or self.workspace.save_password()

    @cached_property
    def cloud(self) -> Cloud:
        return Cloud(self.settings, self.target.connection)

    @cached_property
    def hosts(self) -> Hosts:
        return Hosts(self.workspace, self.target, self.settings, self.cloud, self.connections)

    @cached_property
    def server(self) -> Host:
        """The server, ready for this step; what is there before it is recorded."""
        return self._ready(self.hosts.server)

    @cached_property
    def client(self) -> Host:
        """The client, likewise."""
        return self._ready(self.hosts.client)

    def _ready(self, host: Host) -> Host:
        if host.name in self.installs:
            snapshot.settle(host)
        snapshot.take(host, snapshot.START, *([self.slug] if host.name in self.snapshots else []))
        return host

    @property
    def stranger(self) -> Host | None:
        """A host in the VPC that the server has no reason to trust, where there is one."""
        return self.hosts.stranger

    def disconnect(self) -> None:
        """Close all connections; what comes next connects anew."""
        if "hosts" in self.__dict__:
            self.hosts.close()
        for name in ("hosts", "server", "client"):
            self.__dict__.pop(name, None)
        self.connections = Connections(self.workspace)

    def choose_anew(self) -> None:
        """Disconnect, and let what follows from the learner's choices be read again."""
        self.disconnect()
        for name in ("target", "settings", "cloud"):
            self.__dict__.pop(name, None)

    # -- the same hosts for another ------------------------------------------

    def share_with(self, other: Self) -> Self:
        """Let another work on the same hosts, over the same connections; return it."""
        shared = ("target", "settings", "cloud", "hosts", "connections")
        other.__dict__ |= {name: self.__dict__[name] for name in shared if name in self.__dict__}
        return other

    def go_on_with(self, twin: Workplace) -> None:
        """Take over a twin's connections, or close them where there are some already."""
        if "hosts" in self.__dict__:
            twin.disconnect()
        else:
            self.__dict__ |= twin.__dict__
