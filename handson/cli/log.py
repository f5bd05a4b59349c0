"""`handson log`: a mail log in figures, or what it holds about one message.

Of the log of the learner's server only the part that counts is sent, and that packed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from handson.cli.options import Command, begun, named
from handson.errors import HandsonError, InvalidInput
from handson.i18n import _

if TYPE_CHECKING:
    from handson.ui.view import View

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# The most that is taken of a server's log: some 250,000 lines, 3 MB when packed.
SIZE = 32 << 20


@click.command(cls=Command)
@named()
@click.option(
    "--file", metavar="FILE", default="", help=_("A log on this machine; - reads standard input.")
)
@click.option("--message", metavar="QUEUEID", default="", help=_("Follow one message."))
@click.option("--since", metavar="WHEN", default="", help=_("Leave out what is older."))
def log(name: str, file: str, message: str, since: str) -> None:
    """Sum up a mail log, or follow one message in it.

    Without --file it is the log of the server. A file is plain or packed by gzip, xz or zstd.
    WHEN is a time such as "2026-11-24 03:00" or 03:00 (today), or how long ago: 90m, 2h, 1d.

    \b
    Examples:
      handson log --since 2h
      handson log --message 4bV0Qk3xJWz1
      handson log --file /var/log/mail.log.1.gz
    """
    from handson.ui.terminal import console

    console().print(_of_file(file, message, since) if file else _of_server(name, message, since))


def when(text: str, now: datetime) -> datetime | None:
    """Return the moment that a learner means, by the clock `now`; None for ''.

    >>> when("90m", datetime.fromisoformat("2026-11-24T03:00:00+00:00")).isoformat()
    '2026-11-24T01:30:00+00:00'
    """
    if not text:
        return None
    if found := re.fullmatch(r"([0-9]{1,6})([smhdw])", text):
        with suppress(OverflowError):
            return now - timedelta(**{UNITS[found[2]]: int(found[1])})
    day = f"{now:%Y-%m-%d} " if re.fullmatch(r"[0-9:]+", text) and ":" in text else ""
    try:
        meant = datetime.fromisoformat(day + text)
        return meant if meant.tzinfo else meant.replace(tzinfo=now.tzinfo)
    except ValueError:
        raise InvalidInput(
            _("“{text}” is not a time.").format(text=text),
            _("Write 2026-11-24 03:00, 03:00, or how long ago: 90m, 2h, 1d."),
        ) from None


def _of_file(file: str, message: str, since: str) -> View:
    from handson.mail.log_summary import lines_of
    from handson.ui.progress import progress

    moment = when(since, datetime.now().astimezone())
    total = os.path.getsize(file) if os.path.isfile(file) else 0
    with progress(_("Reading {file}").format(file=file)) as shown:

        def say(read: int) -> None:
            of_total = f" ({100 * read // total} %)" if total else ""
            shown.say(f"{read / 1e6:.0f} MB{of_total}")

        return _view(_later(lines_of(file, say), moment), message, file)


def _of_server(name: str, message: str, since: str) -> View:
    from handson.mail import server_log
    from handson.ui.progress import progress

    with begun("07_log_check", name) as step, progress(_("Reading the log of the server")):
        server = step.hosts.server
        clock = server.read("date --iso-8601=seconds").strip() if since else ""
        moment = when(since, datetime.fromisoformat(clock)) if since else None
        text = server_log.read(server, moment, SIZE)
        source = server.system.log_source
    if len(text) >= SIZE:
        print(
            _("Only the newest {size} MiB of {source} are read; --since leaves out more.").format(
                size=SIZE >> 20, source=source
            )
        )
    return _view(_later(text.split("\n"), moment), message, source)


def _view(lines: Iterable[str], queue_id: str, source: str) -> View:
    from handson.mail.log_summary import LogSummary, Summary, trail
    from handson.mail.timeline import Trail

    if not queue_id:
        return LogSummary(Summary().count(lines))
    found = trail(lines, queue_id)
    if not found:
        raise HandsonError(
            _("{source} holds no line about a message {id}.").format(source=source, id=queue_id),
            _("Give a queue id from that log, such as 66857C01110: it follows a program."),
        )
    return Trail(queue_id, found)


def _later(lines: Iterable[str], since: datetime | None) -> Iterator[str]:
    """Yield the lines from the first one that was logged at `since` or later."""
    from handson.mail.log import moment, parse_line

    counts = since is None
    for line in lines:
        if not counts and since:
            entry = parse_line(line)
            counts = entry is not None and moment(entry, since) >= since
        if counts:
            yield line
