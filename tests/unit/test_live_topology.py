"""What the picture says of a port, from the tries that checks and diagnosis judge by."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from trying import CLIENT, dialogue

from handson.cloud.security_groups import GroupRule
from handson.course.live_topology import login_way, relay_way, ways
from handson.diagnosis import verdict
from handson.diagnosis.cause import Link
from handson.errors import NotHere
from handson.mail.observation import Observation
from handson.mail.smtp import Dialogue, Reply
from handson.settings import Settings
from handson.ui.topology import Way

NONE, RIGHT = "none", "right"
NO_AUTH = Reply(250, "mail.example.com\nPIPELINING")


def held(port: int, login: str, result: str, **more: Any) -> Dialogue:
    return dialogue(CLIENT, port, login, "outside", result, **more)


DENIED_25, DENIED_587 = held(25, NONE, "refused 454"), held(587, NONE, "refused 554")
GOOD_587 = held(587, RIGHT, "relays")


@pytest.mark.parametrize(
    ("anonymous", "login", "state", "tone", "ends"),
    [
        (held(25, NONE, "relays"), None, "relays without a login", "warn", "through"),
        (DENIED_25, held(25, RIGHT, "relays"), "relays with a login", "warn", "through"),
        # In a chroot a login is offered and no login can work: that is not "asks for a login".
        (
            DENIED_25,
            held(25, RIGHT, "login fails"),
            "offers a login, refuses it: 535",
            "warn",
            "server",
        ),
        (
            DENIED_25,
            held(25, RIGHT, "no AUTH offered", auth=Reply(503, "5.5.1 not enabled")),
            "offers no login, does not relay",
            "good",
            "server",
        ),
        (
            replace(DENIED_25, ehlo=NO_AUTH),
            None,
            "offers no login, does not relay",
            "good",
            "server",
        ),
        (DENIED_25, None, "offers a login, not tried yet", "warn", "server"),
        (held(25, NONE, "no answer"), None, "no answer: closed on the way", "bad", "group"),
    ],
)
def test_port_25(
    anonymous: Dialogue, login: Dialogue | None, state: str, tone: str, ends: str
) -> None:
    assert relay_way(anonymous, login) == Way(state, tone, ends)


@pytest.mark.parametrize(
    ("anonymous", "login", "state", "tone", "ends"),
    [
        (DENIED_587, GOOD_587, "relays with a login, in clear", "good", "through"),
        (
            held(587, NONE, "refused 554", ehlo=NO_AUTH),
            replace(GOOD_587, tls="TLSv1.3"),
            "relays with a login, over TLS",
            "good",
            "through",
        ),
        (held(587, NONE, "relays"), GOOD_587, "relays without a login", "warn", "through"),
        (
            DENIED_587,
            held(587, RIGHT, "login fails"),
            "refuses the login: 535",
            "bad",
            "server",
        ),
        (
            DENIED_587,
            held(587, RIGHT, "refused 554"),
            "takes the login, refuses to relay: 554",
            "bad",
            "server",
        ),
        (DENIED_587, held(587, RIGHT, "no AUTH offered"), "offers no AUTH PLAIN", "bad", "server"),
        (DENIED_587, None, "no login tried yet", "quiet", "server"),
        (
            held(587, NONE, "connection refused"),
            None,
            "refused: nothing listens",
            "bad",
            "server",
        ),
        (
            held(587, NONE, "refused", banner=None, error="no answer"),
            None,
            "connects, then no answer",
            "bad",
            "server",
        ),
    ],
)
def test_a_port_for_logins(
    anonymous: Dialogue, login: Dialogue | None, state: str, tone: str, ends: str
) -> None:
    assert login_way(anonymous, login) == Way(state, tone, ends)


def observed(password: str | None = "canary", opens: bool = False) -> Any:
    """Return what `ways` asks of an observation."""
    return SimpleNamespace(
        password=password,
        read_ahead=lambda needs: None,
        opens_submissions=opens,
        relay=DENIED_25,
        relay_login=held(25, RIGHT, "login fails"),
        anonymous=DENIED_587,
        submission=GOOD_587,
        submissions=replace(GOOD_587, tls="TLSv1.3"),
        talk=lambda port, login: held(port, NONE, "refused 554"),
    )


@pytest.mark.parametrize("opens", [True, False])
def test_port_465_is_drawn_once_it_is_opened(opens: bool) -> None:
    assert (465 in ways(observed(opens=opens))) is opens


@pytest.mark.parametrize(
    ("opens", "listens", "is_opened"),
    [(False, True, False), (True, False, True), (None, False, False), (None, True, True)],
)
def test_port_465_is_opened_by_the_security_group_or_where_there_is_none_by_the_server(
    opens: bool | None, listens: bool, is_opened: bool
) -> None:
    def rules(group: str) -> list[GroupRule]:
        if opens is None:
            raise NotHere("there is no AWS")
        return [GroupRule("inbound", "tcp", "465" if opens else "587", "10.87.3.20/32", "")]

    cloud: Any = SimpleNamespace(rules=rules, names=SimpleNamespace(server_group="server"))
    hosts: Any = None
    made = Observation(Settings(), hosts, cloud, None)
    made.__dict__["survey"] = SimpleNamespace(is_open=lambda port: listens)
    assert made.opens_submissions is is_opened


def test_no_login_is_tried_where_there_is_none_yet() -> None:
    found = ways(observed(password=None, opens=True))
    assert found[587].state == found[465].state == "no login tried yet"


@pytest.mark.parametrize("is_opened", [True, False])
def test_the_verdict_judges_port_465_once_it_is_opened(
    is_opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "diagnose", lambda observed: [])
    monkeypatch.setattr(verdict.own_words, "diagnosis", lambda observed, seen: None)
    made = observed(opens=is_opened)
    made.submissions = held(465, RIGHT, "connection refused")
    made.mailrc = SimpleNamespace(is_there=False)
    made.recent, made.server, made.stage = [], SimpleNamespace(fill=str), ""
    made.settings = SimpleNamespace(client_ip="10.87.3.20")
    found = verdict.judge(made)
    assert found.is_well is not is_opened
    assert [one.broken for one in found.wrong] == ([Link.LISTENS] if is_opened else [])
    if is_opened:
        assert found.cause and "nothing listens" in found.cause.evidence
