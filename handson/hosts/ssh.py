"""The system's own ssh, told which hosts there are and which keys to trust."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from handson.cloud.cloud import Cloud
from handson.cloud.targets import Endpoint, Target, of
from handson.errors import HandsonError
from handson.hosts.inventory import Hosts
from handson.i18n import _
from handson.workspace import Workspace, private_file


def ssh_config(places: Mapping[str, tuple[Endpoint, str]], key: Path, known_hosts: Path) -> str:
    """Return a configuration for ssh(1): each name with its place and the name before it.

    Only the keys in `known_hosts` count, nothing of the user's own settings does.
    Source: ssh_config(5).
    """
    blocks = [
        f"Host {name}\n"
        f"    HostName {place.address}\n"
        f"    Port {place.port}\n"
        f"    User {place.user}\n"
        f"    HostKeyAlias {_alias(name)}\n" + (f"    ProxyJump {jump}\n" if jump else "")
        for name, (place, jump) in places.items()
    ]
    common = (
        "Host *\n"
        f"    IdentityFile {_quoted(key)}\n"
        "    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {_quoted(known_hosts)}\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
        "    UpdateHostKeys no\n"
        "    PasswordAuthentication no\n"
        "    ConnectTimeout 15\n"
        "    LogLevel ERROR\n"
    )
    return "\n".join([*blocks, common])


def known_hosts(places: Mapping[str, tuple[Endpoint, str]]) -> str:
    """Return the pinned host keys in the format of sshd(8)'s known_hosts file."""
    return "".join(
        f"{_alias(name)} {key}\n"
        for name, (place, _jump) in places.items()
        for key in place.host_keys
    )


def way_to(name: str, target: Target, hosts: Hosts) -> dict[str, tuple[Endpoint, str]]:
    """Return the places on the way to a host, each with the name of the one before it."""
    places: dict[str, tuple[Endpoint, str]] = {}
    first = ""
    if target.jump:
        places["pc"] = (target.jump, "")
        first = "pc"
    if name == "mailbox":
        if target.mailbox is None:
            raise HandsonError(
                _("There is no mailbox host that the course could open ({where}).").format(
                    where=target.title
                ),
                _("Look into the recipient's own mailbox."),
            )
        places["mailbox"] = (target.mailbox, first)
        return places
    place = hosts.place(name)
    if place.behind:
        places = way_to(place.behind, target, hosts)
    places[name] = (place, place.behind or first)
    return places


def ssh_command(name: str, workspace: Workspace, arguments: list[str]) -> list[str]:
    """Write what ssh needs into the workspace, and return the command that logs in."""
    program = shutil.which("ssh")
    if program is None:
        raise HandsonError(
            _("There is no ssh program on this machine."),
            _("Install one (on Debian or Ubuntu: sudo apt-get install openssh-client)."),
        )
    target = of(workspace.settings(), workspace)
    settings = target.apply(workspace.settings())
    hosts = Hosts(workspace, target, settings, Cloud(settings, target.connection))
    places = way_to(name, target, hosts)
    pins, config = workspace.path / "known_hosts", workspace.path / "ssh_config"
    private_file.write(pins, known_hosts(places))
    key = Path(places[name][0].key or workspace.key_file)
    private_file.write(config, ssh_config(places, key.absolute(), pins.absolute()))
    return [program, "-F", str(config.absolute()), name, *arguments]


def _alias(name: str) -> str:
    return f"handson-{name}"


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'
