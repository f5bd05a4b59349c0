"""Cyrus SASL as Postfix uses it: smtpd.conf, the password database, who may read it."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass

from handson.errors import HandsonError
from handson.hosts.host import Host
from handson.hosts.systems import System
from handson.i18n import _


@dataclass(frozen=True)
class Database:
    """The password database as a file: its path, and who may read it. Without a user it is none.

    >>> Database("/etc/sasldb2", "root", "postfix", 0o640).ownership
    'root:postfix 0640'
    """

    path: str
    user: str = ""
    group: str = ""
    mode: int = 0

    @property
    def exists(self) -> bool:
        return bool(self.user)

    @property
    def ownership(self) -> str:
        """Owner, group and permission bits."""
        return f"{self.user}:{self.group} {self.mode:04o}"

    @property
    def is_world_readable(self) -> bool:
        return bool(self.mode & stat.S_IROTH)


def read_users(text: str) -> list[str]:
    """Return the names in what `sasldblistusers2` printed.

    A name that holds several properties (userPassword, an SRP secret …) counts once.

    >>> read_users("smtp-auth@example.com: userPassword\\nlistusers failed")
    ['smtp-auth@example.com']
    """
    found = re.findall(r"^(\S+@\S+): \S+$", text, re.MULTILINE)
    return list(dict.fromkeys(found))


def read_configuration(text: str) -> dict[str, str]:
    """Return the settings of an smtpd.conf, read as libsasl2 reads it.

    Only `#` at the start of a line makes a comment: `//` and what follows belongs to the
    value. The first of two equal keys counts. Raise HandsonError where libsasl2 would give
    up the file (lib/config.c: a key of letters, digits, `-` and `_`, then a colon).

    >>> read_configuration("pwcheck_method: auxprop //how")
    {'pwcheck_method': 'auxprop //how'}
    """
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z0-9_-]+):\s*(.*)", line)
        if not found or not found[2]:
            raise HandsonError(
                _("Line {number} of smtpd.conf cannot be read: {line}").format(
                    number=number, line=line
                ),
                _("Write “name: value”, with a colon; only lines that start with # are comments."),
            )
        settings.setdefault(found[1].lower(), found[2])
    return settings


class Sasl:
    """Cyrus SASL on one host. Everything is read anew at each call; nothing is changed.

    `database` is the path of the password database, where it is not the system's own.
    """

    def __init__(self, runner: Host, system: System, database: str = "") -> None:
        self._runner, self._system = runner, system
        self.database = database or system.sasldb

    def configuration(self) -> dict[str, str]:
        """Return the settings of smtpd.conf; without that file there are none."""
        facts, path = self._runner.facts, self._system.smtpd_conf
        return read_configuration(facts.text(path)) if facts.file(path).exists else {}

    def database_file(self) -> Database:
        """Return the password database as a file."""
        file = self._runner.facts.file(self.database)
        if not file.exists:
            return Database(self.database)
        return Database(self.database, file.user, file.group, file.mode)

    def users(self) -> list[str]:
        """Return the full names in the password database, such as 'smtp-auth@example.com'."""
        if not self._runner.facts.file(self.database).exists:
            return []
        _status, output = self._runner.probe(
            "sudo -n sasldblistusers2 -f {path}", path=self.database
        )
        return read_users(output)
