"""The mail log: lines into entries, entries into messages.

Reads what Postfix writes to a file (syslog's time stamps or ISO ones) and what
`journalctl` prints (`-o short`, `short-iso`, `short-precise`). Lines of other programs are
passed over, and no line raises an error, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Postfix's programs put the instance's name before their own; the few that log before they
# have read main.cf do not.
_LINE = re.compile(
    r"(?:<\d{1,3}>)?"
    r"(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    rf"|(?:{'|'.join(_MONTHS)}) [ \d]\d \d\d:\d\d:\d\d(?:\.\d{{1,9}})?) "
    r"(?P<host>\S+) "
    r"(?P<program>postfix[\w.-]*(?:/[\w.-]+)+|postfix(?:-script)?"
    r"|post(?:alias|cat|conf|drop|kick|lock|log|map|multi|queue|super))"
    r"\[(?P<pid>\d{1,9})\]: "
    # Short queue ids are hexadecimal; long ones (enable_long_queue_ids) are digits and
    # consonants, so that they never spell a word (postconf(5)).
    r"(?:(?P<queue_id>[0-9A-F]{6,}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}): )?"
    r"(?P<text>.*)",
    re.ASCII,
)
LEVELS = ("fatal", "panic", "error", "warning")
_LATER_QUEUE_ID = re.compile(
    rf"(?:{'|'.join(LEVELS)}): ([0-9A-F]{{6,}}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{{10,}}): "
)
# Between relay= and status= stand delay=, delays= and dsn=, and by the version of Postfix
# conn_use= and tls=.
DELIVERY = re.compile(
    r"to=(?:<(?P<recipient>.*?)>|(?P<bare>[^<,]*)), (?:orig_to=(?:<.*?>|[^<,]*), )?"
    r"relay=(?P<relay>[^,]*), (?P<fields>(?:\w+=[^,]*, )*)"
    r"status=(?P<status>[\w-]+) ?(?P<reason>.*)"
)


class Entry(NamedTuple):
    """A line of the log. `time` is as logged, `queue_id` is empty where there is none."""

    time: str
    host: str
    program: str
    pid: int
    queue_id: str
    text: str

    @property
    def clock(self) -> str:
        """The time of day to the second, such as '02:21:14'."""
        found = re.search(r"\d\d:\d\d:\d\d", self.time)
        return found[0] if found else ""

    @property
    def service(self) -> str:
        """The program without the instance's name, such as 'submission/smtpd'."""
        return self.program.partition("/")[2] or self.program

    @property
    def line(self) -> str:
        """The entry as a line of the log again."""
        # A warning names the queue id after the word "warning".
        is_first = self.queue_id and not _LATER_QUEUE_ID.match(self.text)
        queue_id = f"{self.queue_id}: " if is_first else ""
        return f"{self.time} {self.host} {self.program}[{self.pid}]: {queue_id}{self.text}"


@dataclass(frozen=True)
class Delivery:
    """One try to deliver a message to one recipient.

    `delays` are seconds (postconf(5), delay_logging_resolution_limit): a before the queue
    manager, b in the queue manager, c for the connection with HELO and TLS, d for the
    transmission. `status` is 'sent', 'bounced', 'deferred' or 'expired'.
    """

    recipient: str
    relay: str
    delay: float
    delays: tuple[float, float, float, float]
    dsn: str
    status: str
    reason: str

    @property
    def is_sent(self) -> bool:
        return self.status == "sent"


@dataclass(frozen=True)
class Message:
    """A message on its way through Postfix, with all the lines that tell of it.

    `client` is empty for a message that Postfix wrote itself or that came by sendmail(1);
    `recipients` is their number, `deliveries` every try, in the order of the log.
    """

    queue_id: str
    client: str
    sasl_method: str
    sasl_username: str
    message_id: str
    sender: str
    size: int
    recipients: int
    deliveries: tuple[Delivery, ...]
    is_removed: bool
    entries: tuple[Entry, ...]

    @property
    def is_authenticated(self) -> bool:
        """Return whether the client had logged in."""
        return bool(self.sasl_username)

    @property
    def is_sent(self) -> bool:
        """Return whether every recipient's last try was a success."""
        last = {delivery.recipient: delivery.is_sent for delivery in self.deliveries}
        return bool(last) and all(last.values())


def parse(text: str) -> list[Entry]:
    """Return the entries that Postfix wrote, in the order of the log.

    >>> parse("Oct 21 02:21:15 relay postfix/qmgr[9]: 66857C01110: removed")[0].queue_id
    '66857C01110'
    """
    # Not splitlines(): it takes some characters for ends of lines that a line may hold.
    return parse_lines(text.split("\n"))


def parse_lines(lines: Iterable[str]) -> list[Entry]:
    """Return the entries among some lines."""
    return [entry for line in lines if (entry := parse_line(line))]


def parse_line(line: str) -> Entry | None:
    """Return a line as an entry, or None when no program of Postfix wrote it."""
    found = _LINE.fullmatch(line.rstrip())
    if not found:
        return None
    time, host, program, pid, queue_id, text = found.groups()
    if queue_id is None:
        late = _LATER_QUEUE_ID.match(text)
        queue_id = late[1] if late else ""
    return Entry(time, host, program, int(pid), queue_id, text)


