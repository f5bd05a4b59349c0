"""Each data/NAME.log has what must be read out of it in data/NAME.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from handson.mail import log as maillog

DATA = Path(__file__).parent / "data"
LOGS = sorted(DATA.glob("*.log"))


def read_out(text: str) -> dict[str, Any]:
    """What the parser makes of a log; entries as numbers of lines of the log."""
    entries = maillog.parse(text)
    lines = text.splitlines()
    messages = []
    for message in maillog.messages(entries):
        fields = asdict(message)
        fields["entries"] = [lines.index(entry.line) + 1 for entry in message.entries]
        messages.append(fields)
    refusals = [asdict(refusal) for refusal in maillog.refusals(entries)]
    plain: dict[str, Any] = json.loads(json.dumps({"messages": messages, "refusals": refusals}))
    return plain


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_log_is_read_as_recorded(log: Path) -> None:
    expected = json.loads(log.with_suffix(".json").read_text())
    assert read_out(log.read_text()) == expected


def test_there_are_logs_of_every_system() -> None:
    assert {log.stem.split("-")[0] for log in LOGS} == {"al2", "debian12", "journal"}


LOGIN = "sasl_method=PLAIN, sasl_username=smtp-auth@example.com"


def log(*lines: str) -> list[maillog.Entry]:
    """Entries out of 'program[pid] text' lines."""
    pairs = (line.split(" ", 1) for line in lines)
    text = "\n".join(f"Oct 21 02:21:14 relay postfix/{who}: {what}" for who, what in pairs)
    entries = maillog.parse(text)
    assert len(entries) == len(lines)
    return entries


def test_entry_keeps_what_was_logged() -> None:
    line = "2026-11-24T02:56:04.123456Z relay postfix/submission/smtpd[123]: connect from a[::1]"
    (entry,) = maillog.parse(line)
    assert entry.program == "postfix/submission/smtpd"
    assert (entry.pid, entry.queue_id, entry.clock) == (123, "", "02:56:04")
    assert entry.line == line


def test_day_of_one_digit() -> None:
    (entry,) = maillog.parse("Oct  1 02:21:14 relay postfix/qmgr[1]: 66857C01110: removed")
    assert entry.time == "Oct  1 02:21:14"
    assert entry.queue_id == "66857C01110"


def test_words_are_not_queue_ids() -> None:
    entries = log(
        "smtpd[1] warning: something", "anvil[2] statistics: max", "smtpd[1] NOQUEUE: reject: x"
    )
    assert {entry.queue_id for entry in entries} == {""}


def test_nothing_to_read() -> None:
    assert maillog.parse("") == []
    assert maillog.parse("-- No entries --\nOct 21 02:21:14 h sshd[1]: hello") == []
    assert maillog.messages([]) == []
    assert maillog.refusals([]) == []


def test_queue_id_used_twice_makes_two_messages() -> None:
    entries = log(
        "cleanup[1] 66857C01110: message-id=<one@a>",
        "qmgr[2] 66857C01110: from=<a@example.com>, size=1, nrcpt=1 (queue active)",
        "qmgr[2] 66857C01110: removed",
        "cleanup[1] 66857C01110: message-id=<two@a>",
        "qmgr[2] 66857C01110: from=<b@example.com>, size=2, nrcpt=1 (queue active)",
    )
    first, second = maillog.messages(entries)
    assert (first.message_id, first.sender, first.is_removed) == ("<one@a>", "a@example.com", True)
    assert (second.message_id, second.sender, second.is_removed) == (
        "<two@a>",
        "b@example.com",
        False,
    )


def test_queue_id_of_a_given_up_transaction_is_not_mixed_with_the_next() -> None:
    entries = log(
        "smtpd[1] connect from a[10.0.0.1]",
        f"smtpd[1] 66857C01110: client=a[10.0.0.1], {LOGIN}",
        "smtpd[1] disconnect from a[10.0.0.1]",
        "smtpd[3] connect from b[10.0.0.2]",
        "smtpd[3] 66857C01110: client=b[10.0.0.2]",
        "cleanup[4] 66857C01110: message-id=<x@b>",
    )
    (message,) = maillog.messages(entries)
    assert message.client == "b[10.0.0.2]"
    assert not message.is_authenticated
    assert [entry.pid for entry in message.entries] == [3, 3, 4]


def test_two_messages_of_one_session_share_its_ends() -> None:
    entries = log(
        "smtpd[1] connect from a[10.0.0.1]",
        f"smtpd[1] 66857C01110: client=a[10.0.0.1], {LOGIN}",
        "cleanup[2] 66857C01110: message-id=<one@a>",
        "smtpd[9] connect from z[10.0.0.9]",
        f"smtpd[1] 7777777777A: client=a[10.0.0.1], {LOGIN}",
        "cleanup[2] 7777777777A: message-id=<two@a>",
        "smtpd[1] disconnect from a[10.0.0.1]",
        "smtpd[9] disconnect from z[10.0.0.9]",
    )
    for message in maillog.messages(entries):
        assert message.entries[0].text == "connect from a[10.0.0.1]"
        assert message.entries[-1].text == "disconnect from a[10.0.0.1]"
        assert len(message.entries) == 4


def test_unreachable_address_belongs_to_the_delivery_of_the_same_process() -> None:
    entries = log(
        "cleanup[1] 66857C01110: message-id=<one@a>",
        "cleanup[1] 7777777777A: message-id=<two@a>",
        "smtp[5] connect to mx.example.net[2001:db8::1]:25: Network is unreachable",
        "smtp[6] 66857C01110: to=<x@example.org>, relay=none, delay=1, delays=0/0/1/0, "
        "dsn=4.4.1, status=deferred (no)",
        "smtp[5] 7777777777A: to=<y@example.net>, relay=mx[198.51.100.1]:25, delay=1, "
        "delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok (really))",
    )
    first, second = maillog.messages(entries)
    assert [entry.pid for entry in first.entries] == [1, 6]
    assert [entry.pid for entry in second.entries] == [1, 5, 5]
    assert second.deliveries[0].reason == "250 ok (really)"
    assert second.is_sent
    assert not first.is_sent


def test_later_success_makes_up_for_an_earlier_deferral() -> None:
    common = (
        "66857C01110: to=<x@example.org>, orig_to=<y>, relay=r, conn_use=2, delay=1, delays=0/0/1/0"
    )
    entries = log(
        "qmgr[2] 66857C01110: from=<b@example.com>, size=2, nrcpt=1 (queue active)",
        f"smtp[6] {common}, dsn=4.4.1, status=deferred (no)",
        "qmgr[2] 66857C01110: from=<b@example.com>, size=2, nrcpt=1 (queue active)",
        f"smtp[6] {common}, dsn=2.0.0, status=sent (yes)",
    )
    (message,) = maillog.messages(entries)
    assert [delivery.status for delivery in message.deliveries] == ["deferred", "sent"]
    assert message.is_sent


def test_refusal_at_connect_has_no_addresses() -> None:
    (refusal,) = maillog.refusals(
        log(
            "smtpd[1] NOQUEUE: reject: CONNECT from a[10.0.0.1]: 554 5.7.1 <a[10.0.0.1]>: Client "
            "host rejected: Access denied; proto=SMTP"
        )
    )
    assert (refusal.stage, refusal.sender, refusal.recipient) == ("CONNECT", "", "")
    assert refusal.reason == "Client host rejected: Access denied"


def test_bounce_has_an_empty_sender() -> None:
    (refusal,) = maillog.refusals(
        log(
            "smtpd[1] NOQUEUE: reject: RCPT from a[10.0.0.1]: 450 4.1.1 <x@example.org>: Recipient "
            "address rejected: unknown; from=<> to=<x@example.org> proto=ESMTP helo=<a>"
        )
    )
    assert (refusal.code, refusal.sender, refusal.recipient) == ("450", "", "x@example.org")


def test_warning_only_is_no_refusal() -> None:
    entries = log("smtpd[1] NOQUEUE: reject_warning: RCPT from a[10.0.0.1]: 554 5.7.1 no; from=<>")
    assert maillog.refusals(entries) == []


def test_details_of_one_session_do_not_leak_into_the_next() -> None:
    entries = log(
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] warning: SASL authentication failure: Password verification failed",
        "smtpd[1] disconnect from a[10.0.0.1]",
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] warning: a[10.0.0.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    )
    (refusal,) = maillog.refusals(entries)
    assert refusal.details == ()
    assert (refusal.code, refusal.reason) == ("535", "UGFzc3dvcmQ6")


def test_client_line_without_its_connect_line() -> None:
    entries = log(
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] disconnect from a[10.0.0.1]",
        f"smtpd[1] 66857C01110: client=b[10.0.0.2], {LOGIN}",
        "cleanup[2] 66857C01110: message-id=<one@a>",
    )
    (message,) = maillog.messages(entries)
    assert [entry.pid for entry in message.entries] == [1, 2]


def test_login_of_a_later_session_does_not_count() -> None:
    entries = log(
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] NOQUEUE: reject: RCPT from a[10.0.0.1]: 554 5.7.1 no; proto=ESMTP helo=<a>",
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] disconnect from a[10.0.0.1] ehlo=1 auth=1 commands=2",
    )
    (refusal,) = maillog.refusals(entries)
    assert refusal.logged_in is None
