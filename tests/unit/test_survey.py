from __future__ import annotations

from pathlib import Path

import pytest

from handson.hosts.systems import AMAZON_LINUX_2023, DEBIAN_12
from handson.mail.survey import Survey

SERVICES = (Path(__file__).parent / "data" / "postconf-M.txt").read_text()


def survey(system: object = DEBIAN_12, **sections: str) -> Survey:
    text = "".join(f"\n== {name}\n{value}\n" for name, value in sections.items())
    return Survey.parse(system, text)  # type: ignore[arg-type]


class Sent:
    """A host that keeps what it was sent."""

    system = AMAZON_LINUX_2023
    stdin = ""

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]:
        assert command == "sudo -n sh -s"
        self.stdin = stdin
        return 0, "\n== running\nyes\n"


def test_one_command_with_the_paths_of_the_system() -> None:
    host = Sent()
    assert Survey.take(host).is_running
    assert "conf=/etc/sasl2/smtpd.conf\n" in host.stdin
    assert "default=/etc/sasl2/sasldb2\n" in host.stdin


def test_values_of_the_service_go_before_those_of_main_cf() -> None:
    found = survey(
        services=SERVICES,
        explicit="smtpd_client_restrictions = permit\nmua = $own, reject\nx = y",
        defaults="smtpd_sasl_auth_enable = no\nx = z",
    )
    assert found.value("smtpd_client_restrictions") == "permit_sasl_authenticated,reject"
    assert found.main("smtpd_client_restrictions") == "permit"
    assert found.value("smtpd_sasl_auth_enable") == "no"
    assert found.value("x") == "y"
    assert found.value("nothing") == ""


def test_value_that_names_another() -> None:
    line = "587 inet n - n - - smtpd -o smtpd_client_restrictions=$mua_client_restrictions"
    found = survey(services=line, explicit="mua_client_restrictions = permit_sasl_authenticated")
    assert found.value("smtpd_client_restrictions") == "permit_sasl_authenticated"


def test_master_cf_that_cannot_be_read() -> None:
    error = "postconf: fatal: file /etc/postfix/master.cf: line 139: bad field count"
    found = survey(services=error, explicit="smtpd_sasl_auth_enable = yes")
    assert found.services_error == error
    assert found.services == {} and found.submission is None
    assert found.value("smtpd_sasl_auth_enable") == "yes"


@pytest.mark.parametrize(
    ("column", "version", "level", "chrooted"),
    [
        ("n", "3.7.11", "3.6", False),
        ("y", "3.7.11", "3.6", True),
        ("-", "3.7.11", "3.6", False),
        ("-", "3.7.11", "0", True),
        ("-", "2.10.1", "", True),
    ],
)
def test_chroot(column: str, version: str, level: str, chrooted: bool) -> None:
    found = survey(
        services=f"submission inet n - {column} - - smtpd",
        defaults=f"mail_version = {version}\ncompatibility_level = {level}",
    )
    assert found.is_chrooted is chrooted


def test_sockets() -> None:
    found = survey(sockets="LISTEN 0 100 127.0.0.1:587 0.0.0.0:*\nLISTEN 0 9 0.0.0.0:25 0.0.0.0:*")
    assert found.ports == [25, 587]
    assert found.is_open(25) and not found.is_open(587)
    assert found.sockets(587) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("magic", "name"),
    [
        ("00000000010000000000000061150600", "Berkeley DB"),
        ("ce9a5713000000000000000000000000", "GDBM"),
        ("cf9a5713000000000000000000000000", "GDBM"),
        ("74686973206973206e6f206461746162", ""),
        ("", ""),
    ],
)
def test_format_of_the_database(magic: str, name: str) -> None:
    assert survey(magic=magic).database_format == name


def test_smtpd_conf() -> None:
    found = survey(conf="pwcheck_method: auxprop\nmech_list: plain SCRAM-SHA-256\n")
    assert found.verifiers == ["auxprop"]
    assert found.mechanisms == ["PLAIN", "SCRAM-SHA-256"]
    assert found.database == "/etc/sasldb2"
    assert survey(conf="sasldb_path: /srv/users").database == "/srv/users"
    assert survey(DEBIAN_12).database == "/etc/sasldb2"
    broken = survey(conf="pwcheck_method = auxprop")
    assert broken.configuration == {}
    assert "pwcheck_method = auxprop" in broken.configuration_error


@pytest.mark.parametrize(
    ("ages", "edited", "old"), [("5\n100", "50", True), ("5", "50", False), ("5", "", False)]
)
def test_smtpd_older_than_its_file(ages: str, edited: str, old: bool) -> None:
    assert survey(ages=ages, edited=edited).has_old_smtpd is old
