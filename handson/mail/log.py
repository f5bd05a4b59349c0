"""The mail log: lines into entries, entries into messages and refusals.

Reads what Postfix writes to a file (syslog's time stamps or ISO ones) and what
`journalctl` prints (`-o short`, `-o short-iso`). Lines of other programs are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?) "
    r"(?P<host>\S+) (?P<program>postfix[\w.-]*(?:/[\w.-]+)+)\[(?P<pid>\d+)\]: (?P<text>.*)"
)
# Short queue ids are hexadecimal; long ones (enable_long_queue_ids) are digits and
# consonants, so that they never spell a word (postconf(5)).
_QUEUE_ID = re.compile(r"([0-9A-F]{6,}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}): ")
_CLIENT = r"(?P<client>\S*\[[^\]]*\](?::\d+)?)"
_DELIVERY = re.compile(
    r"to=<(?P<recipient>.*?)>, (?:orig_to=<.*?>, )?relay=(?P<relay>.*?), (?:conn_use=\d+, )?"
    r"delay=(?P<delay>[\d.]+), delays=(?P<delays>[\d./]+), dsn=(?P<dsn>[\d.]+), "
    r"status=(?P<status>[\w-]+) \((?P<reason>.*)\)$"
)
_REJECT = re.compile(
    rf"(?:NOQUEUE: )?(?:milter-)?reject: (?P<stage>[A-Z-]+) from {_CLIENT}: "
    r"(?P<code>[45]\d\d) (?:(?P<dsn>[45]\.\d+\.\d+) )?(?:<.*?>: )?(?P<reason>.*?)"
    r"(?:; (?:from=<(?P<sender>.*?)> )?(?:to=<(?P<recipient>.*?)> )?"
    r"proto=\S+(?: helo=<(?P<helo>.*?)>)?.*)?$"
)
_AUTH_FAILED = re.compile(
    rf"warning: {_CLIENT}: SASL \S+ authentication failed: "
    r"(?P<reason>.*?)(?:, sasl_username=(?P<username>\S*).*)?$"
)
_SASL_DETAIL = re.compile(r"warning: (SASL authentication (?:failure|problem): .*)")
_DISCONNECT_AUTH = re.compile(r"disconnect from .* auth=(\d+)")
# These results of libsasl2 mean that the server, not the password, is at fault: Postfix
# answers 454 for them and 535 for all others.
_TEMPORARY = ("generic failure", "transient failure", "remote authentication server unavailable")


@dataclass(frozen=True)
class Entry:
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
    def line(self) -> str:
        """The entry as a line of the log again."""
        queue_id = f"{self.queue_id}: " if self.queue_id else ""
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
        """Tell whether the client had logged in."""
        return bool(self.sasl_username)

    @property
    def is_sent(self) -> bool:
        """Tell whether every recipient's last try was a success."""
        last = {delivery.recipient: delivery.is_sent for delivery in self.deliveries}
        return bool(last) and all(last.values())


@dataclass(frozen=True)
class Refusal:
    """A request of a client that Postfix refused.

    `stage` is the SMTP command ('CONNECT', 'RCPT', 'AUTH' …), `reason` without the name or
    address in angle brackets that may stand before it. Postfix does not log the reply code
    of a failed AUTH: there `code` and `dsn` are the ones that it answers for that `reason`.
    `logged_in` tells whether the client had logged in in that session (None: Postfix
    before 3.0 does not log it), `helo` is what it called itself, `details` are the lines of
    the SASL library that go before a failed AUTH.
    """

    time: str
    client: str
    port_service: str
    code: str
    dsn: str
    reason: str
    sender: str
    recipient: str
    stage: str
    sasl_username: str
    logged_in: bool | None = None
    helo: str = ""
    details: tuple[str, ...] = ()


def parse(text: str) -> list[Entry]:
    """Return the entries that Postfix wrote, in the order of the log.

    >>> parse("Oct 21 02:21:15 relay postfix/qmgr[9]: 66857C01110: removed")[0].queue_id
    '66857C01110'
    """
    entries = []
    for line in text.splitlines():
        found = _LINE.fullmatch(line.rstrip())
        if not found:
            continue
        rest, queue_id = found["text"], ""
        if tag := _QUEUE_ID.match(rest):
            queue_id, rest = tag[1], rest[tag.end() :]
        entries.append(
            Entry(found["time"], found["host"], found["program"], int(found["pid"]), queue_id, rest)
        )
    return entries


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
    remarks: dict[tuple[str, int], dict[int, Entry]] = {}

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
                remarks.setdefault(process, {})[index] = entry
            continue

        is_new = entry.text.startswith("client=")
        if is_new or entry.queue_id not in open_trails:
            open_trails[entry.queue_id] = {}
            trails.append(open_trails[entry.queue_id])
        trail = open_trails[entry.queue_id]
        trail[index] = entry
        if is_new and process in connects:
            trail.update([connects[process]])
            sessions[process].append(trail)
        trail.update(remarks.pop(process, {}))
        if entry.text == "removed":
            del open_trails[entry.queue_id]

    found = [_message([trail[index] for index in sorted(trail)]) for trail in trails]
    return [message for message in found if message.message_id or message.recipients]


