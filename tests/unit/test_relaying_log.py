"""The log of a whole matrix, as a Debian 12 server wrote it, and what can go wrong with it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from trying import CLIENT, DENIED, tried

from handson.mail.log import Entry, moment, parse
from handson.mail.relay_matrix.expected import Cell, ServerFacts
from handson.mail.relay_matrix.log import SmtpdSession, matched, sessions, telling_line
from handson.mail.relay_matrix.view import Matrix

RECORDED = (Path(__file__).parent / "data" / "matrix-of-debian12.txt").read_text()
BEGAN = datetime.fromisoformat("2026-11-24T03:59:07.357447+00:00")
ENDED = datetime.fromisoformat("2026-11-24T03:59:10.598777+00:00")
VPC = frozenset((name, port) for name in ("client", "stranger") for port in (25, 587))
FACTS = ServerFacts(
    ("127.0.0.0/8",), VPC, "vpc", "example.com", "", offers_25=True, chroots=frozenset({25})
)
NAMES = {"u": "smtp-auth", "u@example.com": "smtp-auth@example.com", "": ""}


def cells() -> list[Cell]:
    """The cells of the recorded matrix: all as expected, logged in as smtp-auth."""
    from trying import matrix

    return [
        replace(cell, dialogue=replace(cell.dialogue, login=NAMES[cell.dialogue.login]))
        for cell in matrix("after_login", FACTS).cells
    ]


def match(log: str) -> dict[str, str]:
    """The lines found, by the name that the dialogue gave in EHLO ('m07')."""
    found = matched(cells(), sessions(parse(log), BEGAN, ENDED))
    return {cell.dialogue.name[:3]: cell.entry.text for cell in found if cell.entry}


def test_every_dialogue_that_reached_postfix_finds_its_line() -> None:
    lines = match(RECORDED)
    assert sorted(lines) == [f"m{number:02d}" for number in range(32)]
    assert lines["m00"].startswith("client=") and "sasl_username" not in lines["m00"]
    assert "454 4.7.1 <friend@example.net>: Relay access denied" in lines["m01"]
    assert "helo=<m03.handson.invalid>" in lines["m03"]
    assert lines["m05"].endswith("sasl_username=smtp-auth@example.com")
    assert lines["m10"].endswith("authentication failure, sasl_username=smtp-auth")
    assert lines["m15"].endswith("sasl_method=PLAIN, sasl_username=smtp-auth@example.com")
    assert all("10.87.3.30" in lines[f"m{number}"] for number in range(16, 32))


def test_no_line_is_given_twice() -> None:
    entries = parse(RECORDED)
    found = matched(cells(), sessions(entries, BEGAN, ENDED))
    used = [id(cell.entry) for cell in found if cell.entry]
    assert len(set(used)) == len(used) == 32


@pytest.mark.parametrize("lost", range(0, 116, 9))
def test_a_log_that_lost_lines_misleads_nobody(lost: int) -> None:
    whole = match(RECORDED)
    lines = RECORDED.splitlines()
    left = match("\n".join(lines[:lost] + lines[lost + 2 :]))
    assert len(left) >= 29
    named = {name: text for name, text in left.items() if "helo=<" in text}
    assert all(f"helo=<{name}." in text for name, text in named.items())
    same = [name for name, text in left.items() if text == whole.get(name)]
    assert len(same) >= len(left) - 3


def test_older_runs_and_other_clients_are_left_out() -> None:
    earlier = RECORDED.replace("T03:59:", "T03:58:")
    others = RECORDED.replace("10.87.3.", "10.87.9.").replace("m0", "x0")
    assert match(earlier) == {}
    assert match(others) == {}
    assert match(f"{earlier}{RECORDED}") == match(RECORDED)


def test_syslog_stamps_in_whole_seconds_without_a_year() -> None:
    short = re.sub(r"2026-11-24T(\d\d:\d\d:\d\d)\S+", r"Nov 24 \1", RECORDED)
    assert parse(short)[0].time == "Nov 24 03:59:07"
    assert match(short) == match(RECORDED)


def test_moments() -> None:
    def entry(time: str) -> Entry:
        return Entry(time, "server", "postfix/smtpd", 7, "", "connect from c[10.87.3.20]")

    assert moment(entry("2026-11-24T04:59:08.5+01:00"), BEGAN) - BEGAN < timedelta(seconds=2)
    assert moment(entry("Nov 24 03:59:08"), BEGAN) == BEGAN.replace(second=8, microsecond=0)
    assert moment(entry("2026-11-24T03:59:08"), BEGAN).tzinfo is BEGAN.tzinfo


def test_what_other_programs_say_is_no_session() -> None:
    log = "2026-11-24T03:59:08.000001+00:00 s postfix/smtp[9]: connect to a[10.87.3.20]:25: refused"
    assert sessions(parse(log), BEGAN, ENDED) == []


def session(*texts: str) -> SmtpdSession:
    entries = [Entry("", "server", "postfix/smtpd", 7, "", text) for text in texts]
    return SmtpdSession("10.87.3.20", 0, entries)


def one(login: str, result: str, **more: object) -> Cell:
    return tried("after_login", FACTS, CLIENT, 587, login, "outside", result, **more)


FAILED = "warning: c[10.87.3.20]: SASL PLAIN authentication failed: authentication failure"
PLAIN, LOGIN = "client=c[10.87.3.20]", "client=c[10.87.3.20], sasl_method=PLAIN, sasl_username="
REJECT = "reject: RCPT from c[10.87.3.20]: 454 4.7.1 … helo=<{name}.handson.invalid>"
BYE = "disconnect from c[10.87.3.20] ehlo=1 quit=1 commands=2"
LIMIT = "warning: AUTH command rate limit exceeded: 9 from c[10.87.3.20] for service submission"


@pytest.mark.parametrize(
    ("login", "result", "text", "fits"),
    [
        ("none", "relays", PLAIN, True),
        ("none", "relays", f"{LOGIN}u@example.com", False),
        ("right", "relays", f"{LOGIN}u@example.com", True),
        ("right", "relays", f"{LOGIN}somebody@example.com", False),
        ("right", "relays", PLAIN, False),
        ("none", "relays", BYE, False),
        ("none", "refused 454", REJECT.format(name="m03"), True),
        ("none", "refused 454", REJECT.format(name="m04"), False),
        ("none", "refused 454", BYE, False),
        ("wrong", "login fails", FAILED, True),
        ("wrong", "login fails", f"{FAILED}, sasl_username=(unavailable)", True),
        ("wrong", "login fails", f"{FAILED}, sasl_username=u", False),
        ("bare", "login fails", f"{FAILED}, sasl_username=u", True),
        ("wrong", "login fails", LIMIT, True),
        ("wrong", "login fails", BYE, False),
        ("right", "no AUTH offered", BYE, True),
        ("right", "no AUTH offered", FAILED, False),
        ("right", "no AUTH offered", PLAIN, False),
    ],
)
def test_which_line_can_be_whose(login: str, result: str, text: str, fits: bool) -> None:
    found = telling_line(one(login, result), session("connect from c[10.87.3.20]", text))
    assert (found is not None) == fits
    assert found is None or found.text == text


def test_a_refusal_before_mail_is_told_by_the_last_line() -> None:
    early = one("none", "refused 454", banner=DENIED, ehlo=None, mail=None, rcpt=None)
    assert telling_line(early, session("connect from c[10.87.3.20]", BYE)) is not None


def test_the_matrix_shows_the_lines() -> None:
    plain = Matrix("after_login", FACTS, cells(), BEGAN, ENDED)
    assert "What each try left" not in plain.text()
    shown = plain.with_log(parse(RECORDED))
    assert shown.cell("client", 25, "none", "outside").entry
    assert "helo=<m01.handson.invalid>" in shown.text()
    assert "client=…[10.87.3.20], sasl_method=PLAIN" in shown.text()
    assert "16 tries left no line: Postfix never saw them." in shown.text()
    assert "helo=&lt;m01.handson.invalid&gt;" in shown.html()
    assert plain.cell("client", 25, "none", "outside").entry is None
    assert "not found" in plain.with_log([]).text()
