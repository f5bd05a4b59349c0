"""The mail log as it lies on a host: its newest part, chosen there and sent packed."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from handson.hosts import script
from handson.hosts.systems import System

# Some 60,000 lines: more than a step of the course ever writes, and read within a second.
SIZE = 8 << 20


class LogHost(Protocol):
    """A host with a mail log, such as `handson.hosts.host.Host`."""

    @property
    def system(self) -> System: ...

    def bulk(self, command: str, **values: object) -> tuple[int, str]: ...


def read(host: LogHost, since: datetime | None = None, size: int = SIZE) -> str:
    """Return the newest lines of a host's mail log, `size` bytes of them at most.

    Rotated files are read on from where the newest one begins. `since` leaves out what is
    older, on the host; lines up to an hour older may still come. A log that is not there is
    an empty one. The first line may be cut.
    """
    _status, text = host.bulk(
        "sudo sh -c {program} read_log {since} {size} {file}",
        program=script.read(__package__, "read_log.sh"),
        since=int(since.timestamp()) if since else 0,
        size=size,
        file=host.system.log_file,
    )
    return text


def oldest(host: LogHost) -> str:
    """Return the first lines of a host's mail log, rotated files included."""
    if not host.system.log_file:
        journal = "sudo journalctl SYSLOG_FACILITY=2 --no-pager -q -o short-iso"
        return host.bulk(f"{journal} | head -n 20")[1]
    program = 'ls -1tr "$1" "$1".[0-9]* "$1"-[0-9]* 2>/dev/null | head -n 1'
    program = f'zcat -f -- "$({program})" | grep -m 20 postfix'
    command = "sudo sh -c {program} oldest {file}"
    return host.bulk(command, program=program, file=host.system.log_file)[1]


def newest(host: LogHost, lines: int) -> str:
    """Return the last lines of a host's mail log."""
    # No line of syslog is longer than 8 KiB, and few are longer than 250 bytes.
    text = read(host, size=lines * 250)
    return "\n".join(text.rstrip("\n").split("\n")[-lines:])
