"""What is expected at each stage, what an open relay is, and how a difference is explained."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trying import CLIENT, INTERNET, LOGGED_IN, ORIGINS, STRANGER, WRONG, dialogue, tried

from handson.mail.relay_matrix.expected import (
    LOGINS,
    PORTS,
    RECIPIENTS,
    STAGES,
    Cell,
    Origin,
    ServerFacts,
    expect,
    kind_name,
    ports_of,
)
from handson.mail.relay_matrix.explain import explain
from handson.mail.smtp import Reply

VPC = frozenset((name, port) for name in ("client", "stranger") for port in PORTS)
CLOSED = frozenset((name, 25) for name in ("client", "stranger"))
START = ServerFacts(
    mynetworks=("127.0.0.0/8", "10.87.3.20/32"),
    reach=CLOSED,
    domain="example.com",
    realm="mail.example.com",
)
DEBIAN = replace(
    START, mynetworks=("127.0.0.0/8",), reach=VPC, offers_25=True, chroots=frozenset({25})
)
AMAZON = replace(DEBIAN, chroots=frozenset())


def table(stage: str, facts: ServerFacts, origin: Origin) -> list[str]:
    """The kinds for one place: a line a login, the columns as in the matrix."""
    return [
        " | ".join(
            expect(stage, facts, origin, port, login, recipient)[0]
            for port in ports_of(stage)
            for recipient in RECIPIENTS
        )
        for login in LOGINS
    ]


NOBODY = ["no answer | no answer | no answer | no answer"] * 4


def test_at_the_start_the_client_relays_for_its_address() -> None:
    assert table("start", START, CLIENT) == [
        "accepts | relays | no answer | no answer",
        *["no AUTH | no AUTH | no answer | no answer"] * 3,
    ]
    assert table("start", START, STRANGER)[0] == "accepts | refused | no answer | no answer"
    assert table("start", START, INTERNET) == NOBODY
    assert "mynetworks" in expect("start", START, CLIENT, 25, "none", "outside")[1]


def test_between_the_open_port_and_the_service_nothing_listens() -> None:
    opened = replace(START, reach=VPC)
    line = "no AUTH | no AUTH | connection refused | connection refused"
    assert table("start", opened, CLIENT)[3] == line
    assert table("start", opened, INTERNET) == NOBODY


def test_after_the_login_on_debian() -> None:
    expected = [
        "accepts | refused | refused | refused",
        "login fails | login fails | login fails | login fails",
        "login fails | login fails | login fails | login fails",
        "login fails | login fails | accepts | relays",
    ]
    assert table("after_login", DEBIAN, CLIENT) == expected
    assert table("after_login", DEBIAN, STRANGER) == expected
    assert table("after_login", DEBIAN, INTERNET) == NOBODY
    assert "chrooted" in expect("after_login", DEBIAN, CLIENT, 25, "right", "outside")[1]


def test_after_the_login_on_amazon_linux_port_25_takes_it_too() -> None:
    assert table("after_login", AMAZON, CLIENT)[2:] == [
        "login fails | login fails | login fails | login fails",
        "accepts | relays | accepts | relays",
    ]


def test_a_login_offered_on_submission_alone_is_right_as_well() -> None:
    alone = replace(AMAZON, offers_25=False)
    assert table("after_login", alone, CLIENT)[1:] == [
        "no AUTH | no AUTH | login fails | login fails",
        "no AUTH | no AUTH | login fails | login fails",
        "no AUTH | no AUTH | accepts | relays",
    ]


def test_587_open_to_anywhere() -> None:
    anywhere = replace(DEBIAN, source="anywhere", reach=VPC | {("internet", 587)})
    assert table("after_login", anywhere, INTERNET) == [
        "no answer | no answer | refused | refused",
        "no answer | no answer | login fails | login fails",
        "no answer | no answer | login fails | login fails",
        "no answer | no answer | accepts | relays",
    ]
    assert table("hardened", anywhere, INTERNET) == [f"{NOBODY[0]} | no answer | no answer"] * 4


def test_587_open_to_the_clients_group_alone() -> None:
    group = replace(DEBIAN, reach=CLOSED | {("client", 587)})
    assert table("after_login", group, STRANGER)[3].endswith("no answer | no answer")
    assert table("after_login", group, CLIENT)[3].endswith("accepts | relays")


def test_a_closed_port_is_not_expected_because_it_is_closed() -> None:
    closed = replace(DEBIAN, reach=CLOSED)
    assert table("after_login", closed, CLIENT)[3].endswith("accepts | relays")


@pytest.mark.parametrize(("realm", "kind"), [("example.com", "relays"), ("", "login fails")])
def test_the_bare_name_where_a_realm_is_added(realm: str, kind: str) -> None:
    facts = replace(DEBIAN, realm=realm)
    assert expect("after_login", facts, CLIENT, 587, "bare", "outside")[0] == kind


def test_hardened() -> None:
    assert table("hardened", DEBIAN, CLIENT) == [
        "accepts | refused | refused | refused | refused | refused",
        "no AUTH | no AUTH | login fails | login fails | login fails | login fails",
        "no AUTH | no AUTH | login fails | login fails | login fails | login fails",
        "no AUTH | no AUTH | accepts | relays | accepts | relays",
    ]


def test_port_465_is_for_whom_the_security_group_lets_in() -> None:
    alone = replace(DEBIAN, reach=VPC - {("stranger", 465)})
    assert table("hardened", alone, STRANGER)[3] == (
        "no AUTH | no AUTH | accepts | relays | no answer | no answer"
    )
    assert table("hardened", alone, CLIENT)[3].endswith("accepts | relays")
    reason = expect("hardened", alone, STRANGER, 465, "right", "own")[1]
    assert reason == "The security group opens port 465 to others only."


@pytest.mark.parametrize("stage", ["start", "after_login"])
def test_port_465_is_tried_once_the_server_is_hardened(stage: str) -> None:
    assert 465 not in ports_of(stage)
    assert ports_of("hardened") == PORTS


def test_every_expectation_has_a_reason_and_a_name() -> None:
    for stage in STAGES:
        for origin in ORIGINS:
            for login in LOGINS:
                kind, reason = expect(stage, AMAZON, origin, 25, login, "outside")
                assert kind_name(kind) and reason.endswith(".")


@pytest.mark.parametrize(
    ("login", "result", "label"),
    [
        ("none", "relays", "relays"),
        ("none", "refused 454", "refused 454"),
        ("wrong", "login fails", "login fails 535"),
        ("right", "no AUTH offered", "no AUTH offered"),
        ("right", "no answer", "no answer"),
        ("none", "connection refused", "connection refused"),
    ],
)
def test_how_a_result_reads(login: str, result: str, label: str) -> None:
    assert tried("hardened", DEBIAN, CLIENT, 587, login, "outside", result).label == label


def test_own_domain_is_accepted_and_not_relayed() -> None:
    assert tried("start", START, CLIENT, 25, "none", "own", "relays").observed == "accepts"


def test_a_server_that_says_nothing_is_broken_off() -> None:
    cell = tried(
        "after_login", DEBIAN, CLIENT, 587, "right", "own", "accepts",
        banner=None, ehlo=None, auth=None, mail=None, rcpt=None, error="no answer",
    )  # fmt: skip
    assert cell.label == "broken off"
    assert explain(cell, DEBIAN) == "10.87.2.44:587 broke off: no answer."


def test_a_server_that_is_too_busy_refuses() -> None:
    banner = Reply(421, "4.7.0 mail.example.com Error: too many connections")
    cell = tried(
        "after_login", DEBIAN, CLIENT, 587, "right", "own", "accepts",
        banner=banner, ehlo=None, auth=None, mail=None, rcpt=None,
    )  # fmt: skip
    assert cell.label == "refused 421"


# -- open relays ---------------------------------------------------------------------------


def relaying(origin: Origin, facts: ServerFacts, login: str = "none", **more: object) -> Cell:
    return tried("after_login", facts, origin, 25, login, "outside", "relays", **more)


def test_trust_by_address_is_no_open_relay() -> None:
    cell = tried("start", START, CLIENT, 25, "none", "outside", "relays")
    assert cell.is_by_address and not cell.is_open_relay
    assert explain(cell, START) == ""


def test_the_client_still_trusted_after_the_login_is_a_difference() -> None:
    cell = relaying(CLIENT, START)
    assert cell.is_by_address and not cell.is_open_relay and not cell.is_as_expected
    assert "mynetworks holds 10.87.3.20/32, and with it 10.87.3.20" in explain(cell, START)


@pytest.mark.parametrize("origin", [STRANGER, INTERNET])
@pytest.mark.parametrize("network", ["0.0.0.0/0", "127.0.0.0/8"])
def test_the_stranger_and_the_internet_are_nobodys_to_trust(origin: Origin, network: str) -> None:
    facts = replace(DEBIAN, mynetworks=(network,))
    cell = relaying(origin, facts)
    assert cell.is_open_relay and not cell.is_by_address
    why = explain(cell, facts)
    assert ("mynetworks holds 0.0.0.0/0" in why) == (network == "0.0.0.0/0")
    assert origin.address in why


def test_the_client_outside_mynetworks_is_an_open_relay() -> None:
    cell = relaying(CLIENT, DEBIAN)
    assert cell.is_open_relay
    assert "smtpd_relay_restrictions" in explain(cell, DEBIAN)


def test_a_wrong_password_that_is_taken_is_an_open_relay() -> None:
    cell = relaying(STRANGER, DEBIAN, login="wrong")
    assert cell.is_open_relay
    assert "wrong password was taken" in explain(cell, DEBIAN)


@pytest.mark.parametrize("login", ["right", "bare"])
def test_who_has_the_password_is_no_open_relay(login: str) -> None:
    assert not relaying(STRANGER, DEBIAN, login=login).is_open_relay
    assert relaying(STRANGER, DEBIAN, login=login, auth=None).is_open_relay


def test_mail_for_the_own_domain_is_no_relay() -> None:
    cell = tried("hardened", DEBIAN, INTERNET, 25, "none", "own", "accepts")
    assert not cell.is_open_relay and not cell.is_as_expected


# -- what differs is explained -------------------------------------------------------------

MASTER_CF = "its line in master.cf is not active"


@pytest.mark.parametrize(
    ("stage", "origin", "port", "login", "result", "words"),
    [
        ("after_login", CLIENT, 587, "right", "connection refused", MASTER_CF),
        ("after_login", CLIENT, 587, "right", "no answer", "the packets are dropped on the way"),
        ("after_login", CLIENT, 587, "right", "no AUTH offered", "smtpd_sasl_auth_enable is off"),
        ("after_login", CLIENT, 587, "right", "refused 454", "no permit_sasl_authenticated"),
        ("after_login", CLIENT, 587, "right", "login fails", "another in the database"),
        ("hardened", CLIENT, 25, "wrong", "login fails", "holds for every port"),
        ("hardened", CLIENT, 25, "right", "relays", "holds for it as well"),
        ("hardened", INTERNET, 587, "none", "refused 554", "lets 203.0.113.5 in to port 587"),
        ("hardened", INTERNET, 587, "right", "login fails", "lets 203.0.113.5 in to port 587"),
        ("hardened", INTERNET, 587, "right", "connection refused", "lets 203.0.113.5 in"),
        ("start", CLIENT, 25, "none", "refused 454", "454 4.7.1 <friend@example.net>: Relay acc"),
    ],
)
def test_a_difference_is_explained(
    stage: str, origin: Origin, port: int, login: str, result: str, words: str
) -> None:
    cell = tried(stage, DEBIAN, origin, port, login, "outside", result)
    assert not cell.is_as_expected
    assert words in explain(cell, DEBIAN)


def test_own_domain_accepted_on_587_without_a_login() -> None:
    cell = tried("after_login", DEBIAN, CLIENT, 587, "none", "own", "accepts")
    assert "No rule of port 587 refuses" in explain(cell, DEBIAN)


@pytest.mark.parametrize(
    ("auth", "chroot", "words"),
    [
        (Reply(454, "4.7.0 Temporary authentication failure: generic failure"), False, "database?"),
        (Reply(450, "4.7.1 Error: too many AUTH commands from 10.87.3.20"), False, "anvil(8)"),
        (WRONG, True, "chrooted"),
    ],
)
def test_a_right_login_that_fails(auth: Reply, chroot: bool, words: str) -> None:
    facts = replace(DEBIAN, chroots=frozenset({587} if chroot else ()))
    cell = tried("after_login", facts, CLIENT, 587, "right", "own", "login fails", auth=auth)
    assert words in explain(cell, facts)


def test_what_came_out_as_expected_needs_no_explanation() -> None:
    cell = tried("after_login", DEBIAN, CLIENT, 587, "right", "outside", "relays")
    assert cell.is_as_expected and explain(cell, DEBIAN) == ""


def test_dialogues_of_the_tests_are_what_they_say() -> None:
    held = dialogue(CLIENT, 587, "right", "outside", "relays")
    assert held.auth == LOGGED_IN and held.is_accepted
