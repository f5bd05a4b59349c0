from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from handson.diagnosis import faults, injection
from handson.errors import HandsonError
from handson.hosts import systems
from handson.hosts.systems import (
    AMAZON_LINUX_2023,
    DEBIAN_12,
    SYSTEMS,
    UBUNTU_2404,
    System,
    identify,
    read_os_release,
)

AL2 = """NAME="Amazon Linux"
VERSION="2"
ID="amzn"
ID_LIKE="centos rhel fedora"
VERSION_ID="2"
PRETTY_NAME="Amazon Linux 2"
"""
AL2023 = """NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PLATFORM_ID="platform:al2023"
PRETTY_NAME="Amazon Linux 2023.9.20251110"
"""
DEBIAN = """PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
"""
UBUNTU = """PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""
MINT = """PRETTY_NAME="Linux Mint 22"
VERSION_ID="22"
VERSION_CODENAME=wilma
ID=linuxmint
ID_LIKE="ubuntu debian"
UBUNTU_CODENAME=noble
"""
RASPBIAN = """PRETTY_NAME="Raspbian GNU/Linux 12 (bookworm)"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=raspbian
ID_LIKE=debian
"""


@pytest.mark.parametrize(
    ("os_release", "system"),
    [
        (AL2023, AMAZON_LINUX_2023),
        (DEBIAN, DEBIAN_12),
        (RASPBIAN, DEBIAN_12),
        (UBUNTU, UBUNTU_2404),
        (MINT, UBUNTU_2404),
        ("ID=mint\nID_LIKE='ubuntu debian'\nVERSION_ID=6\nDEBIAN_CODENAME=bookworm", DEBIAN_12),
    ],
)
def test_known_systems(os_release: str, system: System) -> None:
    assert identify(os_release) is system


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        ('ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"', "13 (trixie)"),
        ('ID=debian\nPRETTY_NAME="Debian GNU/Linux forky/sid"', "forky/sid"),
        (
            'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.10"\nPRETTY_NAME="Ubuntu 24.10"',
            "Ubuntu 24.10",
        ),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="12"\nPRETTY_NAME="Ubuntu 12"', "Ubuntu 12"),
        ('ID="amzn"\nVERSION_ID="2018.03"\nPRETTY_NAME="Amazon Linux AMI"', "Amazon Linux AMI"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"', "rocky"),
        (AL2, "Amazon Linux 2"),  # its support has ended
        ("", "without a name"),
    ],
)
def test_strangers_are_refused_with_a_cure(os_release: str, name: str) -> None:
    with pytest.raises(HandsonError) as raised:
        identify(os_release)
    assert name in raised.value.what
    assert raised.value.cure == f"Use a host with one of: {', '.join(one.name for one in SYSTEMS)}."
    assert "Amazon Linux 2023, Debian 12" in raised.value.cure


def test_os_release_with_comments_and_odd_quotes() -> None:
    text = '# a comment\n\nNAME=\'A "B"\'\nEMPTY=\nBROKEN="x\nSPACE="a b"\nno equals sign'
    assert read_os_release(text) == {"NAME": 'A "B"', "EMPTY": "", "SPACE": "a b"}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.id)
def test_words_for_notebooks(system: System) -> None:
    names = system.names()
    wanted = "install remove sasl_packages mail_packages smtpd_conf sasldb mail log python"
    assert set(names) == set(wanted.split())
    assert all(names.values())
    for words in names.values():
        for word in (words,) if isinstance(words, str) else words:
            assert " " not in word


def test_what_differs() -> None:
    # By the facility: a Postfix that was started by hand writes under its session, not its unit.
    assert AMAZON_LINUX_2023.log_command[:3] == ("sudo", "journalctl", "SYSLOG_FACILITY=2")
    assert "-u" not in AMAZON_LINUX_2023.log_command
    assert AMAZON_LINUX_2023.log_source == "the journal"
    assert DEBIAN_12.log_source == "/var/log/mail.log"
    assert [system.chroots_smtpd for system in SYSTEMS[:3]] == [False, True, True]


def test_ids_are_unique() -> None:
    assert len({system.id for system in SYSTEMS}) == len(SYSTEMS)
    assert len({system.release for system in SYSTEMS}) == len(SYSTEMS)


def test_a_system_is_added_by_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tells systems apart asks its fields: an id that nobody knows is no matter."""
    new = replace(AMAZON_LINUX_2023, id="fedora42", name="Fedora 42", release=("fedora", "42"))
    with pytest.raises(HandsonError):
        identify("ID=fedora\nVERSION_ID=42")
    monkeypatch.setattr(systems, "SYSTEMS", (*SYSTEMS, new))
    assert identify("ID=fedora\nVERSION_ID=42") is new

    def arise(system: System) -> set[str]:
        hosts = SimpleNamespace(target=SimpleNamespace(connection={}))
        observed = SimpleNamespace(server=SimpleNamespace(system=system), hosts=hosts)
        return {one.id for one in faults.here(observed)}  # type: ignore[arg-type]

    assert arise(new) == arise(AMAZON_LINUX_2023)
    known = injection._system(SimpleNamespace(server=SimpleNamespace(system=new)))  # type: ignore[arg-type]
    assert known["package"] == "cyrus-sasl-plain" and known["ignored"] == "/etc/postfix/sasl"


def test_no_id_is_compared_elsewhere() -> None:
    folder = Path(systems.__file__).parents[1]
    comparison = re.compile(
        r"""(==|!=|\bin\b)\s*\(?["']({})["']""".format("|".join(s.id for s in SYSTEMS))
    )
    found = [
        f"{path}: {line}"
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if comparison.search(line)
    ]
    assert not found
