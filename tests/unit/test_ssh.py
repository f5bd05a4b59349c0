"""What the system's ssh is told."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from handson.cloud.targets import Endpoint, Target
from handson.cloud.targets.aws import AwsTarget
from handson.cloud.targets.lab import LabTarget
from handson.errors import HandsonError
from handson.hosts.ssh import known_hosts, ssh_config, way_to
from handson.settings import Settings
from handson.workspace import private_file

PC = Endpoint("127.0.0.1", 40022, "admin", ("ssh-ed25519 AAAApc", "ssh-rsa AAAApc2"))
SERVER = Endpoint("203.0.113.10", 22, "admin", ("ssh-ed25519 AAAAserver",))
CLIENT = Endpoint("10.87.3.20", 22, "admin", ("ssh-ed25519 AAAAclient",), behind="server")
MAILBOX = Endpoint("203.0.113.3", 22, "admin", ("ssh-ed25519 AAAAmailbox",))


class Known:
    """Hosts that are where they are."""

    def place(self, name: str) -> Endpoint:
        return {"server": SERVER, "client": CLIENT}[name]


def way(name: str, target: Target) -> dict[str, tuple[Endpoint, str]]:
    return way_to(name, target, Known())  # type: ignore[arg-type]


class Lab(LabTarget):
    """A lab whose places are known."""

    jump, mailbox = PC, MAILBOX


LAB = Lab(None, Settings())  # type: ignore[arg-type]
AWS = AwsTarget(None, Settings())  # type: ignore[arg-type]


def test_the_way_goes_over_every_hop() -> None:
    assert [(name, jump) for name, (_, jump) in way("client", LAB).items()] == [
        ("pc", ""),
        ("server", "pc"),
        ("client", "server"),
    ]
    assert [(name, jump) for name, (_, jump) in way("client", AWS).items()] == [
        ("server", ""),
        ("client", "server"),
    ]
    assert list(way("server", LAB)) == ["pc", "server"]
    assert list(way("mailbox", LAB)) == ["pc", "mailbox"]


def test_on_aws_there_is_no_mailbox_to_log_in_to() -> None:
    with pytest.raises(HandsonError, match=r"no mailbox host that the course could open \(AWS\)"):
        way("mailbox", AWS)


def understood(config: Path, host: str) -> dict[str, str]:
    """Return what ssh itself makes of the configuration."""
    answer = subprocess.run(
        ["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=True
    )
    return dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())


def test_ssh_reads_the_configuration_as_it_was_meant(tmp_path: Path) -> None:
    folder = tmp_path / "a folder of 100%"
    folder.mkdir()
    config, key, pins = folder / "ssh_config", folder / "key", folder / "known_hosts"
    config.write_text(ssh_config(way("client", LAB), key, pins))
    client = understood(config, "client")
    assert client["hostname"] == "10.87.3.20"
    assert client["user"] == "admin"
    assert client["proxyjump"] == "server"
    assert client["hostkeyalias"] == "handson-client"
    assert client["stricthostkeychecking"] == "true"
    assert client["updatehostkeys"] == "false"
    assert client["identitiesonly"] == "yes"
    assert client["globalknownhostsfile"] == "/dev/null"
    # ssh shows the one path as it will use it, the other as it was written.
    assert client["userknownhostsfile"] == str(pins)
    assert client["identityfile"] == str(key).replace("%", "%%")
    pc = understood(config, "pc")
    assert (pc["hostname"], pc["port"]) == ("127.0.0.1", "40022")
    assert "proxyjump" not in pc


def test_every_pinned_key_is_known_by_its_hosts_name() -> None:
    assert known_hosts(way("server", LAB)).splitlines() == [
        "handson-pc ssh-ed25519 AAAApc",
        "handson-pc ssh-rsa AAAApc2",
        "handson-server ssh-ed25519 AAAAserver",
    ]


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"
    file.write_text("old and longer than the new text")
    file.chmod(0o644)
    private_file.write(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_settings_know_the_addresses_of_the_hosts() -> None:
    # The doubles above stand for hosts at these addresses.
    assert Settings().client_ip == CLIENT.address
