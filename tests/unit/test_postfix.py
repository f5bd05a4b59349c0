from __future__ import annotations

from pathlib import Path

import pytest
from recorded import Recorded

from handson.errors import CommandFailed, HandsonError
from handson.mail.postfix import Postfix, read_parameters, read_services, read_sockets

DATA = Path(__file__).parent / "data"
SERVICES = (DATA / "postconf-M.txt").read_text()
SOCKETS = (DATA / "ss-nlt4.txt").read_text()
PARAMETERS = (DATA / "postconf-n.txt").read_text()


def test_parameters_as_recorded() -> None:
    found = read_parameters(PARAMETERS)
    assert found["mynetworks"] == "127.0.0.0/8"
    assert found["relayhost"] == ""
    assert found["smtp_tls_session_cache_database"] == "btree:${data_directory}/smtp_scache"
    assert len(found) == len(PARAMETERS.splitlines())


def test_services_as_recorded() -> None:
    found = read_services(SERVICES)
    assert len(found) == len(SERVICES.splitlines())
    submission = found["submission/inet"]
    assert submission.command == "smtpd"
    assert submission.chroot == "n"
    assert submission.parameters == {
        "syslog_name": "postfix/submission",
        "smtpd_client_restrictions": "permit_sasl_authenticated,reject",
    }
    assert found["smtp/inet"].chroot == "y"
    assert found["smtp/inet"].parameters == {}
    assert found["tlsmgr/unix"].wakeup == "1000?"
    assert found["uucp/unix"].parameters == {}


def test_options_in_braces_and_over_several_lines() -> None:
    text = (
        "# a comment\n"
        "submission inet n - n - - smtpd\n"
        "  -o { smtpd_client_restrictions = permit_sasl_authenticated, reject }\n"
        "#  -o commented=yes\n"
        "  -o syslog_name=postfix/submission\n"
    )
    assert read_services(text)["submission/inet"].parameters == {
        "smtpd_client_restrictions": "permit_sasl_authenticated, reject",
        "syslog_name": "postfix/submission",
    }


def test_option_in_the_first_column_is_named() -> None:
    with pytest.raises(HandsonError, match="-o syslog_name=x"):
        read_services("submission inet n - n - - smtpd\n-o syslog_name=x\n")


def test_sockets_as_recorded() -> None:
    assert {port for _address, port in read_sockets(SOCKETS)} == {25, 587}
    assert ("10.87.2.44", 587) in read_sockets(SOCKETS)


def test_nothing_listens() -> None:
    assert read_sockets("State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n") == []


def test_loopback_does_not_count_for_other_hosts() -> None:
    postfix = Postfix(Recorded({"ss -nlt4": "LISTEN 0 100 127.0.0.1:587 0.0.0.0:*\n"}))
    assert postfix.sockets() == [("127.0.0.1", 587)]
    assert not postfix.is_listening(587)
    assert Postfix(Recorded({"ss -nlt4": SOCKETS})).is_listening(587)
    assert not Postfix(Recorded({"ss -nlt4": SOCKETS})).is_listening(465)


def test_parameter_of_main_cf() -> None:
    runner = Recorded({"sudo -n postconf -h myhostname": "mail.example.com\n"})
    assert Postfix(runner).parameter("myhostname") == "mail.example.com"
    runner = Recorded({"sudo -n postconf -n": PARAMETERS})
    assert Postfix(runner).explicit()["smtpd_sasl_auth_enable"] == "yes"


def test_parameter_of_a_service_is_its_own_or_main_cf_s() -> None:
    postfix = Postfix(
        Recorded(
            {
                "sudo -n postconf -M": SERVICES,
                "sudo -n postconf -h smtpd_client_restrictions": "\n",
            }
        )
    )
    name = "smtpd_client_restrictions"
    assert postfix.service_parameter("submission/inet", name) == "permit_sasl_authenticated,reject"
    assert postfix.service_parameter("smtp/inet", name) == ""
    assert postfix.service_parameter("none/inet", name) == ""


def test_broken_configuration_is_told() -> None:
    runner = Recorded({"sudo -n postconf -M": (1, "postconf: fatal: line 140: bad field count")})
    with pytest.raises(CommandFailed, match="bad field count"):
        Postfix(runner).services()


@pytest.mark.parametrize(
    ("column", "version", "level", "chrooted"),
    [
        ("y", "3.7.11", "3.6", True),
        ("n", "2.10.1", "", False),
        ("-", "2.10.1", "", True),
        ("-", "3.7.11", "3.6", False),
        ("-", "3.7.11", "0", True),
    ],
)
def test_chroot_and_its_default(column: str, version: str, level: str, chrooted: bool) -> None:
    runner = Recorded(
        {
            "sudo -n postconf -M": f"smtp inet n - {column} - - smtpd",
            "sudo -n postconf -h mail_version": f"{version}\n",
            "sudo -n postconf -h compatibility_level": f"{level}\n",
        }
    )
    assert Postfix(runner).is_chrooted("smtp/inet") is chrooted


def test_running_or_not() -> None:
    assert Postfix(Recorded({"sudo -n postfix status": ""})).is_running
    assert not Postfix(Recorded({"sudo -n postfix status": (1, "")})).is_running


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("127.0.0.0/8 [::1]/128", ["127.0.0.0/8", "[::1]/128"]),
        ("127.0.0.0/8,10.87.3.20", ["127.0.0.0/8", "10.87.3.20"]),
        ("127.0.0.0/8, 10.87.3.20", ["127.0.0.0/8", "10.87.3.20"]),
        ("", []),
    ],
)
def test_mynetworks(text: str, networks: list[str]) -> None:
    assert Postfix(Recorded({"sudo -n postconf -h mynetworks": text})).mynetworks == networks


def test_braces_in_braces_belong_to_the_value() -> None:
    line = (
        "submission inet n - n - - smtpd "
        "-o { smtpd_sender_restrictions = check_sender_access inline:{ { <> = REJECT x } } } "
        "-o smtpd_tls_security_level=encrypt"
    )
    (service,) = read_services(line).values()
    assert service.parameters == {
        "smtpd_sender_restrictions": "check_sender_access inline:{ { <> = REJECT x } }",
        "smtpd_tls_security_level": "encrypt",
    }


def test_a_warning_is_no_service() -> None:
    warning = "/usr/sbin/postconf: warning: /etc/postfix/master.cf: unused parameter: a=b"
    assert list(read_services(f"{warning}\nsmtp inet n - y - - smtpd")) == ["smtp/inet"]
