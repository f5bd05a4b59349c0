"""What the matrix tries, and the facts it goes by, from recorded answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from recorded import Recorded

from handson.cloud.names import Names
from handson.cloud.security_groups import GroupRule
from handson.errors import HostUnreachable, InvalidInput
from handson.mail.relay_matrix.expected import LOGINS, PORTS, RECIPIENTS, Origin
from handson.mail.relay_matrix.probe import (
    Place,
    first_certificate,
    outside_address,
    places,
    read_certificate,
    read_clock,
    read_facts,
    relay_matrix,
    tries_of,
)
from handson.secret import Secret
from handson.settings import Settings

SMTP = "smtp inet n - y - - smtpd"
SUBMISSION = "submission inet n - n - - smtpd -o smtpd_client_restrictions=reject"
ANSWERS: dict[str, str | tuple[int, str]] = {
    "sudo -n postconf -M": f"{SMTP}\n{SUBMISSION}\n",
    "sudo -n postconf -h smtpd_sasl_auth_enable": "yes\n",
    "sudo -n postconf -xh smtpd_sasl_local_domain myhostname": "\nmail.example.com\n",
    "sudo -n postconf -h mynetworks": "127.0.0.0/8, 10.87.3.20/32\n",
}
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@dataclass
class Sky:
    """A cloud that only knows the rules of its security group and one instance."""

    sources: dict[str, str]
    public_ip: str = "203.0.113.10"
    names: Names = field(default_factory=lambda: Names("20250101"))

    def rules(self) -> list[GroupRule]:
        return [GroupRule("inbound", "tcp", port, at, "") for port, at in self.sources.items()]

    def instance(self, name: str) -> Any:
        return SimpleNamespace(public_ip=self.public_ip) if self.public_ip else None


def ground(server: Recorded | None = None, sky: Sky | None = None, **choices: str) -> Any:
    hosts = SimpleNamespace(server=server, client="client", stranger="stranger", internet="pc")
    return SimpleNamespace(
        settings=Settings(date="20250101", own_ip="203.0.113.5", **choices),
        hosts=hosts,
        cloud=sky or Sky({"25": "10.87.0.0/16", "587": "10.87.0.0/16"}),
        password=Secret("canary-tr0ub4dor"),
    )


def origins(of: Any) -> list[Origin]:
    return [place.origin for place in places(of)]


# -- what is tried -------------------------------------------------------------------------


def test_three_places_and_the_servers_address_from_each() -> None:
    assert [(p.origin.name, p.origin.address, p.server) for p in places(ground())] == [
        ("client", "10.87.3.20", "10.87.2.44"),
        ("stranger", "10.87.3.30", "10.87.2.44"),
        ("internet", "203.0.113.5", "203.0.113.10"),
    ]


def test_a_server_without_a_public_address_is_told() -> None:
    with pytest.raises(HostUnreachable, match="20250101-smtp-handson-server"):
        places(ground(sky=Sky({}, public_ip="")))


def tries(stage: str = "hardened", row: int = 0) -> list[Any]:
    place = Place(Origin("client", "10.87.3.20"), "client", "10.87.2.44")  # type: ignore[arg-type]
    return list(tries_of(ground(), place, stage, row, "PEM", Secret("not-the-password")))


def test_every_port_login_and_recipient_is_tried_once() -> None:
    wanted = {(p, login, r) for p in PORTS for login in LOGINS for r in RECIPIENTS}
    made = tries()
    assert {(one.port, one.login, one.recipient) for one in made} == wanted
    assert len(made) == 24
    assert {one.port for one in tries("after_login")} == {25, 587}
    assert all(one.job.message is None and one.job.insist is False for one in made)


def test_names_are_numbered_in_the_order_of_the_table() -> None:
    named = {(t.login, t.port, t.recipient): t.job.name for t in tries("after_login", 1)}
    assert named["none", 25, "own"] == "m16.handson.invalid"
    assert named["none", 587, "outside"] == "m19.handson.invalid"
    assert named["right", 587, "outside"] == "m31.handson.invalid"
    assert len(set(named.values())) == 16
    wide = {t.job.name for t in tries("hardened", 2)}
    assert min(wide) == "m48.handson.invalid" and max(wide) == "m71.handson.invalid"


def test_the_right_login_is_tried_before_the_wrong_ones() -> None:
    assert [one.login for one in tries()][:8:2] == ["right", "none", "wrong", "bare"]


def test_who_logs_in_and_who_sends() -> None:
    jobs = {(t.login, t.recipient): t.job for t in tries()}
    assert jobs["right", "own"].login == "smtp-auth@example.com"
    assert jobs["right", "own"].password == Secret("canary-tr0ub4dor")
    assert jobs["bare", "own"].login == "smtp-auth"
    assert jobs["wrong", "own"].password == Secret("not-the-password")
    assert jobs["none", "own"].login == "" and jobs["none", "own"].password is None
    assert jobs["none", "own"].sender == "friend@example.net"
    assert jobs["right", "own"].sender == "hello@example.com"
    assert jobs["right", "own"].recipient == "root@example.com"
    assert jobs["right", "outside"].recipient == "friend@example.net"
    assert "canary" not in repr(jobs)


@pytest.mark.parametrize(
    ("domain", "recipient", "outside"),
    [
        ("example.com", "friend@example.net", "friend@example.net"),
        ("example.com", "me@example.com", "someone@example.org"),
        ("example.org", "me@example.org", "someone@example.net"),
    ],
)
def test_the_outside_is_outside(domain: str, recipient: str, outside: str) -> None:
    assert outside_address(Settings(domain=domain, recipient=recipient)) == outside


def test_a_stage_that_is_none() -> None:
    with pytest.raises(InvalidInput, match="“later” is no stage") as caught:
        relay_matrix(ground(), "later")
    assert "after_login" in caught.value.cure


# -- what the expectation depends on -------------------------------------------------------


def test_facts_of_a_debian_server() -> None:
    of = ground(Recorded(ANSWERS))
    facts = read_facts(of, origins(of))
    assert facts.mynetworks == ("127.0.0.0/8", "10.87.3.20/32")
    assert facts.reach == {(n, p) for n in ("client", "stranger") for p in (25, 587)}
    assert (facts.offers_25, facts.chroots) == (True, {25})
    assert (facts.realm, facts.domain, facts.source) == ("mail.example.com", "example.com", "vpc")
    assert not facts.completes_bare_name
    assert facts.trusts("10.87.3.20") and not facts.trusts("10.87.3.30")


def test_facts_before_the_submission_service_is_there() -> None:
    of = ground(
        Recorded(ANSWERS | {"sudo -n postconf -M": "", "sudo -n postconf -h mynetworks": "\n"}),
        Sky({"25": "10.87.0.0/16"}),
        submission_source="anywhere",
    )
    facts = read_facts(of, origins(of))
    assert facts.reach == {("client", 25), ("stranger", 25)}
    assert (facts.offers_25, facts.chroots) == (False, set())
    assert facts.mynetworks == () and facts.source == "anywhere"


def test_a_login_that_submission_alone_offers() -> None:
    off = {"sudo -n postconf -h smtpd_sasl_auth_enable": "no\n"}
    of = ground(Recorded(ANSWERS | off))
    assert not read_facts(of, origins(of)).offers_25


@pytest.mark.parametrize(
    ("source", "reached"),
    [
        ("0.0.0.0/0", {"client", "stranger", "internet"}),
        ("sg_20250101-smtp-handson-smtp-client", {"client"}),
        ("10.87.3.20/32", {"client"}),
    ],
)
def test_whom_a_rule_lets_in(source: str, reached: set[str]) -> None:
    of = ground(Recorded(ANSWERS), Sky({"587": source}))
    assert {name for name, _port in read_facts(of, origins(of)).reach} == reached


def test_a_realm_that_completes_the_bare_name() -> None:
    local = {
        "sudo -n postconf -xh smtpd_sasl_local_domain myhostname": "example.com\nmail.example.com\n"
    }
    of = ground(Recorded(ANSWERS | local))
    assert read_facts(of, origins(of)).completes_bare_name


ASK = "sudo -n postconf -xh smtpd_tls_cert_file"


@pytest.mark.parametrize(
    ("answers", "certificate"),
    [
        ({ASK: "\n"}, ""),
        ({ASK: "none\n"}, ""),
        ({ASK: "/c.pem\n", "sudo -n cat /c.pem": f"text\n{PEM}{PEM}-----BEGIN X-----\n"}, PEM),
        ({ASK: "/c.pem\n", "sudo -n cat /c.pem": (1, "cat: /c.pem: No such file")}, ""),
    ],
)
def test_the_servers_certificate(answers: dict[str, Any], certificate: str) -> None:
    assert read_certificate(Recorded(answers)) == certificate  # type: ignore[arg-type]


def test_the_servers_clock() -> None:
    ask = "date +%Y-%m-%dT%H:%M:%S.%6N%:z"
    clock = read_clock(Recorded({ask: "2025-11-24T12:57:24.163000+09:00\n"}))  # type: ignore[arg-type]
    assert clock.isoformat() == "2025-11-24T12:57:24.163000+09:00"


def test_of_a_file_with_a_key_the_certificate_alone_is_read() -> None:
    one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    key = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----"
    assert first_certificate(f"{key}\n{one}\n{one.replace('AAAA', 'CCCC')}\n") == f"{one}\n"
    assert first_certificate(key) == ""
