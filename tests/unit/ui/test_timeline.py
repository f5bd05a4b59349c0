"""A message in the log, told line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handson.mail.log import Delivery, Entry, Message
from handson.mail.log_refusals import Refusal
from handson.mail.timeline import MessageTimeline, RefusalTable, _widths, explain

SENT = Delivery(
    recipient="friend@example.net",
    relay="example.net[203.0.113.25]:25",
    delay=1.2,
    delays=(0.06, 0.01, 0.43, 0.71),
    dsn="2.0.0",
    status="sent",
    reason="250 2.0.0 Ok",
)


def entry(program: str, text: str) -> Entry:
    return Entry("2025-11-24T02:21:14.12+00:00", "server", f"postfix/{program}", 7, "4F2A1", text)


MESSAGE = Message(
    queue_id="4F2A1",
    client="client[10.87.3.20]",
    sasl_method="PLAIN",
    sasl_username="smtp-auth@example.com",
    message_id="1@client",
    sender="hello@example.com",
    size=609,
    recipients=1,
    deliveries=(SENT,),
    is_removed=True,
    entries=(
        entry("submission/smtpd", "client=client[10.87.3.20], sasl_method=PLAIN, sasl_username=s"),
        entry("smtp", "to=<friend@example.net>, dsn=2.0.0, status=sent (250 2.0.0 Ok)"),
        entry("qmgr", "removed"),
    ),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("connect from client[10.87.3.20]", "connects"),
        ("disconnect from client[10.87.3.20] commands=6", "disconnects"),
        ("client=client[10.87.3.20], sasl_method=PLAIN, sasl_username=joe", "has logged in"),
        ("client=client[10.87.3.20]", "did not log in"),
        ("message-id=<1@client>", "may still break off"),
        ("from=<a@example.com>, size=609, nrcpt=1 (queue active)", "complete and in the queue"),
        ("to=<a@example.com>, dsn=2.0.0, status=sent (250 Ok)", "has accepted it"),
        ("to=<a@example.com>, status=deferred (connect to x: timed out)", "try again"),
        ("to=<a@example.com>, status=bounced (550)", "never"),
        ("connect to mx[2001:db8::1]:25: Network is unreachable", "no route to IPv6"),
        ("connect to mx[192.0.2.1]:25: Network is unreachable", "no route to that address"),
        ("connect to mx[192.0.2.1]:25: Connection refused", "refuses connections"),
        ("connect to mx[192.0.2.1]:25: Connection timed out", "did not answer"),
        ("NOQUEUE: reject: RCPT from x: 554 5.7.1", "Refused"),
        ("4F2A1: reject: RCPT from x: 554 5.7.1", "Refused"),
        ("warning: x[1.2.3.4]: SASL PLAIN authentication failed: ", "failed"),
        ("removed", "leaves the queue"),
    ],
)
def test_lines_are_explained(text: str, words: str) -> None:
    assert words in explain(entry("x", text))


def test_an_unknown_line_is_shown_as_it_is() -> None:
    odd = entry("smtpd", "something <new>")
    assert explain(odd) == ""
    shown = MessageTimeline(replace(MESSAGE, entries=(odd,)))
    assert "02:21:14  smtpd  something <new>" in shown.text()
    assert "something &lt;new&gt;" in shown.html()


def test_text_tells_lines_fields_and_delays() -> None:
    text = MessageTimeline(MESSAGE).text()
    assert text.startswith("Message 4F2A1\n02:21:14  submission/smtpd  The client has logged in")
    assert "sasl_username  smtp-auth@example.com" in text
    assert "Delay to friend@example.net: 1.2 s" in text
    for letter, seconds in zip("abcd", ("0.06", "0.01", "0.43", "0.71"), strict=True):
        assert f"  {letter}    {seconds} s  " in text


def test_html_has_a_picture_for_each_delivery() -> None:
    two = replace(MESSAGE, deliveries=(SENT, replace(SENT, recipient="b@example.net")))
    html = MessageTimeline(two).html()
    assert html.count('<img class="picture"') == 2
    assert "c 0.43 s setting up the connection" in html


def test_nobody_logged_in_is_said() -> None:
    fields = MessageTimeline(replace(MESSAGE, sasl_method="", sasl_username="")).fields
    assert fields[0][:2] == ("sasl_username", "–")
    assert "nobody" in fields[0][2]


@pytest.mark.parametrize(
    ("status", "dsn", "meaning"),
    [
        ("sent", "2.0.0", "success"),
        ("deferred", "4.4.1", "temporary"),
        ("bounced", "5.1.1", "permanent"),
    ],
)
def test_status_and_dsn_are_explained(status: str, dsn: str, meaning: str) -> None:
    shown = MessageTimeline(replace(MESSAGE, deliveries=(replace(SENT, status=status, dsn=dsn),)))
    by_name = {name: meaning for name, _value, meaning in shown.fields}
    assert by_name["status"]
    assert meaning in by_name["dsn"]


def test_the_parts_of_the_bar_fill_it() -> None:
    widths = _widths(SENT.delays, 724)
    assert sum(widths) == pytest.approx(724)
    assert widths[3] > widths[2] > widths[0] > widths[1] >= 10
    assert _widths((0, 0, 0, 0), 724) == [181] * 4


def test_refusals() -> None:
    refused = Refusal(
        time="Nov 24 02:20:01",
        client="client[10.87.3.20]",
        port_service="submission/smtpd",
        code="554",
        dsn="5.7.1",
        reason="Client host rejected: <Access> denied",
        sender="a@example.com",
        recipient="b@example.net",
        stage="RCPT",
        sasl_username="",
        logged_in=False,
    )
    in_ = replace(refused, sasl_username="joe@example.com", logged_in=True)
    table = RefusalTable([refused, in_, replace(refused, logged_in=None)], title="Refused")
    rows = table.text().splitlines()
    assert rows[0] == "Refused"
    assert rows[3].startswith("02:20:01  submission/smtpd  client[10.87.3.20]  RCPT  554 5.7.1")
    assert rows[3].endswith("no")
    assert rows[4].endswith("joe@example.com")
    assert rows[5].endswith("not in the log")
    assert "&lt;Access&gt;" in table.html()


def test_no_refusals() -> None:
    assert "No attempt was refused." in RefusalTable([]).text()
