"""Each data/NAME.log has what must be read out of it in data/NAME.json."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

from handson.mail import log as maillog
from handson.mail import log_refusals, log_summary

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
    refusals = [asdict(refusal) for refusal in log_refusals.refusals(entries)]
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
    assert log_refusals.refusals([]) == []


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
    (refusal,) = log_refusals.refusals(
        log(
            "smtpd[1] NOQUEUE: reject: CONNECT from a[10.0.0.1]: 554 5.7.1 <a[10.0.0.1]>: Client "
            "host rejected: Access denied; proto=SMTP"
        )
    )
    assert (refusal.stage, refusal.sender, refusal.recipient) == ("CONNECT", "", "")
    assert refusal.reason == "Client host rejected: Access denied"


def test_bounce_has_an_empty_sender() -> None:
    (refusal,) = log_refusals.refusals(
        log(
            "smtpd[1] NOQUEUE: reject: RCPT from a[10.0.0.1]: 450 4.1.1 <x@example.org>: Recipient "
            "address rejected: unknown; from=<> to=<x@example.org> proto=ESMTP helo=<a>"
        )
    )
    assert (refusal.code, refusal.sender, refusal.recipient) == ("450", "", "x@example.org")


def test_warning_only_is_no_refusal() -> None:
    entries = log("smtpd[1] NOQUEUE: reject_warning: RCPT from a[10.0.0.1]: 554 5.7.1 no; from=<>")
    assert log_refusals.refusals(entries) == []


def test_details_of_one_session_do_not_leak_into_the_next() -> None:
    entries = log(
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] warning: SASL authentication failure: Password verification failed",
        "smtpd[1] disconnect from a[10.0.0.1]",
        "smtpd[1] connect from a[10.0.0.1]",
        "smtpd[1] warning: a[10.0.0.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
    )
    (refusal,) = log_refusals.refusals(entries)
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
    (refusal,) = log_refusals.refusals(entries)
    assert refusal.logged_in is None


# -- what newer, older and other Postfixes write -------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-25 02:21:15 relay postfix/qmgr[1]: 66857C01110: removed",
        "2026-11-25T02:21:15.123456+00:00 relay postfix/qmgr[1]: 66857C01110: removed",
        "2026-11-25T02:21:15+0000 relay postfix/qmgr[1]: 66857C01110: removed",
        "Nov 25 02:21:15.123456 relay postfix/qmgr[1]: 66857C01110: removed",
        "<22>Nov 25 02:21:15 relay postfix/qmgr[1]: 66857C01110: removed",
        "<22>2026-11-25T02:21:15Z relay postfix-out/qmgr[1]: 66857C01110: removed",
    ],
)
def test_stamps_of_every_source(line: str) -> None:
    (entry,) = maillog.parse(line)
    assert (entry.queue_id, entry.text, entry.service) == ("66857C01110", "removed", "qmgr")
    assert entry.line == line.removeprefix("<22>")
    like = datetime.fromisoformat("2026-11-25T02:21:14+00:00")
    assert 1 <= (maillog.moment(entry, like) - like).total_seconds() < 2


@pytest.mark.parametrize("program", ["postfix", "postmulti", "postmap", "postfix-script"])
def test_programs_without_an_instance(program: str) -> None:
    (entry,) = maillog.parse(f"Nov 25 02:21:15 relay {program}[12]: fatal: no main.cf")
    assert (entry.program, entry.service) == (program, program)
    (complaint,) = log_refusals.complaints([entry])
    assert complaint.service == program


def test_neighbours_of_postfix_are_passed_over() -> None:
    for program in ("postgrey", "postgres", "postfix_exporter", "dovecot", "sendmail"):
        assert maillog.parse(f"Nov 25 02:21:15 relay {program}[12]: warning: x") == []


@pytest.mark.parametrize("tls", ["dane", "may?", "may:none", "dane/!requiretls:nocertmatch"])
def test_delivery_with_tls_features(tls: str) -> None:
    (entry,) = log(
        "smtp[1] 7EE668039: to=<u@example.com>, relay=mail.example.com[192.0.2.4]:25, delay=3.6, "
        f"delays=0.08/0.02/0.85/0.14, tls={tls}, dsn=2.1.5, status=sent (250 2.0.0 Ok (really))"
    )
    found = maillog.delivery(entry.text)
    assert found is not None
    assert (found.relay, found.delay) == ("mail.example.com[192.0.2.4]:25", 3.6)
    assert found.delays == (0.08, 0.02, 0.85, 0.14)
    assert (found.dsn, found.status) == ("2.1.5", "sent")
    assert found.reason == "250 2.0.0 Ok (really)"


def test_delivery_of_an_old_postfix() -> None:
    found = maillog.delivery("to=<u@example.com>, relay=none, delay=7, status=deferred (no (x)")
    assert found is not None
    assert (found.delay, found.delays, found.dsn) == (7.0, (0.0,) * 4, "")
    assert found.reason == "no (x"


def test_delivery_to_an_address_without_brackets() -> None:
    found = maillog.delivery(
        "to=u@a.example.com, orig_to=root@localhost, relay=local, delay=0.07, "
        "delays=0.04/0/0/0.03, dsn=2.0.0, status=sent (delivered)"
    )
    assert found is not None and found.recipient == "u@a.example.com"


def refused(what: str, program: str = "smtpd") -> log_refusals.Refusal:
    (found,) = log_refusals.refusals(log(f"{program}[1] {what}"))
    return found


def test_refusal_with_commas_between_its_fields() -> None:
    found = refused(
        "NOQUEUE: reject: RCPT from [192.0.2.1]:2413: 550 5.7.1 Service unavailable; client "
        "[192.0.2.1] blocked using a.example; from=<a@x>, to=<b@y>, proto=SMTP, helo=<c>",
        "postscreen",
    )
    assert (found.sender, found.recipient, found.helo) == ("a@x", "b@y", "c")
    assert found.reason == "Service unavailable; client [192.0.2.1] blocked using a.example"


def test_refusal_without_a_code() -> None:
    found = refused("NOQUEUE: reject: CONNECT from [192.0.2.1]:1337: all server ports busy")
    assert (found.client, found.code, found.dsn) == ("[192.0.2.1]:1337", "", "")
    assert (found.stage, found.reason) == ("CONNECT", "all server ports busy")
    found = refused(
        "4104E3D: milter-reject: END-OF-MESSAGE from a[192.0.2.1]: 5.7.1 Blocked; "
        "from=<a@x> to=<b@y> proto=ESMTP helo=<c>",
        "cleanup",
    )
    assert (found.stage, found.code, found.dsn) == ("END-OF-MESSAGE", "", "5.7.1")
    assert (found.reason, found.recipient) == ("Blocked", "b@y")


def test_refusal_of_a_proxy_filter() -> None:
    found = refused(
        "proxy-reject: END-OF-MESSAGE: 554 5.7.0 Reject, id=3 - spam; from=<> to=<b@y> "
        "proto=SMTP helo=<[192.0.2.5]>"
    )
    assert (found.client, found.code, found.reason) == ("", "554", "Reject, id=3 - spam")
    assert (found.sender, found.recipient, found.helo) == ("", "b@y", "[192.0.2.5]")
    empty = refused("proxy-reject: END-OF-MESSAGE: ; from=<a@x> to=<b@y> proto=ESMTP helo=<c>")
    assert (empty.code, empty.reason, empty.sender) == ("", "", "a@x")


def test_refusal_of_a_header() -> None:
    found = refused(
        "4104E3D: reject: header Subject: win money from a[192.0.2.1]; from=<a@x> to=<b@y> "
        "proto=ESMTP helo=<c>: 5.7.1 no spam",
        "cleanup",
    )
    assert (found.stage, found.client, found.dsn) == ("header", "a[192.0.2.1]", "5.7.1")
    assert (found.reason, found.recipient) == ("no spam", "b@y")


def test_a_client_cannot_choose_its_sender_by_its_helo() -> None:
    found = refused(
        "NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 no; from=<a@x> to=<b@y> proto=ESMTP "
        "helo=<c from=<evil> to=<evil>>"
    )
    assert (found.sender, found.recipient) == ("a@x", "b@y")


def test_warning_that_names_a_queue_id_belongs_to_its_message() -> None:
    entries = log(
        "cleanup[1] 9BECF3F19D: message-id=<one@a>",
        "cleanup[1] warning: 9BECF3F19D: sender_canonical_maps map lookup problem for a@x",
    )
    (message,) = maillog.messages(entries)
    assert len(message.entries) == 2
    assert entries[1].line.endswith("cleanup[1]: warning: 9BECF3F19D: " + entries[1].text[21:])


def test_mail_from_sendmail_starts_a_message_of_its_own() -> None:
    entries = log(
        "cleanup[1] 66857C01110: message-id=<one@a>",
        "pickup[2] 66857C01110: uid=0 from=<root>",
        "cleanup[1] 66857C01110: message-id=<two@a>",
    )
    assert [message.message_id for message in maillog.messages(entries)] == ["<one@a>", "<two@a>"]


@pytest.mark.parametrize(
    ("stamp", "like", "expected"),
    [
        ("Dec 31 23:59:59", "2027-01-01T00:00:05", "2026-12-31T23:59:59"),
        ("Jan  1 00:00:01", "2026-12-31T23:59:00", "2027-01-01T00:00:01"),
        ("Feb 29 12:00:00", "2027-03-01T00:00:00", "2028-02-29T12:00:00"),
        ("Feb 29 12:00:00", "1900-03-01T00:00:00", "1896-02-29T12:00:00"),
        ("Nov 24 03:59:08", "2026-11-24T03:00:00", "2026-11-24T03:59:08"),
    ],
)
def test_year_of_a_stamp_without_one(stamp: str, like: str, expected: str) -> None:
    (entry,) = maillog.parse(f"{stamp} relay postfix/qmgr[1]: 66857C01110: removed")
    for zone in ("", "+09:00"):
        near = datetime.fromisoformat(like + zone)
        assert maillog.moment(entry, near) == datetime.fromisoformat(expected + zone)


@pytest.mark.parametrize("stamp", ["Feb 30 12:00:00", "Nov 24 25:00:00", "2026-02-30T12:00:00Z"])
def test_day_that_no_calendar_has_is_long_ago(stamp: str) -> None:
    (entry,) = maillog.parse(f"{stamp} relay postfix/qmgr[1]: 66857C01110: removed")
    assert maillog.moment(entry, datetime.fromisoformat("2026-01-01T00:00:00+09:00")).year == 1


# -- complaints ----------------------------------------------------------------

COMPLAINTS: list[tuple[str, dict[str, Any]]] = [
    (
        "smtpd[1] fatal: bad numerical configuration: smtpd_client_connection_count_limit = abc",
        {"level": "fatal", "parameters": ("smtpd_client_connection_count_limit",)},
    ),
    (
        'smtpd[1] warning: unknown smtpd restriction: "permit_foo"',
        {"level": "warning", "parameters": (), "service": "smtpd"},
    ),
    (
        "submission/smtpd[1] fatal: in parameter smtpd_relay_restrictions or "
        "smtpd_recipient_restrictions, specify at least one working instance of: "
        "reject_unauth_destination, defer_unauth_destination, reject or check_relay_domains",
        {
            "service": "submission/smtpd",
            "parameters": ("smtpd_relay_restrictions", "smtpd_recipient_restrictions"),
        },
    ),
    (
        "master[1] warning: /etc/postfix/main.cf, line 40: overriding earlier entry: relayhost=x",
        {"file": "/etc/postfix/main.cf", "line": 40, "parameters": ("relayhost",)},
    ),
    (
        "master[1] fatal: /etc/postfix/master.cf: line 20: bad field count",
        {"level": "fatal", "file": "/etc/postfix/master.cf", "line": 20},
    ),
    (
        "smtpd[1] error: open database /etc/postfix/x.db: No such file or directory",
        {"level": "error", "file": "/etc/postfix/x.db", "line": 0},
    ),
    (
        "smtpd[1] fatal: open lock file hash:/etc/postfix/y.lock: Permission denied",
        {"file": "/etc/postfix/y.lock"},
    ),
    (
        "master[1] warning: process /usr/lib/postfix/sbin/smtpd pid 12 exit status 1",
        {"file": "/usr/lib/postfix/sbin/smtpd", "client": ""},
    ),
    (
        "master[1] warning: /usr/lib/postfix/sbin/smtpd: bad command startup -- throttling",
        {"service": "master", "file": "/usr/lib/postfix/sbin/smtpd"},
    ),
    (
        "smtpd[1] fatal: parameter inet_interfaces: no local interface found for 192.0.2.1",
        {"parameters": ("inet_interfaces",), "client": ""},
    ),
    ("smtpd[1] fatal: bad parameter value for x", {"parameters": ()}),
    (
        "trivial-rewrite[1] warning: relay_domains lookup failure",
        {"parameters": ("relay_domains",)},
    ),
    ("local[1] warning: dict_nis_init: NIS domain name not set", {"parameters": ()}),
    ("smtpd[1] panic: vstream_buf_get_ready: bad", {"level": "panic"}),
    ("cleanup[1] 9BECF3F19D: warning: see http://example.com/x y", {"file": ""}),
    (
        "smtpd[1] NOQUEUE: reject: RCPT from a[192.0.2.1]: 451 4.3.5 <b@y>: Server configuration "
        "error; from=<a@x> to=<b@y> proto=ESMTP helo=<c>",
        {
            "level": "error",
            "text": "451 4.3.5 Server configuration error",
            "client": "a[192.0.2.1]",
        },
    ),
    (
        "smtpd[1] warning: a[2001:db8::1]: SASL PLAIN authentication failed: x, sasl_username=b",
        {"client": "a[2001:db8::1]", "parameters": ()},
    ),
    (
        "smtpd[1] warning: hostname a.example does not resolve to address 192.0.2.1",
        {"client": "192.0.2.1"},
    ),
]


@pytest.mark.parametrize(("line", "expected"), COMPLAINTS)
def test_complaint(line: str, expected: dict[str, Any]) -> None:
    (found,) = log_refusals.complaints(log(line))
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.pid, found.time) == (1, "Oct 21 02:21:14")


def test_what_is_no_complaint() -> None:
    entries = log(
        "smtpd[1] connect from a[192.0.2.1]",
        "smtpd[1] NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 <b@y>: Relay access denied",
        "cleanup[1] 9BECF3F19D: message-id=<fatal: error: warning:@x>",
        "master[1] daemon started -- version 3.7.2, configuration /etc/postfix",
    )
    assert log_refusals.complaints(entries) == []


# -- anything at all -----------------------------------------------------------

FUZZ = 100_000 if LONG else 5_000


def garbled(number: int) -> list[str]:
    """Lines of the recorded logs with parts put in, taken out, doubled and mixed."""
    chance = random.Random(number)
    lines = [line for path in LOGS for line in path.read_text().splitlines()]
    texts = [text for text, _expected in COMPLAINTS]
    bits = [*'<>[]():;,= /"\x00\x1c\x85\u2028\u0661\r\tÀ', "9" * 5000, "[" * 300, "_a" * 300]
    bits += [
        "to=<",
        ">, ",
        "relay=",
        "delays=1/2",
        "delay=1.2.3",
        "status=",
        "reject: ",
        "NOQUEUE: ",
    ]
    bits += ["warning: ", "sasl_username=", "size=", "nrcpt=", "client=", ", size=x", "; from=<"]
    made = []
    for _count in range(number):
        line = chance.choice(lines)
        if chance.random() < 0.05:
            line = "".join(map(chr, chance.choices(range(0xD800), k=chance.randrange(200))))
        if chance.random() < 0.3:
            line = f"Feb 29 02:21:14 relay postfix/{chance.choice(texts).replace(' ', ': ', 1)}"
        for _change in range(chance.randrange(6)):
            place, other = chance.randrange(len(line) + 1), chance.choice(lines)
            end = place + chance.randrange(40)
            line = chance.choice(
                [
                    line[:place] + chance.choice(bits) + line[place:],
                    line[:place] + line[end:],
                    line[:end] + line[place:],
                    line[:place] + other[chance.randrange(len(other)) :],
                ]
            )
        made.append(line)
    return made


def test_no_line_raises_an_error() -> None:
    like = datetime.fromisoformat("2026-11-24T03:09:43+00:00")
    lines = garbled(FUZZ)
    entries = maillog.parse("\n".join(lines))
    assert len(entries) > FUZZ / 4
    maillog.messages(entries)
    log_refusals.refusals(entries)
    log_refusals.complaints(entries)
    log_summary.LogSummary(log_summary.Summary().count(lines)).text()
    for queue_id in {entry.queue_id for entry in entries[:50]}:
        log_summary.trail(lines, queue_id)
    for entry in entries:
        assert entry.clock and maillog.parse_line(entry.line) is not None
        maillog.moment(entry, like)


@pytest.mark.parametrize(("counts", "helo"), [("noop=2 quit=1", "handson.invalid"), ("quit=1", "")])
def test_a_login_of_a_check_that_failed_is_told_apart(counts: str, helo: str) -> None:
    head = "2026-11-24T03:09:00.1+00:00 relay postfix/smtpd[7]: "
    lines = (
        "connect from c[10.87.3.20]",
        "warning: c[10.87.3.20]: SASL PLAIN authentication failed: authentication failure",
        f"disconnect from c[10.87.3.20] ehlo=1 auth=0/1 {counts} commands=3/4",
    )
    (found,) = log_refusals.refusals(maillog.parse("\n".join(head + line for line in lines)))
    assert (found.stage, found.helo) == ("AUTH", helo)
