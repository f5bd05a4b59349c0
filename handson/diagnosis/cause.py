"""What a cause is, and what those who look for one have in common."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from handson.diagnosis.fault import Fault
from handson.hosts.host import fill
from handson.hosts.systems import System, anywhere
from handson.i18n import _
from handson.mail.smtp import HELO

if TYPE_CHECKING:
    from handson.mail.log import Entry
    from handson.mail.observation import Observation

POSTCONF = "https://www.postfix.org/postconf.5.html"
MASTER = "https://www.postfix.org/master.5.html"
SASL_README = "https://www.postfix.org/SASL_README.html"
TLS_README = "https://www.postfix.org/TLS_README.html"
OPTIONS = "https://www.cyrusimap.org/sasl/sasl/options.html"
S_NAIL = "https://www.sdaoden.eu/code-nail.html"
RESTART, RELOAD = "sudo systemctl restart postfix", "sudo postfix reload"

_OURS = re.compile(rf"helo=<(?:\w+\.)?{re.escape(HELO)}>")


class Link(IntEnum):
    """The links of the chain that mail with a login passes, as notebook 8 teaches them.

    While one is broken, nothing that comes later can be the cause of anything.
    """

    PACKET = 1  # it reaches the port
    LISTENS = 2
    GREETS = 3  # and offers AUTH
    LOGIN = 4
    RESTRICTIONS = 5
    MAIL_PROGRAM = 6  # the server is right, and the client's settings are not
    DELIVERY = 7  # the next server takes it
    LOG = 8  # and all of it can be read


@dataclass(frozen=True)
class Cause:
    """One way in which the course's server, client or network can be wrong.

    `seen` says what a learner sees, `cause` why. `cure` says what to do, and `commands` are
    lines that do it, made with `on_server` and `on_client`: they work exactly as they are
    printed. Both have words in braces for what differs between systems (`arises` tells on
    which it can arise); where they depend on what was found, they are functions.
    `recognise` looks, changes nothing, and returns the evidence: a line of the log, a mode,
    a value; '' when it is not this. `link` is where in the chain it stands, `port` the one
    that it concerns (0: any), `fault` what brings it about for practice. `is_state` says that
    it is proven by what is there, also while a try still passes: a process may not have read
    its files anew. `is_leak`: it is behind what was taken and has to be refused.
    """

    id: str
    _seen: str
    _cause: str
    cure: str | Callable[[Observation], str]
    manual: str
    recognise: Callable[[Observation], str]
    link: Link
    commands: Sequence[str] | Callable[[Observation], Sequence[str]] = ()
    port: int = 0
    is_state: bool = False
    is_leak: bool = False
    arises: Callable[[System], bool] = anywhere
    fault: Fault | None = None

    @property
    def seen(self) -> str:
        return _(self._seen)

    @property
    def cause(self) -> str:
        return _(self._cause)

    def cure_for(self, observed: Observation) -> str:
        """Return the cure with the paths and names of these hosts filled in."""
        names, service = observed.cloud.names, observed.survey.submission
        words = {
            **observed.server.words,
            "database": observed.survey.database,
            "service": service.key if service else "submission/inet",
            "plain_package": observed.server.system.plain_package,
            "server_group": names.server_group,
            "client_group": names.client_group,
            "vpc_cidr": observed.settings.vpc_cidr,
        }
        text = self.cure if isinstance(self.cure, str) else self.cure(observed)
        if isinstance(self.cure, str) and text:
            text = fill(_(text), words)
        if callable(self.commands):
            lines = self.commands(observed)
        else:
            lines = [fill(line, words) for line in self.commands]
        return "\n".join(filter(None, [text, *lines]))


@dataclass(frozen=True)
class Diagnosis:
    """A cause that was recognised, with what shows it and the cure for this very host."""

    id: str
    evidence: str
    cause: str
    cure: str
    manual: str


def on_server(*commands: str) -> list[str]:
    """Return the lines of a cure for commands on the server.

    >>> on_server("sudo postfix reload")
    ['[server]$ sudo postfix reload']
    """
    return [f"[server]$ {command}" for command in commands]


def on_client(*commands: str) -> list[str]:
    """Return the lines of a cure for commands on the client."""
    return [f"[client]$ {command}" for command in commands]


def to_set(observed: Observation, name: str, value: str, after: str = RELOAD) -> list[str]:
    """Return the lines that set a parameter where the submission service reads it.

    What the service sets itself in master.cf would hide a value in main.cf (master(5)).
    """
    service = observed.survey.submission
    command = f"sudo postconf -e {shlex.quote(f'{name}={value}')}"
    if service and name in service.parameters:
        words = shlex.quote(f"{service.key}/{name}={value.replace(', ', ',')}")
        command = f"sudo postconf -P {words}"
    return on_server(command, after)


def logged(observed: Observation, pattern: str) -> str:
    """Return the newest line since Postfix's last start or reload that fits, or ''."""
    for entry in reversed(observed.recent):
        if re.search(pattern, entry.text):
            return said(entry)
    return ""


def lately(observed: Observation, pattern: str) -> str:
    """Return the newest line of the client's last few sessions that fits, or ''.

    For what takes effect without a reload, such as a file's mode: there an older line, though
    it is of the same run of Postfix, may tell of another fault.
    """
    client = f"[{observed.settings.client_ip}]"
    sessions = 0
    for entry in reversed(observed.recent):
        if re.search(pattern, entry.text):
            return said(entry)
        sessions += entry.text.startswith("connect from") and client in entry.text
        if sessions == 3:
            break
    return ""


def tried(observed: Observation, pattern: str) -> str:
    """Return the newest fitting line about a try that no later mail with a login made good.

    Only of a mail program: what the course's own dialogues met does not count.
    """
    client = f"[{observed.settings.client_ip}]"
    found, queued = "", ""
    for entry in observed.recent:
        if entry.program.endswith("/smtpd") and re.search(pattern, entry.text):
            # Another host's tries are not the learner's.
            if client in entry.text and not _OURS.search(entry.text):
                found = said(entry)
        elif entry.text.startswith("client=") and client in entry.text:
            queued = entry.queue_id if "sasl_username=" in entry.text else ""
        elif entry.text.startswith("message-id=") and entry.queue_id == queued:
            found = ""  # a mail has got through since
    return found


def said(entry: Entry) -> str:
    """Return a line of the log without date and host."""
    return f"{entry.clock} {entry.program.removeprefix('postfix/')}: {entry.text}"


def first(*evidence: str) -> str:
    """Return the first that is not empty."""
    return next((one for one in evidence if one), "")


def words_of(value: str) -> list[str]:
    """Return the entries of a list in main.cf: commas and spaces separate them."""
    return value.replace(",", " ").split()


def listed(values: Sequence[str]) -> str:
    return ", ".join(values) or _("nothing")
