"""A mail log of any size in figures, read once, in memory that does not grow with the log."""

from __future__ import annotations

import io
import lzma
import re
import sys
import zlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from gzip import GzipFile
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, cast

from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.log import DELIVERY, Entry, parse_line
from handson.mail.log_refusals import COMPLAINT, refusal
from handson.ui.view import Note, Table, View

__all__ = ["Hour", "LogSummary", "Summary", "Tally", "lines_of", "summarise", "trail"]

# How many names one tally keeps: those that come later are counted together.
NAMES = 5_000
# How many lines without a queue id are kept of one process, and of how many processes, until
# it is known whether they belong to the message that is looked for.
LINES_OF_PROCESS, PROCESSES = 50, 5_000
# What is read at a time, and what counts of one line, in characters. syslog's own limit is
# 8 KiB; a file that is no log may have no end of line at all.
BLOCK, LONGEST = 1 << 18, 1 << 16
# The file's first bytes tell how it is packed, whatever its name is.
MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}

# What differs between two complaints of one kind: numbers, addresses and names of hosts.
_VARIABLE = re.compile(r"(?<![\w/.\"-])(?:[^\s/\"]*\d[^\s/\"]*|[\w-]+(?:\.[\w-]+)+)")
_BRACKETS = re.compile(r"<[^>]*>|\S*\[[^\]]*\](?::\d+)?|https?://\S+")

Name = TypeVar("Name")
Kept = TypeVar("Kept")
Progress = Callable[[int], None]
Process = tuple[str, int]  # a program and its pid


class Tally(Generic[Name]):
    """How often each name came; `others` counts those that came after the first `NAMES`."""

    def __init__(self) -> None:
        self.counts: Counter[Name] = Counter()
        self.others = 0

    def add(self, name: Name) -> None:
        if name in self.counts or len(self.counts) < NAMES:
            self.counts[name] += 1
        else:
            self.others += 1

    @property
    def total(self) -> int:
        return self.counts.total() + self.others

    def __getitem__(self, name: Name) -> int:
        return self.counts[name]


@dataclass
class Hour:
    """What happened in one hour of the day, on all days together."""

    received: int = 0
    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    refused: int = 0


@dataclass
class Summary:
    """A mail log in figures.

    `first` and `last` are the stamps of the first and last line that counts, as logged.
    `messages` were taken in, from clients and from sendmail(1). `deliveries` counts tries by
    status; what local(8) sent on to another address is 'forwarded', not 'sent'. `users`
    counts messages by SASL user, `relays` tries by the host that was tried ('none': it was
    not reached), `refusals` refused requests and `logins` refused logins by kind, `complaints`
    by level, service and kind, `hours` by the hour of the day ('00' to '23').
    """

    lines: int = 0
    first: str = ""
    last: str = ""
    messages: int = 0
    deliveries: Tally[str] = field(default_factory=Tally)
    users: Tally[str] = field(default_factory=Tally)
    relays: Tally[str] = field(default_factory=Tally)
    refusals: Tally[str] = field(default_factory=Tally)
    logins: Tally[str] = field(default_factory=Tally)
    complaints: Tally[tuple[str, str, str]] = field(default_factory=Tally)
    hours: defaultdict[str, Hour] = field(default_factory=lambda: defaultdict(Hour))

    def count(self, lines: Iterable[str]) -> Summary:
        """Count more lines, in the order of the log, and return this summary.

        >>> line = "Oct 21 02:21:15 relay postfix/pickup[9]: 66857C01110: uid=0"
        >>> Summary().count([line]).messages
        1
        """
        for line in lines:
            self.lines += 1
            # Most lines are passed over by these words alone; parsing them all takes
            # four times as long.
            if ", status=" in line:
                self._count_delivery(line)
            elif ": client=" in line or ": uid=" in line:
                self._count_message(line)
            elif "reject: " in line:
                self._count_refusal(line)
            elif "warning: " in line or "fatal: " in line or "panic: " in line or "error: " in line:
                self._count_complaint(line)
        return self

    def _hour(self, entry: Entry) -> Hour:
        self.first, self.last = self.first or entry.time, entry.time
        return self.hours[entry.time[11:13] if entry.time[4] == "-" else entry.time[7:9]]

    def _count_delivery(self, line: str) -> None:
        entry = parse_line(line)
        found = DELIVERY.match(entry.text) if entry else None
        if not entry or not found:
            return
        status, hour = found["status"], self._hour(entry)
        if status == "sent" and "forwarded as " in found["reason"]:
            status = "forwarded"
        elif status == "sent":
            hour.sent += 1
        elif status == "deferred":
            hour.deferred += 1
        elif status == "bounced":
            hour.bounced += 1
        self.deliveries.add(status)
        self.relays.add(found["relay"].partition("[")[0])

    def _count_message(self, line: str) -> None:
        entry = parse_line(line)
        if entry and entry.queue_id and entry.text.startswith(("client=", "uid=")):
            self.messages += 1
            self._hour(entry).received += 1
            _before, is_there, user = entry.text.partition(", sasl_username=")
            if is_there:
                self.users.add(user.partition(",")[0])

    def _count_refusal(self, line: str) -> None:
        entry = parse_line(line)
        found = refusal(entry) if entry else None
        if entry and found:
            self._hour(entry).refused += 1
            kind = _BRACKETS.sub("…", found.reason.partition(" (")[0])
            words = (found.stage, found.code, found.dsn, kind)
            self.refusals.add(" ".join(word for word in words if word))

    def _count_complaint(self, line: str) -> None:
        entry = parse_line(line)
        found = COMPLAINT.match(entry.text) if entry else None
        if not entry or not found:
            return
        if login := refusal(entry):
            self._hour(entry)
            self.logins.add(login.reason)
        else:
            self._hour(entry)
            kind = _VARIABLE.sub("…", found["text"])
            self.complaints.add((found["level"], entry.service, kind))


