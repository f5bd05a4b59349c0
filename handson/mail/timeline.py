"""One message on its way through the mail log, and the attempts that were refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handson.i18n import _
from handson.mail.log import messages
from handson.ui.svg import FAINT, INK, TONE_COLOURS, Drawing
from handson.ui.view import Table, View, escape

if TYPE_CHECKING:
    from handson.mail.log import Delivery, Entry, Message
    from handson.mail.log_refusals import Refusal

DELAY_COLOURS = ("#0969da", "#bf8700", "#8250df", "#1a7f37")


def explain(entry: Entry) -> str:
    """Return in plain words what a line of Postfix's log says; empty when it is not known."""
    text = entry.text
    for pattern, words in (
        (r"^disconnect from", _("The client disconnects.")),
        (r"^connect from", _("The client connects.")),
        (r"\bsasl_username=", _("The client has logged in; its message gets a queue id.")),
        (r"\bclient=", _("A client that did not log in sends a message; it gets a queue id.")),
        (r"^message-id=|: message-id=", _("The header passes; the message may still break off.")),
        (r"\bnrcpt=", _("The message is complete and in the queue.")),
        (r"\bstatus=sent\b", _("The next server has accepted it.")),
        (r"\bstatus=deferred\b", _("Not delivered yet; Postfix will try again.")),
        (r"\bstatus=bounced\b", _("Returned to the sender: it will never be delivered.")),
        (r"\bremoved$", _("Nothing is left to do: it leaves the queue.")),
        (r"^NOQUEUE: reject|: reject:", _("Refused.")),
        (r"authentication failed", _("A login that failed.")),
        (
            r"^connect to \S*\[[0-9a-f.]*:[^]]*\].*Network is unreachable",
            _("This host has no route to IPv6 addresses; nothing was sent to that one."),
        ),
        (
            r"^connect to .*Network is unreachable",
            _("This host has no route to that address; nothing was sent to it."),
        ),
        (r"^connect to .*refused", _("That host refuses connections at this port.")),
        (r"^connect to .*timed out", _("That address did not answer.")),
    ):
        if re.search(pattern, text):
            return words
    return ""


def delay_meanings() -> tuple[str, str, str, str]:
    """Return what the four numbers of `delays=` mean (Postfix 2.3 release notes)."""
    return (
        _("before the queue manager: being received"),
        _("in the queue manager"),
        _("setting up the connection: DNS, greeting, TLS"),
        _("sending the message itself"),
    )


class MessageTimeline(View):
    """A `handson.mail.log.Message`: its lines, its delays and its most telling fields."""

    def __init__(self, message: Message) -> None:
        self.message = message

    @property
    def title(self) -> str:
        return _("Message {queue_id}").format(queue_id=self.message.queue_id)

    @property
    def fields(self) -> list[tuple[str, str, str]]:
        """The fields worth knowing: name, value, meaning."""
        message = self.message
        found = [
            ("sasl_method", message.sasl_method, _("how the client logged in")),
            ("sasl_username", message.sasl_username, _("who logged in: user and realm")),
        ]
        if not message.sasl_username:
            found = [("sasl_username", "–", _("nobody logged in"))]
        for delivery in message.deliveries:
            found += [
                ("relay", delivery.relay, _("the server that the message was passed to")),
                ("status", delivery.status, _status_meaning(delivery.status)),
                ("dsn", delivery.dsn, _dsn_meaning(delivery.dsn)),
            ]
        return found

    def text(self) -> str:
        lines = [self.title]
        width = max((len(_program(entry)) for entry in self.message.entries), default=0)
        for entry in self.message.entries:
            words = explain(entry)
            lines.append(f"{entry.clock}  {_program(entry):<{width}}  {words or entry.text}")
            if words:
                lines.append(f"    {entry.text}")
        lines.append(Table([_("field"), _("value"), _("meaning")], _rows(self.fields)).text())
        for delivery in self.message.deliveries:
            lines.append(
                _("Delay to {recipient}: {delay} s").format(
                    recipient=delivery.recipient, delay=_seconds(delivery.delay)
                )
            )
            for letter, seconds, meaning in _parts(delivery):
                lines.append(f"  {letter}  {_seconds(seconds):>6} s  {meaning}")
        return "\n".join(lines)

    def html(self) -> str:
        rows = "".join(self._row(entry) for entry in self.message.entries)
        head = "".join(
            f"<th>{escape(word)}</th>" for word in (_("time"), _("program"), _("what happened"))
        )
        fields = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(value)}</td>"
            f'<td class="quiet">{escape(meaning)}</td></tr>'
            for name, value, meaning in self.fields
        )
        pictures = "".join(
            _draw_delays(delivery).image(
                "; ".join(
                    f"{letter} {_seconds(seconds)} s {meaning}"
                    for letter, seconds, meaning in _parts(delivery)
                )
            )
            for delivery in self.message.deliveries
        )
        return (
            f'<strong class="title">{escape(self.title)}</strong>'
            f"<table><tr>{head}</tr>{rows}</table>{pictures}<table>{fields}</table>"
        )

    def _row(self, entry: Entry) -> str:
        words = explain(entry)
        happened = f"<b>{escape(words)}</b><br>" if words else ""
        return (
            f'<tr><td style="white-space:nowrap">{escape(entry.clock)}</td>'
            f"<td>{escape(_program(entry))}</td>"
            f'<td>{happened}<pre class="quiet">{escape(entry.text)}</pre></td></tr>'
        )


