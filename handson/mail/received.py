"""A message in the recipient's mailbox, with the way that it took."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.message import EmailMessage

from handson.hosts.host import Host
from handson.i18n import _
from handson.polling import wait_for
from handson.ui.view import Note, View, escape

# What the email package raises at headers that are none, such as a From that ends in "<".
MALFORMED = (LookupError, ValueError, AttributeError, TypeError, AssertionError, MessageError)


@dataclass(frozen=True)
class Hop:
    """One `Received:` line: who accepted the message from whom, and how (RFC 5321, section 4.4).

    `protocol` is the word after 'with' (RFC 3848): an A in ESMTPA says that the sender had
    logged in, an S that the connection was encrypted.

    >>> hop = Hop.parse("from pc (pc [10.0.0.9]) by mx.example (Postfix) with ESMTPA id 4F2; "
    ...                 "Mon, 24 Nov 2025 10:00:00 +0000")
    >>> hop.taken_by, hop.given_by, hop.address, hop.is_authenticated
    ('mx.example', 'pc', '10.0.0.9', True)
    """

    given_by: str
    address: str
    taken_by: str
    protocol: str
    queue_id: str
    time: str

    @classmethod
    def parse(cls, line: str) -> Hop:
        flat = " ".join(line.split())
        words, _semicolon, time = flat.rpartition(";")
        words = words or flat

        # A comment in brackets may hold the same keywords: "(Postfix, from userid 0)".
        bare = re.sub(r"\([^()]*\)", " ", words)

        def after(keyword: str) -> str:
            found = re.search(rf"(?:^|\s){keyword}\s+([^\s;]+)", bare)
            return found.group(1) if found else ""

        address = re.search(r"\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]", words)
        return cls(
            given_by=after("from"),
            address=address.group(1) if address else "",
            taken_by=after("by"),
            protocol=after("with"),
            queue_id=after("id"),
            time=time.strip(),
        )

    @property
    def is_authenticated(self) -> bool:
        return bool(re.fullmatch(r"(UTF8)?E?SMTPS?A", self.protocol))

    @property
    def explanation(self) -> str:
        """What the line says, in one or two sentences."""
        if not self.given_by:
            return _("{taken_by} accepted it from a program on the same machine.").format(
                taken_by=self.taken_by
            )
        sentence = _("{taken_by} accepted it from {given_by} [{address}] with {protocol}").format(
            taken_by=self.taken_by,
            given_by=self.given_by,
            address=self.address or "?",
            protocol=self.protocol or "SMTP",
        )
        if self.is_authenticated:
            return sentence + _(": the A means that the sender had logged in.")
        return sentence + _(": no A, so nobody had logged in on this hop.")


class ReceivedMail(View):
    """A raw message (RFC 5322) shown with its `Received:` lines explained.

    >>> mail = ReceivedMail("Subject: Hello\\r\\nFrom: a@example.com\\r\\n\\r\\nHi\\r\\n")
    >>> mail.subject, mail.body, mail.is_authenticated
    ('Hello', 'Hi', False)
    """

    def __init__(self, raw: str | bytes) -> None:
        data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
        if data.startswith(b"From "):  # the line that an mbox puts before a message
            data = data.partition(b"\n")[2]
        message = email.message_from_bytes(data, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.message, self._raw = message, data.replace(b"\r\n", b"\n")

    @property
    def sender(self) -> str:
        return self._header("From")

    @property
    def envelope_sender(self) -> str:
        """What the last server was given at MAIL FROM (RFC 5321, 4.4); '' where it is not told."""
        return self._header("Return-Path")

    @property
    def recipient(self) -> str:
        return self._header("To")

    @property
    def subject(self) -> str:
        return self._header("Subject")

    @property
    def date(self) -> str:
        return self._header("Date")

    @property
    def body(self) -> str:
        """The plain text; empty for a mail that has none."""
        try:
            part = self.message.get_body(("plain",))
            if part is None:
                return ""
            content, charset = part.get_payload(decode=True), part.get_content_charset()
        except MALFORMED:
            content, charset = self._raw.partition(b"\n\n")[2], None
        try:
            words = bytes(content).decode(charset or "utf-8", "replace")
        except (LookupError, ValueError):
            words = bytes(content).decode("latin-1")
        return words.replace("\r\n", "\n").strip("\n")

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The way of the mail, first hop first (the lines stand in the opposite order)."""
        lines = [value for name, value in self._raw_headers if name == "received"]
        return tuple(Hop.parse(line) for line in reversed(lines))

    @property
    def is_authenticated(self) -> bool:
        """Return whether some hop accepted the message from a sender who had logged in."""
        return any(hop.is_authenticated for hop in self.hops)

    def text(self) -> str:
        names = self._names()
        width = max(len(name) for name, _value in names) + 1
        lines = [f"{name + ':':<{width}} {value}" for name, value in names]
        lines += ["", *(f"    {line}".rstrip() for line in self.body.splitlines())]
        if self.hops:
            lines += ["", _("The way it took:")]
            lines += [f"{n}. {hop.explanation}" for n, hop in enumerate(self.hops, start=1)]
        return "\n".join(lines)

    def html(self) -> str:
        names = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in self._names()[1:]
        )
        hops = "".join(self._hop(n, hop) for n, hop in enumerate(self.hops, start=1))
        way = f'<div class="row"><b>{escape(_("The way it took"))}</b></div>{hops}' if hops else ""
        return (
            f'<div class="card"><div class="head"><span>✉ {escape(self.subject)}</span>'
            f"</div><dl>{names}</dl>"
            f'<div class="row"><pre>{escape(self.body)}</pre></div>{way}</div>'
        )

    def _hop(self, number: int, hop: Hop) -> str:
        tone = "good" if hop.is_authenticated else "quiet"
        sentence, protocol = escape(hop.explanation), escape(hop.protocol)
        if protocol:
            loud = f'<b class="{tone}">{protocol}</b>'
            sentence = loud.join(sentence.rsplit(protocol, 1))
        queue = _("queue id {id}").format(id=hop.queue_id) if hop.queue_id else ""
        small = " · ".join(escape(word) for word in (queue, hop.time) if word)
        return (
            f'<div class="row"><span class="mark">{number}</span> '
            f'{sentence}<br><span class="quiet">{small}</span></div>'
        )

    def _names(self) -> list[tuple[str, str]]:
        return [
            (_("Subject"), self.subject),
            *([(_("Envelope sender"), self.envelope_sender)] if self.envelope_sender else []),
            (_("From"), self.sender),
            (_("To"), self.recipient),
            (_("Date"), self.date),
        ]

    def _header(self, name: str) -> str:
        try:
            return str(self.message.get(name, ""))
        except MALFORMED:
            raw = [value for known, value in self._raw_headers if known == name.lower()]
            return " ".join(raw[0].split())

    @property
    def _raw_headers(self) -> list[tuple[str, str]]:
        # Bytes that are no ASCII are in them as halves of characters.
        return [
            (name.lower(), str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
            for name, value in self.message.raw_items()
        ]


def received(host: Host | None, recipient: str, subject: str, seconds: float = 15) -> View:
    """Return the newest message of that subject for a recipient, from the mailbox host.

    Waits up to `seconds` for it. Where the mailbox is not the course's to open (AWS), a note
    says where to look.
    """
    if host is None:
        return Note(
            _("Look into the mailbox of {recipient}: “{subject}”.").format(
                recipient=recipient, subject=subject
            )
        )
    what = _("the message “{subject}” to {recipient}").format(subject=subject, recipient=recipient)
    return ReceivedMail(wait_for(lambda: newest_mail(host, recipient, subject), seconds, what))


def newest_mail(host: Host, recipient: str, subject: str) -> str | None:
    """Return the newest message of that subject for a recipient on the mailbox host, or None."""
    status, output = host.probe(
        "cd {folder} && ls -t | xargs grep -lFx {subject} | xargs grep -lFx {recipient}",
        folder="/srv/mail/received/new",
        subject=f"Subject: {subject}",
        recipient=f"Delivered-To: {recipient}",
    )
    if status != 0:
        return None
    return host.read("cat {file}", file=f"/srv/mail/received/new/{output.split()[0]}")
