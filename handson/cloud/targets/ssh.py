"""Hosts that the learner has already, as a target: reached by plain ssh, with no AWS about them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from handson.cloud.cloud import Cloud
from handson.cloud.targets.target import Endpoint, Target
from handson.errors import HandsonError, HostUnreachable, InvalidInput, NotHere
from handson.i18n import _
from handson.settings import check_ip, split_login
from handson.ui.view import Table

NAMES = ("server", "client", "stranger")


class SshTarget(Target):
    """A server and a client, and a stranger where there is one; none is made or deleted."""

    name = "ssh"
    title = _("hosts of your own")
    asks = ("server", "client", "ssh_key")
    makes_hosts = False

    @property
    def connection(self) -> None:
        return None

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(name for name in NAMES if self._login(name) or name != "stranger")

    @property
    def is_outside(self) -> bool:
        # This machine may be anywhere, in the hosts' own network too.
        return False

    @property
    def how_to_start(self) -> str:
        return _("Start it yourself: it is a host of your own.")

    def check_choices(self) -> None:
        for name in self.hosts:
            if not self._login(name):
                raise InvalidInput(
                    _("It is not known where your {host} is.").format(host=name),
                    _("Set HANDSON_{name}=user@address, or fill in the form of 00_start.").format(
                        name=name.upper()
                    ),
                )

    @property
    def fixed(self) -> Mapping[str, str]:
        """The addresses at which the hosts reach each other: as given, or as they are logged in to.

        A host that is not there is given none, and what needs it is left out.
        """
        self.check_choices()
        found = {}
        for name in self.hosts:
            given: str = getattr(self.settings, f"{name}_address")
            found[f"{name}_address"] = given or _address_of(split_login(self._login(name))[1])
        return found

    def place(self, name: str, cloud: Cloud) -> Endpoint:
        """Return where a host is; raise HostUnreachable where its host key is not known."""
        self.check_choices()
        if name not in self.hosts:
            raise NotHere(
                _("There is no {host} among your hosts.").format(host=name),
                _("Where you have one: HANDSON_{name}=user@address").format(name=name.upper()),
            )
        user, address, port = split_login(self._login(name))
        keys = self._known_keys(name, address, port)
        key = self._key_file()
        cure = _(
            "Try it in a terminal: ssh -p {port} -i {key} {user}@{address} sudo -n true"
        ).format(port=port, key=key or self.workspace.key_file, user=user, address=address)
        return Endpoint(address, port, user, keys, name, cure, key)

    def overview(self) -> Table:
        rows = [[name, self._login(name)] for name in self.hosts]
        return Table([_("host"), _("logged in to as")], rows)

    # -- a run of the whole course -------------------------------------------

    def prepare(self) -> None:
        for name in self.hosts:
            self.place(name, Cloud(self.settings, self.connection))

    def tear_down(self, complete: bool, run_teardown: Callable[[], bool]) -> str:
        return _("The hosts are your own: they stay as they are. {how}").format(how=self._undo)

    @property
    def kept(self) -> str:
        return _("The hosts are kept as they are. {how}").format(how=self._undo)

    @property
    def _undo(self) -> str:
        return _("`handson undo 00` takes back what the course did on them.")

    # -- underneath ----------------------------------------------------------

    def _login(self, name: str) -> str:
        login: str = getattr(self.settings, name)
        return login

    def _key_file(self) -> str:
        """Return the private key that the learner named; '' where it is the workspace's."""
        named = self.settings.ssh_key
        if named and not Path(named).expanduser().is_file():
            raise InvalidInput(
                _("There is no key file {path}.").format(path=named),
                _("Name the private key that your hosts let in: HANDSON_SSH_KEY=path"),
            )
        return str(Path(named).expanduser()) if named else ""

    def _known_keys(self, name: str, address: str, port: int) -> tuple[str, ...]:
        given: str = getattr(self.settings, f"{name}_host_key")
        keys = (given,) if given else keys_known_to_ssh(address, port)
        if not keys:
            raise HostUnreachable(
                _("The SSH host key of your {host}, {address}, is not known.").format(
                    host=name, address=address
                ),
                _(
                    "Log in to it once with ssh and say yes to the key that it has; "
                    "or set HANDSON_{name}_HOST_KEY='ssh-ed25519 AAAA…'."
                ).format(name=name.upper()),
            )
        return keys


def keys_known_to_ssh(address: str, port: int) -> tuple[str, ...]:
    """Return the keys ('TYPE BASE64') that ~/.ssh/known_hosts has for a host, hashed lines too.

    Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
    """
    import paramiko
    from paramiko.hostkeys import InvalidHostKey

    known = paramiko.HostKeys()
    with contextlib.suppress(OSError, InvalidHostKey):
        known.load(str(Path.home() / ".ssh" / "known_hosts"))
    found = known.lookup(address if port == 22 else f"[{address}]:{port}") or {}
    return tuple(f"{kind} {key.get_base64()}" for kind, key in found.items())


def _address_of(host: str) -> str:
    """Return a host's IPv4 address, which the rules and the log go by."""
    try:
        return check_ip(socket.gethostbyname(host))
    except (OSError, UnicodeError, InvalidInput):
        raise HandsonError(
            _("The address of {host} could not be found out.").format(host=host),
            _("Name it by its IPv4 address."),
        ) from None
