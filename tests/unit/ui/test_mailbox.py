"""A mail as it arrived, and the way it took."""

from __future__ import annotations

import random

import pytest
from waiting import LONG

from handson.mail.received import Hop, ReceivedMail

RAW = """Return-Path: <hello@example.com>
Received: from server (server.example.com [203.0.113.10])
\tby mailbox.example.net (Postfix) with ESMTP id 7C1E3
\tfor <friend@example.net>; Mon, 24 Nov 2025 02:21:15 +0000 (UTC)
Received: from client (client [10.87.3.20])
\t(Authenticated sender: smtp-auth@example.com)
\tby server.example.com (Postfix) with ESMTPA id 4F2A1
\tfor <friend@example.net>; Mon, 24 Nov 2025 02:21:14 +0000 (UTC)
Date: Mon, 24 Nov 2025 02:21:14 +0000
From: hello@example.com
To: friend@example.net
Subject: Relay <Success> via 587

smtp-handson
"""


def test_headers_and_body() -> None:
    mail = ReceivedMail(RAW)
    assert mail.subject == "Relay <Success> via 587"
    assert (mail.sender, mail.recipient) == ("hello@example.com", "friend@example.net")
    assert mail.date == "Mon, 24 Nov 2025 02:21:14 +0000"
    assert mail.body == "smtp-handson"


def test_hops_in_the_order_of_travel() -> None:
    first, second = ReceivedMail(RAW).hops
    assert (first.given_by, first.taken_by, first.address) == (
        "client",
        "server.example.com",
        "10.87.3.20",
    )
    assert (first.protocol, first.queue_id) == ("ESMTPA", "4F2A1")
    assert first.time == "Mon, 24 Nov 2025 02:21:14 +0000 (UTC)"
    assert first.is_authenticated
    assert "had logged in" in first.explanation
    assert second.taken_by == "mailbox.example.net"
    assert not second.is_authenticated
    assert "nobody" in second.explanation
    assert ReceivedMail(RAW).is_authenticated


@pytest.mark.parametrize(
    ("protocol", "authenticated"),
    [
        ("SMTP", False),
        ("ESMTP", False),
        ("ESMTPA", True),
        ("ESMTPS", False),
        ("ESMTPSA", True),
        ("UTF8SMTPSA", True),
        ("LMTPA", False),
    ],
)
def test_protocols_of_rfc_3848(protocol: str, authenticated: bool) -> None:
    hop = Hop.parse(f"from a (a [192.0.2.1]) by b with {protocol} id 1; now")
    assert hop.is_authenticated is authenticated


def test_a_local_hop() -> None:
    hop = Hop.parse("by server.example.com (Postfix, from userid 0) id 4F; now")
    assert hop.explanation == "server.example.com accepted it from a program on the same machine."


def test_a_mail_without_a_login() -> None:
    assert not ReceivedMail(RAW.replace("ESMTPA", "ESMTP")).is_authenticated


@pytest.mark.parametrize("raw", [RAW, RAW.encode(), "From a@b Mon Nov 24\n" + RAW])
def test_text(raw: str | bytes) -> None:
    text = ReceivedMail(raw).text()
    assert text.startswith("Subject:         Relay <Success> via 587\nEnvelope sender: <hello@")
    assert "\n    smtp-handson\n" in text
    assert "\n1. server.example.com accepted it from client [10.87.3.20] with ESMTPA: the A" in text


def test_the_envelope_sender_is_shown_where_it_differs_from_the_header() -> None:
    mail = ReceivedMail("Return-Path: <bounces@example.com>\nFrom: a@example.com\n\nHi\n")
    assert mail.envelope_sender == "<bounces@example.com>"
    assert "Envelope sender: <bounces@example.com>" in mail.text()
    assert "Envelope sender" not in ReceivedMail("From: a@example.com\n\nHi\n").text()


def test_html_is_escaped() -> None:
    html = ReceivedMail(RAW).html()
    assert "<Success>" not in html
    assert '<b class="good">ESMTPA</b>' in html


def test_encoded_words_and_bodies_are_read() -> None:
    raw = (
        "Subject: =?utf-8?B?44Oh44O844Or?=\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        "44GT44KT44Gr44Gh44Gv\n"
    )
    mail = ReceivedMail(raw)
    assert (mail.subject, mail.body) == ("メール", "こんにちは")


def test_an_unknown_charset_and_an_empty_mail() -> None:
    odd = "Content-Type: text/plain; charset=nonsense\n\nhello\n"
    assert ReceivedMail(odd).body == "hello"
    empty = ReceivedMail("")
    assert (empty.subject, empty.body, empty.hops) == ("", "", ())


def test_a_mail_with_html_only_has_no_text() -> None:
    assert ReceivedMail("Content-Type: text/html\n\n<p>x</p>\n").body == ""


@pytest.mark.parametrize("value", ["<", "a@b.c <", '"', "(", "=?utf-8?q?", "a <b@c", "\udcff<"])
def test_a_malformed_header_is_shown_raw(value: str) -> None:
    mail = ReceivedMail(f"Subject: x\r\nFrom: {value}\r\nTo: {value}\r\n\r\nHi\r\n")
    assert mail.body == "Hi" and mail.subject == "x"
    if value in ("<", '"'):
        assert mail.sender == mail.recipient == value
    f"{mail.text()}{mail.html()}".encode()


def test_no_header_raises() -> None:
    draw = random.Random(7)
    names = ("From", "To", "Subject", "Date", "Received", "Content-Type", "MIME-Version")
    names += ("Content-Transfer-Encoding", "Content-Disposition")
    parts = [*"<>@\"();:,=?*'/ \t.a1é\0[]", "=?utf-8?b?", "text/plain", "multipart/mixed", "base64"]
    parts += ["charset=", "boundary=", "; name*0*=", "quoted-printable", "x@y.z", " from a by b; "]
    for _number in range(20_000 if LONG else 500):
        headers = [
            f"{draw.choice(names)}: {''.join(draw.choices(parts, k=draw.randrange(8)))}"
            for _header in range(draw.randrange(1, 5))
        ]
        raw = "\r\n".join([*headers, "", "Hi", "=?", ""])
        mail = ReceivedMail(raw)
        try:
            f"{mail.text()}{mail.html()}".encode()
        except Exception as error:
            raise AssertionError(repr(raw)) from error
