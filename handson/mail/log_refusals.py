"""What the mail log tells of requests that were refused, and of what Postfix complains about.

No entry raises an error, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from handson.mail.log import LEVELS, Entry
from handson.mail.remote.dialogue import MARK
from handson.mail.smtp import HELO

COMPLAINT = re.compile(rf"(?:NOQUEUE: )?(?P<level>{'|'.join(LEVELS)}): (?P<text>.*)")
_CLIENT = r"(?P<client>\S*\[[^\]]*\](?::\d+)?)"
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
_BY_CHECK = re.compile(rf" noop={MARK} ")
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


def refusals(entries: Iterable[Entry]) -> list[Refusal]:
    """Return what Postfix refused to its clients, in the order of the log.

    The log has no EHLO name of a login that failed; where it was a check's, it gets the checks'.
    """
    entries = list(entries)
    found = []
    processes: list[tuple[str, int]] = []
    sessions: dict[tuple[str, int], int] = {}
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
            processes.append(process)
        elif client := re.match(r"client=.*, sasl_username=([^,]+)", text):
            usernames[entry.queue_id] = client[1]
        elif text.startswith("connect from "):
            details.pop(process, None)
            sessions[process] = len(found)
        elif text.startswith("disconnect from ") and _BY_CHECK.search(text):
            since = sessions.get(process, 0)
            found[since:] = [
                replace(one, helo=HELO) if one.stage == "AUTH" and by == process else one
                for one, by in zip(found[since:], processes[since:], strict=True)
            ]
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

    >>> from handson.mail.log import parse
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