class Trail(View):
    """All that a log tells of a queue id: its messages, and the lines that belong to none.

    An id stands for several messages where a log is long: it is used again.
    """

    def __init__(self, queue_id: str, entries: Sequence[Entry]) -> None:
        self.queue_id = queue_id
        self.messages = [one for one in messages(entries) if one.queue_id == queue_id]
        known = {entry for message in self.messages for entry in message.entries}
        self.others = [entry for entry in entries if entry not in known]

    @property
    def parts(self) -> list[View]:
        found: list[View] = [MessageTimeline(message) for message in self.messages]
        if self.others:
            rows = [[entry.clock, _program(entry), entry.text] for entry in self.others]
            title = _("Lines of {queue_id} that belong to no message")
            columns = [_("time"), _("program"), _("what happened")]
            found.append(Table(columns, rows, title=title.format(queue_id=self.queue_id)))
        return found

    def text(self) -> str:
        return "\n\n".join(part.text() for part in self.parts)

    def html(self) -> str:
        return "".join(part.html() for part in self.parts)


class RefusalTable(View):
    """The attempts that Postfix refused (`handson.mail.log.Refusal`), as a table.

    >>> print(RefusalTable([]))
    Refused attempts
    No attempt was refused.
    """

    def __init__(self, refusals: Sequence[Refusal], title: str = "") -> None:
        rows = [
            [
                _clock(refusal.time),
                refusal.port_service,
                refusal.client,
                refusal.stage,
                " ".join(word for word in (refusal.code, refusal.dsn) if word),
                refusal.reason,
                _login(refusal),
            ]
            for refusal in refusals
        ]
        columns = [
            _("time"),
            _("service"),
            _("client"),
            _("at"),
            _("code"),
            _("reason"),
            _("logged in"),
        ]
        self.table = Table(
            columns,
            rows,
            title=title or _("Refused attempts"),
            empty=_("No attempt was refused."),
        )

    def text(self) -> str:
        return self.table.text()

    def html(self) -> str:
        return self.table.html()


def _draw_delays(delivery: Delivery) -> Drawing:
    drawing = Drawing(760, 150)
    drawing.box(1, 1, 758, 148, fill="#f6f8fa", line="#d0d7de", radius=10)
    tone = {"sent": "good", "deferred": "warn", "bounced": "bad"}.get(delivery.status, "quiet")
    title = _("{delay} s to {recipient}").format(
        delay=_seconds(delivery.delay), recipient=delivery.recipient
    )
    drawing.text(18, 26, title, 12.5, bold=True, room=600)
    drawing.text(
        742, 26, delivery.status, 12.5, TONE_COLOURS[tone], bold=True, anchor="end", room=120
    )
    x = 18.0
    for colour, width in zip(DELAY_COLOURS, _widths(delivery.delays, 724), strict=True):
        drawing.box(x, 40, width, 18, colour, "#ffffff", "", 1.5, 3)
        x += width
    for column, (letter, seconds, meaning) in enumerate(_parts(delivery)):
        left = 18 + column * 184
        drawing.box(left, 73, 11, 11, DELAY_COLOURS[column], "none", "", 0, 2)
        drawing.text(left + 18, 83, f"{letter}  {_seconds(seconds)} s", 12, INK, bold=True)
        name, _colon, detail = meaning.partition(": ")
        for row, words in enumerate(word for word in (name, detail) if word):
            drawing.text(left, 104 + row * 16, words, 10.5, FAINT, room=182)
    return drawing


def _widths(delays: Sequence[float], room: float) -> list[float]:
    # Every part keeps some width, so that one that took no time is still visible.
    sliver, total = 10.0, sum(delays)
    free = room - sliver * len(delays)
    if not total:
        return [room / len(delays)] * len(delays)
    return [sliver + free * delay / total for delay in delays]


def _parts(delivery: Delivery) -> list[tuple[str, float, str]]:
    return list(zip("abcd", delivery.delays, delay_meanings(), strict=True))


def _status_meaning(status: str) -> str:
    return {
        "sent": _("that server has accepted it and is responsible for it now"),
        "deferred": _("it is still in the queue; Postfix will try again"),
        "bounced": _("refused permanently; the sender gets a bounce message"),
    }.get(status, "")


def _dsn_meaning(dsn: str) -> str:
    return {
        "2": _("2: success (RFC 3463)"),
        "4": _("4: a temporary failure, to be tried again (RFC 3463)"),
        "5": _("5: a permanent failure (RFC 3463)"),
    }.get(dsn[:1], "")


def _login(refusal: Refusal) -> str:
    if refusal.logged_in is None:
        return _("not in the log")
    return (refusal.sasl_username or _("yes")) if refusal.logged_in else _("no")


def _clock(time: str) -> str:
    found = re.search(r"\d{2}:\d{2}:\d{2}", time)
    return found.group() if found else time


def _program(entry: Entry) -> str:
    return entry.program.removeprefix("postfix/")


def _seconds(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".") if number < 10 else f"{number:.0f}"


def _rows(fields: list[tuple[str, str, str]]) -> list[list[str]]:
    return [list(field) for field in fields]