def summarise(file: str | Path, progress: Progress | None = None) -> Summary:
    """Return a log file in figures; the file may be one that `lines_of` reads."""
    return Summary().count(lines_of(file, progress))


def lines_of(file: str | Path, progress: Progress | None = None) -> Iterator[str]:
    """Yield the lines of a file, plain or packed by gzip, xz or zstd; '-' is standard input.

    `progress` is told from time to time how many bytes of the file have been read. Raises
    HandsonError where the file cannot be read to its end.
    """
    from zstandard import ZstdError

    name = str(file)
    try:
        with open(sys.stdin.fileno() if name == "-" else name, "rb", 0, closefd=name != "-") as raw:
            counted = io.BufferedReader(_Counted(raw, progress or (lambda _read: None)), BLOCK)
            yield from _lines(io.TextIOWrapper(_unpacked(counted), "utf-8", "replace", "\n"))
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ZstdError) as error:
        raise HandsonError(
            _("The log {file} cannot be read: {reason}.").format(
                file=name, reason=getattr(error, "strerror", None) or error
            ),
            _("Name a log that you may read: plain, or compressed by gzip, xz or zstd."),
        ) from None


class _Counted(io.RawIOBase):
    """A file that tells how many bytes of it have been read."""

    def __init__(self, raw: io.FileIO, progress: Progress) -> None:
        self._raw, self._progress, self._read = raw, progress, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self._read += count or 0
        self._progress(self._read)
        return count


def _unpacked(stream: io.BufferedReader[Any]) -> IO[bytes]:
    head = stream.peek(8)
    packed = next((how for magic, how in MAGIC.items() if head.startswith(magic)), "")
    if packed == "gzip":
        return cast(IO[bytes], GzipFile(fileobj=stream))
    if packed == "xz":
        return lzma.LZMAFile(stream)
    if packed == "zstd":
        return io.BufferedReader(_Zstd(stream), BLOCK)
    return stream


class _Zstd(io.RawIOBase):
    """What a file of zstd frames holds; the library's own reader takes a cut one for whole."""

    def __init__(self, stream: io.BufferedReader[Any]) -> None:
        from zstandard import ZstdDecompressor

        self._stream, self._out = stream, memoryview(b"")
        self._start = ZstdDecompressor().decompressobj
        self._frame = self._start()
        self._is_inside = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._out:
            rest: bytes = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._is_inside = self._start(), False
            # A kilobyte may become 32 MiB; one of a log becomes some twenty.
            if not (packed := rest or self._stream.read(1024)):
                if self._is_inside:
                    raise EOFError(_("it is incomplete"))
                return 0
            self._is_inside = True
            self._out = memoryview(self._frame.decompress(packed))
        count = min(len(buffer), len(self._out))
        buffer[:count], self._out = self._out[:count], self._out[count:]
        return count


def _lines(stream: IO[str]) -> Iterator[str]:
    rest = ""
    while block := stream.read(BLOCK):
        *whole, rest = (rest + block).split("\n")
        yield from whole
        rest = rest[:LONGEST]
    if rest:
        yield rest


# -- one message ---------------------------------------------------------------