def moment(entry: Entry, like: datetime) -> datetime:
    """Return when an entry was logged; syslog's stamps lack the year and zone that `like` has.

    The year is the one that brings the stamp nearest to `like`. A day that no calendar has
    counts as long ago.
    """
    try:
        found = datetime.fromisoformat(entry.time)
    except ValueError:
        found = _without_year(entry.time, like.replace(tzinfo=None))
    return found if found.tzinfo else found.replace(tzinfo=like.tzinfo)


def _without_year(stamp: str, like: datetime) -> datetime:
    name, day, clock = stamp[:3], stamp[4:6], stamp[7:]
    near: list[datetime] = []
    # Two 29ths of February are up to eight years apart.
    for years in ((0,), (-1, 1), range(-8, 9)):
        for years_off in years:
            try:
                of_day = datetime.fromisoformat(f"2000-01-01T{clock}")
                year, month = like.year + years_off, _MONTHS.index(name) + 1
                near.append(of_day.replace(year=year, month=month, day=int(day)))
            except ValueError:
                continue
        if any(abs(one - like) < timedelta(days=182) for one in near):
            break
    return min(near, key=lambda one: abs(one - like), default=datetime.min)


def messages(entries: Iterable[Entry]) -> list[Message]:
    """Follow each message by its queue id from connect to removed, in order of arrival.

    Beside the lines that carry the id, a message holds the connect and disconnect lines of
    the client's session, and what the delivering process said (such as an address it could
    not reach) just before its result. An id is used again once its message is removed; the
    next message is one of its own. An id that a client got by RCPT and never sent a message
    for makes no message.
    """
    trails: list[dict[int, Entry]] = []
    open_trails: dict[str, dict[int, Entry]] = {}
    sessions: dict[tuple[str, int], list[dict[int, Entry]]] = {}
    connects: dict[tuple[str, int], tuple[int, Entry]] = {}
    warnings: dict[tuple[str, int], dict[int, Entry]] = {}

    for index, entry in enumerate(entries):
        process = (entry.program, entry.pid)
        if not entry.queue_id:
            if entry.text.startswith("connect from "):
                connects[process] = (index, entry)
                sessions[process] = []
            elif entry.text.startswith("disconnect from "):
                for trail in sessions.pop(process, []):
                    trail[index] = entry
                connects.pop(process, None)
            elif entry.program.endswith(("/smtp", "/lmtp")):
                warnings.setdefault(process, {})[index] = entry
            continue

        is_new = entry.text.startswith(("client=", "uid="))
        if is_new or entry.queue_id not in open_trails:
            open_trails[entry.queue_id] = {}
            trails.append(open_trails[entry.queue_id])
        trail = open_trails[entry.queue_id]
        trail[index] = entry
        if is_new and process in connects:
            trail.update([connects[process]])
            sessions[process].append(trail)
        trail.update(warnings.pop(process, {}))
        if entry.text == "removed":
            del open_trails[entry.queue_id]

    found = [_message([trail[index] for index in sorted(trail)]) for trail in trails]
    return [message for message in found if message.message_id or message.recipients]


def _message(entries: list[Entry]) -> Message:
    client: dict[str, str] = {}
    message_id, sender, size, recipients = None, "", 0, 0
    deliveries = []
    queue_id = ""
    for entry in entries:
        if not entry.queue_id:
            continue
        queue_id = entry.queue_id
        if tried := delivery(entry.text):
            deliveries.append(tried)
        elif entry.text.startswith("client="):
            client.update(re.findall(r"(?:^|, )(\w+)=([^,]*)", entry.text))
        elif found := re.match(r"(?:resent-)?message-id=(.*)", entry.text):
            message_id = found[1] if message_id is None else message_id
        elif found := re.match(r"from=<(.*)>, size=(\d{1,18}), nrcpt=(\d{1,9})", entry.text):
            sender, size, recipients = found[1], int(found[2]), int(found[3])
    return Message(
        queue_id=queue_id,
        client=client.get("client", ""),
        sasl_method=client.get("sasl_method", ""),
        sasl_username=client.get("sasl_username", ""),
        message_id=message_id or "",
        sender=sender,
        size=size,
        recipients=recipients,
        deliveries=tuple(deliveries),
        is_removed=any(entry.text == "removed" for entry in entries if entry.queue_id),
        entries=tuple(entries),
    )


def delivery(text: str) -> Delivery | None:
    """Return the try to deliver that a line's text tells of, or None."""
    found = DELIVERY.fullmatch(text) if text.startswith("to=") else None
    if not found:
        return None
    fields = dict(re.findall(r"(\w+)=([^,]*), ", found["fields"]))
    delays = [_number(part) for part in fields.get("delays", "").split("/")]
    a, b, c, d = delays if len(delays) == 4 else (0.0, 0.0, 0.0, 0.0)
    reason = found["reason"]
    return Delivery(
        recipient=found["recipient"] or found["bare"] or "",
        relay=found["relay"],
        delay=_number(fields.get("delay", "")),
        delays=(a, b, c, d),
        dsn=fields.get("dsn", ""),
        status=found["status"],
        reason=reason[1:].removesuffix(")") if reason.startswith("(") else reason,
    )


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,12})?", text) else 0.0
