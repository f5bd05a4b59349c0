"""The verdict: what broke off where, how the newest message ended, and whose cause it is."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from handson.course.checks import Finding, Rule, not_logged
from handson.diagnosis import own_words
from handson.diagnosis.cause import Diagnosis, Link
from handson.diagnosis.chain import up_to
from handson.diagnosis.verdict import UNKNOWN, Try, Verdict, broken_at, newest_message
from handson.mail.log import parse
from handson.mail.mailrc import Mailrc, ProgramTry
from handson.mail.remote.dialogue import NO_ANSWER
from handson.mail.smtp import Dialogue, Reply

CLIENT = "10.87.3.20"
HELLO = Reply(220, "mail.example.com ESMTP")
EHLO = Reply(250, "mail.example.com\nAUTH PLAIN")
GOOD = Reply(235, "2.7.0 Authentication successful")
OK = Reply(250, "2.1.5 Ok")


def said(**replies: Any) -> Dialogue:
    known = {"connected": "open", "banner": HELLO, "ehlo": EHLO, **replies}
    return Dialogue("10.87.2.44", 25, "a@example.com", "b@example.net", "", "x", **known)


@pytest.mark.parametrize(
    ("dialogue", "with_login", "without"),
    [
        (said(connected="timed out", banner=None, ehlo=None), Link.PACKET, Link.PACKET),
        (said(connected="refused", banner=None, ehlo=None), Link.LISTENS, Link.LISTENS),
        (said(banner=None, ehlo=None), Link.GREETS, Link.GREETS),
        # Refused at the greeting: an answer, but none that lets one log in.
        (said(banner=Reply(554, "5.7.1 no"), ehlo=None), Link.GREETS, None),
        (said(rcpt=Reply(554, "5.7.1 Relay access denied")), Link.LOGIN, None),
        (said(rcpt=Reply(451, "4.3.5 Server configuration error")), Link.LOGIN, Link.RESTRICTIONS),
        (said(error="no answer"), Link.LOGIN, Link.RESTRICTIONS),
        (said(auth=GOOD, rcpt=Reply(554, "5.7.1 no")), Link.RESTRICTIONS, None),
        (said(auth=GOOD, rcpt=OK), None, None),
    ],
)
def test_where_a_dialogue_broke_off(
    dialogue: Dialogue, with_login: Link | None, without: Link | None
) -> None:
    assert broken_at(dialogue) == with_login
    assert broken_at(dialogue, login=False) == without


QUEUED = (
    f"submission/smtpd[1]: A1B2C3D4: client=c[{CLIENT}], sasl_method=PLAIN, sasl_username=u",
    "cleanup[2]: A1B2C3D4: message-id=<1@example.com>",
)
ACTIVE = "qmgr[3]: A1B2C3D4: from=<a@example.com>, size=500, nrcpt=1 (queue active)"
TO = "smtp[4]: A1B2C3D4: to=<b@example.net>, relay=r, delay=1, delays=0/0/0/1, dsn=2.0.0, status="
SENT, DEFERRED = f"{TO}sent (250 Ok)", f"{TO}deferred (unknown mail transport error)"
HEADER = (
    f"cleanup[2]: B1B2C3D4: reject: header Subject: x from c[{CLIENT}]; from=<a> to=<b> "
    "proto=ESMTP helo=<c>: 5.7.1 no"
)
DATA = f"submission/smtpd[1]: A1B2C3D5: reject: END-OF-MESSAGE from c[{CLIENT}]: 552 5.3.4 too big"
NOT_ACCEPTED = (
    "cleanup[2]: warning: A1B2C3D4: header_checks map lookup problem -- message not accepted, "
    "try again later"
)
LATER = "anvil[5]: statistics"


def log(*lines: str) -> Any:
    times = [8 if line == LATER else 0 for line in lines]
    return parse(
        "\n".join(
            f"2026-11-24T03:09:{second:02}.0+00:00 relay postfix/{line}"
            for second, line in zip(times, lines, strict=True)
        )
    )


@pytest.mark.parametrize(
    ("lines", "is_well", "seen"),
    [
        ((*QUEUED, ACTIVE, SENT), True, "status=sent"),
        ((*QUEUED, ACTIVE, DEFERRED), False, "status=deferred (unknown mail transport error)"),
        ((*QUEUED, ACTIVE, DEFERRED, SENT), True, "status=sent"),
        ((*QUEUED, ACTIVE, LATER), False, "A1B2C3D4: queued at 03:09:00; no delivery is in"),
        ((HEADER,), False, "reject: header Subject: x"),
        ((*QUEUED, ACTIVE, SENT, HEADER), False, "reject: header Subject: x"),
        ((*QUEUED, ACTIVE, SENT, DATA), False, "552 5.3.4 too big"),
        ((HEADER, *QUEUED, ACTIVE, SENT), True, "status=sent"),
        ((QUEUED[0], NOT_ACCEPTED), False, "header_checks map lookup problem"),
    ],
)
def test_how_the_newest_message_ended(lines: tuple[str, ...], is_well: bool, seen: str) -> None:
    found = newest_message(log(*lines), CLIENT)
    assert found and found.is_well is is_well
    assert seen in found.seen


@pytest.mark.parametrize(
    "lines", [(), (*QUEUED, ACTIVE), QUEUED[:1], (DATA.replace("3.20", "3.9"),)]
)
def test_no_message_whose_end_is_known(lines: tuple[str, ...]) -> None:
    assert newest_message(log(*lines), CLIENT) is None


# --- the cause of a rule ---


def known(id: str) -> Diagnosis:
    return Diagnosis(id, "seen", "why", "do", "https://m")


def judged(**by_port: Diagnosis) -> Any:
    tries = tuple(Try("t", "s", Link.GREETS, int(port[1:])) for port in by_port)
    found = list(by_port.values())
    ports = {int(port[1:]): one for port, one in by_port.items()}
    return SimpleNamespace(verdict=Verdict(tries, found[0], tuple(found[1:]), ports))


def rule(*causes: str, cause: str = "") -> Rule:
    finding = Finding(False, "e", cause)
    return Rule("r", "It is.", "https://m", "now", lambda _: finding, causes)


AT_587, AT_25 = up_to(Link.LOGIN), up_to(Link.GREETS, 25)


def test_each_port_has_its_own_cause() -> None:
    observed = judged(p587=known("port-closed"), p25=known(UNKNOWN))
    assert rule(*AT_587).apply(observed).cause_id == "port-closed"
    assert rule(*AT_25).apply(observed).cause_id == UNKNOWN


def test_a_rule_that_knows_why_keeps_its_own_words() -> None:
    result = rule(*AT_587, cause="the rule's own").apply(judged(p587=known(UNKNOWN)))
    assert (result.cause_id, result.cause) == ("", "the rule's own")


def test_no_other_cause_is_looked_for_behind_a_try_that_went_wrong() -> None:
    # This observation knows nothing that could be asked: looking for a cause would raise.
    result = rule(*AT_25).apply(judged(p587=known("port-closed")))
    assert (result.cause_id, result.evidence) == ("", "e")


# --- "not yet" ---


def logged(start: int | None, begun: int | None) -> Finding:
    def at(hour: int | None) -> datetime | None:
        return None if hour is None else datetime(2026, 11, 24, hour, tzinfo=UTC)

    system = SimpleNamespace(log_source="/var/log/mail.log")
    observed: Any = SimpleNamespace(
        server=SimpleNamespace(system=system),
        entries=[1, 2],
        log_start=at(start),
        begun=lambda slug: at(begun),
    )
    return not_logged(observed, "06_mailx_test", "reject:", "Not yet.", "do")


def test_not_yet_is_said_of_a_log_that_holds_the_whole_step() -> None:
    found = logged(start=3, begun=4)
    assert not found.ok and found.cause == "Not yet."
    assert found.evidence == "reject: in /var/log/mail.log: no such line among 2 of Postfix"


@pytest.mark.parametrize(("start", "begun"), [(5, 4), (None, 4), (3, None)])
def test_not_yet_is_not_said_of_a_log_that_may_lack_lines(
    start: int | None, begun: int | None
) -> None:
    found = logged(start, begun)
    assert "not in the log" in found.cause
    assert ("begins at" in found.evidence) is (start is not None)


# --- the server's own words ---


def words(*lines: str) -> str:
    settings = SimpleNamespace(client_ip=CLIENT)
    found = own_words.newest(SimpleNamespace(recent=log(*lines), settings=settings))  # type: ignore[arg-type]
    return found.complaint.text if found else ""


FATAL = "master[1]: fatal: open /etc/postfix/master.cf: No such file or directory"
STOPPED = "postfix-script[2]: fatal: the Postfix mail system is not running"
EXITED = "master[1]: warning: process /usr/lib/postfix/sbin/cleanup pid 7 exit status 1"
OTHERS = "smtp[3]: warning: no MX host for example.org has a valid address record"


def test_a_command_about_master_says_less_than_master() -> None:
    assert words(FATAL, STOPPED).startswith("open /etc/postfix/master.cf")
    assert words(STOPPED) == "the Postfix mail system is not running"


def test_only_master_warns_of_what_has_not_spoken_with_the_client() -> None:
    assert words(EXITED).startswith("process /usr/lib/postfix/sbin/cleanup")
    assert words(OTHERS) == ""


def test_the_mail_program_is_not_started_where_no_answer_comes() -> None:
    # There is no host: starting a program on it would raise.
    waiting = Mailrc(mode="0600", dialogue=said(auth=GOOD, error=NO_ANSWER))
    found = ProgramTry.make(None, waiting, "10.87.2.44", "a@example.com", "b@example.net")  # type: ignore[arg-type]
    assert (found.command, found.is_accepted) == ("", False)
    assert found.answer == "10.87.2.44:25 broke off: no answer."


# --- the server's own words ---

FAILED = "submission/smtpd[1]: warning: SASL authentication failure: Password verification failed"
NO_MECH = "submission/smtpd[1]: warning: SASL authentication failure: Couldn't find mech CRAM-MD5"
FROM = f"submission/smtpd[1]: connect from c[{CLIENT}]"


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        ("502 5.5.1 Error: command not implemented", []),
        ("535 5.7.8 Error: authentication failed: no mechanism available", ["CRAM-MD5"]),
    ],
)
def test_what_is_logged_of_another_login_is_not_quoted(seen: str, lines: list[str]) -> None:
    observed: Any = SimpleNamespace(
        recent=log(FROM, FAILED, NO_MECH), settings=SimpleNamespace(client_ip=CLIENT)
    )
    found = own_words.newest(observed, seen)
    assert [line.rpartition(" ")[2] for line in (found.lines if found else ())] == lines


@pytest.mark.parametrize(
    ("output", "is_accepted", "is_answered"),
    [
        ("s-nail: SMTP server: 401 4.1.3 Bad recipient address syntax", True, True),
        ("s-nail: SMTP server: 501 5.1.3 Bad recipient address syntax", True, True),
        ("s-nail: SMTP server: 502 5.5.1 Error: command not implemented", False, True),
        ("s-nail: Could not connect(2): Network is unreachable", False, False),
    ],
)
def test_what_the_mail_program_met(output: str, is_accepted: bool, is_answered: bool) -> None:
    found = ProgramTry("s-nail …", 4, output, "handson-1")
    assert found.is_accepted is is_accepted
    assert found.is_answered is is_answered
