"""The mail log: lines into entries, entries into messages, refusals and complaints.

Reads what Postfix writes to a file (syslog's time stamps or ISO ones) and what
`journalctl` prints (`-o short`, `short-iso`, `short-precise`). Lines of other programs are
passed over, and no line raises an error, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
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
_LEVELS = ("fatal", "panic", "error", "warning")
COMPLAINT = re.compile(rf"(?:NOQUEUE: )?(?P<level>{'|'.join(_LEVELS)}): (?P<text>.*)")
_LATER_QUEUE_ID = re.compile(
    rf"(?:{'|'.join(_LEVELS)}): ([0-9A-F]{{6,}}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{{10,}}): "
)
_CLIENT = r"(?P<client>\S*\[[^\]]*\](?::\d+)?)"
# Between relay= and status= stand delay=, delays= and dsn=, and by the version of Postfix
# conn_use= and tls=.
DELIVERY = re.compile(
    r"to=(?:<(?P<recipient>.*?)>|(?P<bare>[^<,]*)), (?:orig_to=(?:<.*?>|[^<,]*), )?"
    r"relay=(?P<relay>[^,]*), (?P<fields>(?:\w+=[^,]*, )*)"
    r"status=(?P<status>[\w-]+) ?(?P<reason>.*)"
)
_REJECT = re.compile(
    r"(?:NOQUEUE: )?(?:milter-|proxy-)?reject: "
    rf"(?P<stage>[A-Z-]+)(?: from {_CLIENT})?: ?(?P<said>.*)"
)
_SAID = re.compile(
    r"(?:(?P<code>[45]\d\d)(?: |$))?(?:(?P<dsn>[45]\.\d{1,3}\.\d{1,3})(?: |$))?(?:<.*?>: )?"
    r"(?P<reason>.*?)(?:; (?P<fields>(?:from=<|to=<|proto=).*))?"
)
# What header_checks(5) and body_checks(5) refused: the rule's own words come last.
_CONTENT_REJECT = re.compile(
    rf"reject: (?P<stage>[a-z-]+) .*? from (?:{_CLIENT}|local); (?P<fields>from=<.*?>)"
    r"(?:: (?P<said>.*))?"
)
_FIELD = re.compile(r"\b(from|to|helo|sasl_username)=(?:<(.*?)>(?=[ ,:]|$)|([^\s,<]+))")
_AUTH_FAILED = re.compile(
    rf"warning: {_CLIENT}: SASL \S+ authentication failed: ?"
    r"(?P<reason>.*?)(?:, sasl_username=(?P<username>\S*).*)?"
)
_SASL_DETAIL = re.compile(r"warning: (SASL authentication (?:failure|problem): .*)")
_DISCONNECT_AUTH = re.compile(r"disconnect from .* auth=(\d{1,9})")
# These results of libsasl2 mean that the server, not the password, is at fault: Postfix
# answers 454 for them and 535 for all others.
_TEMPORARY = ("generic failure", "transient failure", "remote authentication server unavailable")
_IP = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F.]*:[\da-fA-F:.]*|unknown)"
_WHOM = re.compile(rf"[\w.-]*\[{_IP}\]|(?<=not resolve to address ){_IP}", re.ASCII)
_FILE = re.compile(
    r"(?<![\w./+-])(?P<file>/[\w.][\w.+@%~/-]*[\w/])(?:[,:]? line (?P<line>\d{1,9}))?", re.ASCII
)
# A parameter is named as such, or stands before its value; else it is a word of several
# parts that is no function's name ("dict_nis_init: …"), no part of a path and not quoted.
_PARAMETER = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+"
_CALLED_PARAMETER = re.compile(
    r"\bparameters?:? \"?(?!(?:name|value|setting)s?\b)"
    rf"(?P<names>[a-z]\w*(?:(?:,| or| and) {_PARAMETER})*)",
    re.ASCII,
)
_BEFORE_VALUE = re.compile(rf"(?:(?<![\w./\"-]){_PARAMETER}|(?<=: )[a-z]\w*)(?= ?=)", re.ASCII)
_LIKE_PARAMETER = re.compile(rf"(?<![\w./\"'@-]){_PARAMETER}(?![\w./\"'@:(\[-])", re.ASCII)


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

    `stage` is the SMTP command ('CONNECT', 'RCPT', 'AUTH' …) or, for what a content filter
    refused, 'header', 'body' and the like; `reason` is without the name or address in angle
    brackets that may stand before it. `code`, `dsn` and `client` are empty where Postfix
    does not log them, as for a filter's refusal. Postfix does not log the reply code
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


@dataclass(frozen=True)
class Complaint:
    """What a process of Postfix logged as fatal, panic, error or warning.

    `level` is one of these words. A refusal with the status 4.3.x, "mail system status" (RFC
    3463), such as `451 4.3.5 Server configuration error`, is the server's own fault and
    counts as an error. `parameters` are the names of parameters that the text tells, `file`
    and `line` the place (0: none); `client` is whom it is about: where it is empty, the
    complaint is about Postfix itself or its surroundings.
    """

    time: str
    service: str
    pid: int
    level: str
    text: str
    parameters: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    client: str = ""

    @property
    def parameter(self) -> str:
        """The parameter that is named first, or ''."""
        return self.parameters[0] if self.parameters else ""


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

        is_new = entry.text.startswith(("client=", "uid="))
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


def refusals(entries: Iterable[Entry]) -> list[Refusal]:
    """Return what Postfix refused to its clients, in the order of the log."""
    entries = list(entries)
    found = []
    details: dict[tuple[str, int], list[str]] = {}
    usernames: dict[str, str] = {}
    logins = _logins(entries)
    for index, entry in enumerate(entries):
        text = entry.text
        process = (entry.program, entry.pid)
        if detail := _SASL_DETAIL.match(text):
            details.setdefault(process, []).append(detail[1])
        elif refused := refusal(entry):
            if refused.stage == "AUTH":
                refused = replace(refused, details=tuple(details.pop(process, ())))
            else:
                name = refused.sasl_username or usernames.get(entry.queue_id, "")
                logged_in = True if name else logins[index]
                refused = replace(refused, sasl_username=name, logged_in=logged_in)
            found.append(refused)
        elif client := re.match(r"client=.*, sasl_username=([^,]+)", text):
            usernames[entry.queue_id] = client[1]
        elif text.startswith("connect from "):
            details.pop(process, None)
    return found


def refusal(entry: Entry) -> Refusal | None:
    """Return the refusal that an entry tells of, or None.

    One line does not tell what the lines around it do: `details`, whether the client had
    logged in, and as whom.
    """
    text = entry.text
    if "reject: " in text:
        if found := _REJECT.fullmatch(text):
            return _rejection(entry, found)
        if found := _CONTENT_REJECT.fullmatch(text):
            return _rejection(entry, found)
    elif text.startswith("warning: ") and (found := _AUTH_FAILED.fullmatch(text)):
        return _failed_login(entry, found)
    return None


def _failed_login(entry: Entry, found: re.Match[str]) -> Refusal:
    username = found["username"] or ""
    temporary = found["reason"].startswith(_TEMPORARY)
    return Refusal(
        time=entry.time,
        client=found["client"],
        port_service=entry.service,
        code="454" if temporary else "535",
        dsn="4.7.0" if temporary else "5.7.8",
        reason=found["reason"],
        sender="",
        recipient="",
        stage="AUTH",
        sasl_username="" if username == "(unavailable)" else username,
        logged_in=False,
    )


def _rejection(entry: Entry, found: re.Match[str]) -> Refusal:
    said = _SAID.fullmatch(found["said"] or "")
    parts = said.groupdict("") if said else {}
    # A client says what it likes in HELO: the first of a name is Postfix's own.
    fields: dict[str, str] = {}
    for name, bracketed, bare in _FIELD.findall(found.groupdict().get("fields") or parts["fields"]):
        fields.setdefault(name, bracketed or bare)
    return Refusal(
        time=entry.time,
        client=found["client"] or "",
        port_service=entry.service,
        code=parts["code"],
        dsn=parts["dsn"],
        reason=parts["reason"],
        sender=fields.get("from", ""),
        recipient=fields.get("to", ""),
        stage=found["stage"],
        sasl_username=fields.get("sasl_username", ""),
        helo=fields.get("helo", ""),
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


def complaints(entries: Iterable[Entry]) -> list[Complaint]:
    """Return what Postfix complained of, in the order of the log.

    >>> line = "Oct 21 02:21:15 relay postfix/smtpd[9]: fatal: parameter relayhost: bad"
    >>> complaints(parse(line))[0].parameter
    'relayhost'
    """
    return [found for entry in entries if (found := complaint(entry))]


def complaint(entry: Entry) -> Complaint | None:
    """Return the complaint that an entry is, or None."""
    if found := COMPLAINT.fullmatch(entry.text):
        level, text = found["level"], found["text"]
    elif (refused := refusal(entry)) and refused.dsn.startswith("4.3."):
        level, text = "error", f"{refused.code} {refused.dsn} {refused.reason}".strip()
    else:
        return None
    client = _WHOM.search(entry.text)
    place = _FILE.search(text)
    return Complaint(
        time=entry.time,
        service=entry.service,
        pid=entry.pid,
        level=level,
        text=text,
        parameters=() if client else _parameters(text),
        file=place["file"] if place else "",
        line=int(place["line"] or 0) if place else 0,
        client=client[0] if client else "",
    )


def _parameters(text: str) -> tuple[str, ...]:
    called = " ".join(_CALLED_PARAMETER.findall(text))
    names = re.findall(r"\b(?!(?:or|and)\b)\w+", called) + _BEFORE_VALUE.findall(text)
    return tuple(dict.fromkeys(names or _LIKE_PARAMETER.findall(text)))
