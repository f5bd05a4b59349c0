"""ssh connections to hosts whose keys are known, which can be closed all together and for good."""

from __future__ import annotations

import base64
import errno
import os
import selectors
import socket
import threading
import time
from contextlib import suppress

import paramiko
from fabric import Config, Connection

from handson.cloud.targets import Endpoint
from handson.errors import HostUnreachable
from handson.hosts.host import BROKEN, BulkRemote, closed
from handson.i18n import _
from handson.workspace import Workspace

SECONDS = 15


class Connections:
    """Opens ssh connections with a workspace's key (or a place's own), until it is closed.

    What is closed stays closed: whoever waits for a host, in whatever thread, is told
    HostUnreachable at once.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._opened: dict[paramiko.SSHClient, socket.socket | None] = {}
        self._is_closed = False
        self._lock = threading.Lock()

    def open(self, place: Endpoint, gateway: Connection | None = None) -> Connection:
        """Open a connection, through another one when given; raise HostUnreachable otherwise."""
        connection = Connection(
            place.address,
            user=place.user,
            port=place.port,
            gateway=gateway,
            connect_timeout=SECONDS,
            config=Config(overrides={"runners": {"remote": BulkRemote}, "load_ssh_configs": False}),
            connect_kwargs={
                "key_filename": place.key or str(self._workspace.key_file),
                "look_for_keys": False,
                "allow_agent": False,
            },
        )
        client = connection.client
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        known = place.address if place.port == 22 else f"[{place.address}]:{place.port}"
        for pinned in place.host_keys:
            kind, data = pinned.split()[:2]
            with suppress(paramiko.pkey.UnknownKeyType):  # nobody speaks it any more
                key = paramiko.PKey.from_type_string(kind, base64.b64decode(data))
                client.get_host_keys().add(known, kind, key)
        line = None
        try:
            if gateway is None:
                # A line of our own: it can be cut while somebody waits for the other end.
                line = connection.connect_kwargs["sock"] = self._call(place)
            with self._lock:
                self._opened[client] = line
            self._go_on()
            connection.open()
            connection.transport.set_keepalive(15)
            self._go_on()
        except BROKEN as error:
            with self._lock:
                self._opened.pop(client, None)
            with suppress(*BROKEN):
                client.close()  # its thread would wait for a login
            if line:
                line.close()
            if self._is_closed:
                raise closed(place.address) from None
            raise unreachable(place, error) from None
        # How long a host behind this one is waited for; paramiko's own is an hour.
        connection.transport.channel_timeout = SECONDS
        return connection

    def close(self) -> None:
        """Close all connections, those that just come up too; none is opened any more."""
        with self._lock:
            self._is_closed = True
            opened, self._opened = self._opened, {}
        transports = [one for client in opened if (one := client.get_transport())]
        # First of all: those that are carried by others send nothing more over them. paramiko's
        # threads would raise where a line is gone from under them.
        for transport in transports:
            transport.active = False
        for line in filter(None, opened.values()):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # it need not have a transport yet
        for transport in transports:
            with suppress(*BROKEN):
                transport.stop_thread()

    def _go_on(self) -> None:
        if self._is_closed:
            raise ConnectionAbortedError

    def _call(self, place: Endpoint) -> socket.socket:
        """Return a TCP connection; raise OSError where there is no answer, or no time for one."""
        line = socket.socket()
        try:
            line.setblocking(False)
            begun = line.connect_ex((place.address, place.port))
            if begun not in (0, errno.EINPROGRESS):
                raise OSError(begun, os.strerror(begun))
            self._await(line)
            if failed := line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, os.strerror(failed))
            line.setblocking(True)
            # Each command is a short exchange; waiting to fill packets would triple its time.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            line.close()
            raise
        return line

    def _await(self, line: socket.socket) -> None:
        """Wait until TCP has an answer, or until this is closed."""
        deadline = time.monotonic() + SECONDS
        with selectors.DefaultSelector() as events:
            events.register(line, selectors.EVENT_WRITE)
            while time.monotonic() < deadline:
                self._go_on()
                if events.select(0.05):
                    return
        raise TimeoutError("timed out")


def unreachable(place: Endpoint, error: Exception) -> HostUnreachable:
    """Return the error for a host that does not answer over ssh."""
    name = place.name or place.address
    if isinstance(error, paramiko.BadHostKeyException):
        return HostUnreachable(
            _("{host} shows another SSH host key than the one that was pinned.").format(host=name),
            _("Do not log in. If you made the instance anew, run 00_start once more."),
        )
    return HostUnreachable(
        _("{host} does not answer over ssh ({reason}).").format(
            host=name, reason=str(error) or type(error).__name__
        ),
        place.cure
        or _(
            "Is it running, and does its security group allow port 22 from your address? "
            "`handson status` tells; an address of yours that changed needs 00_start once more."
        ),
    )