def trail(lines: Iterable[str], queue_id: str) -> list[Entry]:
    """Return what a log tells of one queue id, with the ends of its client's session.

    That is what `handson.mail.log.messages` makes a message of.
    """
    connects: OrderedDict[Process, tuple[int, Entry]] = OrderedDict()
    warnings: OrderedDict[Process, deque[tuple[int, Entry]]] = OrderedDict()
    sessions: set[Process] = set()
    found: dict[int, Entry] = {}
    for number, line in enumerate(lines):
        if not (queue_id in line or "connect from " in line or "mtp[" in line):
            continue
        entry = parse_line(line)
        if not entry:
            continue
        process = (entry.program, entry.pid)
        if entry.queue_id == queue_id:
            found[number] = entry
            found.update(warnings.pop(process, ()))
            if entry.text.startswith("client="):
                found.update([connects[process]] if process in connects else [])
                sessions.add(process)
        elif entry.queue_id:
            warnings.pop(process, None)
        elif entry.text.startswith("connect from "):
            _keep(connects, process, (number, entry))
            sessions.discard(process)
        elif entry.text.startswith("disconnect from "):
            found.update([(number, entry)] if process in sessions else [])
            sessions.discard(process)
            connects.pop(process, None)
        elif entry.program.endswith(("/smtp", "/lmtp")):
            said = warnings.get(process) or deque(maxlen=LINES_OF_PROCESS)
            said.append((number, entry))
            _keep(warnings, process, said)
    return [found[number] for number in sorted(found)]


def _keep(waiting: OrderedDict[Process, Kept], process: Process, what: Kept) -> None:
    waiting[process] = what
    waiting.move_to_end(process)
    if len(waiting) > PROCESSES:
        waiting.popitem(last=False)


# -- how it looks --------------------------------------------------------------


class LogSummary(View):
    """A `Summary` in tables, each with its `top` most frequent rows."""

    def __init__(self, summary: Summary, top: int = 10) -> None:
        self.summary, self.top = summary, top

    @property
    def tables(self) -> list[View]:
        """The tables that have something to show."""
        summary = self.summary
        if not summary.first:
            return [Note(_("It has no line of Postfix about a message."), tone="quiet")]
        found = [
            self._totals(),
            self._hours(),
            self._counts(_("Messages by SASL user"), _("user"), summary.users),
            self._counts(_("Deliveries by relay"), _("relay"), summary.relays),
            self._counts(_("Refusals"), _("refusal"), summary.refusals),
            self._counts(_("Refused logins"), _("reason"), summary.logins),
            self._complaints(),
        ]
        return [table for table in found if table.rows]

    def text(self) -> str:
        return "\n\n".join(table.text() for table in self.tables)

    def html(self) -> str:
        return "".join(table.html() for table in self.tables)

    def _totals(self) -> Table:
        summary = self.summary
        rows = [[_("messages"), summary.messages]]
        rows += [[f"status={status}", n] for status, n in summary.deliveries.counts.most_common()]
        rows += [
            [_("requests refused"), summary.refusals.total],
            [_("logins refused"), summary.logins.total],
            [_("lines read"), summary.lines],
        ]
        title = _("The mail log from {first} to {last}")
        return Table(
            [_("what"), _("how many")],
            [[str(what), str(number)] for what, number in rows],
            title=title.format(first=summary.first, last=summary.last),
        )

    def _hours(self) -> Table:
        columns = [_("hour"), _("received"), "sent", "deferred", "bounced", _("refused")]
        rows = [
            [hour, *map(str, (one.received, one.sent, one.deferred, one.bounced, one.refused))]
            for hour, one in sorted(self.summary.hours.items())
        ]
        return Table(columns, rows, title=_("By hour of the day"))

    def _counts(self, title: str, column: str, tally: Tally[str]) -> Table:
        top = tally.counts.most_common(self.top)
        rows = [[name or "–", str(count)] for name, count in top]
        left = tally.total - sum(count for _name, count in top)
        if left:
            rows.append([_("others"), str(left)])
        return Table([column, _("how many")], rows, title=title)

    def _complaints(self) -> Table:
        tally = self.summary.complaints
        top = tally.counts.most_common(self.top)
        # What ended a process comes first, however rare it is.
        worst = [one for one in tally.counts.most_common() if one[0][0] != "warning"][: self.top]
        top = [*worst, *(one for one in top if one not in worst)][: self.top]
        rows = [[*words, str(count)] for words, count in top]
        tones = ["warn" if level == "warning" else "bad" for (level, *_rest), _count in top]
        if left := tally.total - sum(count for _words, count in top):
            rows.append([_("others"), "", "", str(left)])
            tones.append("quiet")
        columns = [_("level"), _("service"), _("Postfix’s own words"), _("how many")]
        return Table(columns, rows, title=_("Complaints"), tones=tones)