def _message(entries: list[Entry]) -> Message:
    fields: dict[str, str] = {}
    deliveries = []
    queue_id = ""
    for entry in entries:
        if not entry.queue_id:
            continue
        queue_id = entry.queue_id
        if delivery := _DELIVERY.match(entry.text):
            deliveries.append(_delivery(delivery))
        elif entry.text.startswith("client="):
            fields.update(re.findall(r"(?:^|, )(\w+)=([^,]*)", entry.text))
        elif found := re.match(r"(?:resent-)?message-id=(.*)", entry.text):
            fields.setdefault("message-id", found[1])
        elif found := re.match(r"from=<(.*)>, size=(\d+), nrcpt=(\d+)", entry.text):
            fields.update(sender=found[1], size=found[2], nrcpt=found[3])
    return Message(
        queue_id=queue_id,
        client=fields.get("client", ""),
        sasl_method=fields.get("sasl_method", ""),
        sasl_username=fields.get("sasl_username", ""),
        message_id=fields.get("message-id", ""),
        sender=fields.get("sender", ""),
        size=int(fields.get("size", 0)),
        recipients=int(fields.get("nrcpt", 0)),
        deliveries=tuple(deliveries),
        is_removed=any(entry.text == "removed" for entry in entries if entry.queue_id),
        entries=tuple(entries),
    )


def _delivery(found: re.Match[str]) -> Delivery:
    a, b, c, d = (float(part) for part in found["delays"].split("/"))
    return Delivery(
        recipient=found["recipient"],
        relay=found["relay"],
        delay=float(found["delay"]),
        delays=(a, b, c, d),
        dsn=found["dsn"],
        status=found["status"],
        reason=found["reason"],
    )


def refusals(entries: Iterable[Entry]) -> list[Refusal]:
    """Return what Postfix refused to its clients, in the order of the log."""
    entries = list(entries)
    found = []
    details: dict[tuple[str, int], list[str]] = {}
    usernames: dict[str, str] = {}
    logins = _logins(entries)
    for index, entry in enumerate(entries):
        process = (entry.program, entry.pid)
        if detail := _SASL_DETAIL.match(entry.text):
            details.setdefault(process, []).append(detail[1])
        elif failed := _AUTH_FAILED.match(entry.text):
            found.append(_failed_login(entry, failed, details.pop(process, [])))
        elif reject := _REJECT.match(entry.text):
            username = usernames.get(entry.queue_id, "")
            found.append(_rejection(entry, reject, username, logins[index]))
        elif client := re.match(r"client=.*, sasl_username=([^,]+)", entry.text):
            usernames[entry.queue_id] = client[1]
        elif entry.text.startswith("connect from "):
            details.pop(process, None)
    return found


def _service(entry: Entry) -> str:
    return entry.program.split("/", 1)[1]


def _failed_login(entry: Entry, found: re.Match[str], details: list[str]) -> Refusal:
    username = found["username"] or ""
    temporary = found["reason"].startswith(_TEMPORARY)
    return Refusal(
        time=entry.time,
        client=found["client"],
        port_service=_service(entry),
        code="454" if temporary else "535",
        dsn="4.7.0" if temporary else "5.7.8",
        reason=found["reason"],
        sender="",
        recipient="",
        stage="AUTH",
        sasl_username="" if username == "(unavailable)" else username,
        logged_in=False,
        details=tuple(details),
    )


def _rejection(
    entry: Entry, found: re.Match[str], username: str, logged_in: bool | None
) -> Refusal:
    return Refusal(
        time=entry.time,
        client=found["client"],
        port_service=_service(entry),
        code=found["code"],
        dsn=found["dsn"] or "",
        reason=found["reason"],
        sender=found["sender"] or "",
        recipient=found["recipient"] or "",
        stage=found["stage"],
        sasl_username=username,
        logged_in=True if username else logged_in,
        helo=found["helo"] or "",
    )


def _logins(entries: list[Entry]) -> dict[int, bool | None]:
    # The line of a refusal does not name who had logged in; only the count of commands at
    # the session's end ("auth=1", or "auth=0/1" for one that failed) tells.
    ends: dict[tuple[str, int], bool | None] = {}
    logins: dict[int, bool | None] = {}
    for index in reversed(range(len(entries))):
        entry = entries[index]
        process = (entry.program, entry.pid)
        if entry.text.startswith("disconnect from "):
            count = _DISCONNECT_AUTH.match(entry.text)
            counted = " commands=" in entry.text
            ends[process] = bool(count and int(count[1])) if counted else None
        elif entry.text.startswith("connect from "):
            ends.pop(process, None)
        logins[index] = ends.get(process)
    return logins
