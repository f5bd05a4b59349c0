"""Random edits on the hosts of a finished course: drawn, made, and taken back within seconds."""

from __future__ import annotations

import base64
import random
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from finished import Finished

from handson.hosts.host import Host

MAIN, MASTER = "/etc/postfix/main.cf", "/etc/postfix/master.cf"
KEPT = "/root/good"
PREFIXES = (
    *("smtpd_", "local_", "relay", "mynetworks", "queue_", "message_", "inet_", "myhostname"),
    *("default_", "mydestination", "mydomain", "myorigin", "virtual_", "header_checks", "maillog"),
)
VALUES = (
    *("", "yes", "no", "yess", "0", "1", "-1", "90", "999999999999", "permit", "reject", "all"),
    *("permit_mynetworks, reject", "permit_sasl_authenticate, reject_unauth_destination"),
    *("reject_unauth_destination", "reject_sender_login_mismatch", "loopback-only", "ipv6"),
    *("static:all", "static:OK", "hash:/etc/postfix/none", "/nonexistent", "$nonexistent"),
    *("127.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "mail.example.org", "encrypt", "5s", "inline:{a=b}"),
)
# Lines that mail from the client depends on: they are drawn more often than others.
TELLING = re.compile(
    r"(smtpd?|submission|cleanup|qmgr|anvil|rewrite|postlog|  -o smtpd)\b|smtpd_[rs]|my|inet_|set "
)
# A restart, as a learner does it, or a reload, or neither.
AFTER = {"restart": 6, "reload": 3, "nothing": 1}


@dataclass(frozen=True)
class Edit:
    """One change: on which host, of which thing (`area`), in words, and by which commands.

    `cloud` is done instead where the change is one of the security groups.
    """

    host: str
    area: str
    what: str
    script: str = ""
    cloud: Callable[[Any], Callable[[], None]] | None = None

    def __str__(self) -> str:
        return f"{self.host}, {self.area}: {self.what}"


@dataclass(frozen=True)
class Draw:
    """What is drawn by one number: one edit or two, and what Postfix is told afterwards."""

    number: str
    edits: tuple[Edit, ...]
    after: str

    def __str__(self) -> str:
        edits = "".join(f"\n  - {one}" for one in self.edits)
        return f"HANDSON_DRAW={self.number}: then {self.after}{edits}"

    @property
    def areas(self) -> set[str]:
        return {one.area for one in self.edits}


# -- edits of text -------------------------------------------------------------


def _misspelt(text: str, chance: random.Random) -> str:
    if len(text) < 2:
        return text + "x"
    place = chance.randrange(len(text) - 1)
    return chance.choice(
        (
            text[:place] + text[place + 1 :],
            text[:place] + text[place] + text[place:],
            text[:place] + text[place + 1] + text[place] + text[place + 2 :],
        )
    )


def _value(line: str, chance: random.Random) -> str:
    sign = "=" if "=" in line else ":" if ":" in line else " "
    name, _sign, value = line.rpartition(sign) if sign == "=" else line.partition(sign)
    return f"{name}{sign}{_misspelt(value.strip(), chance)}"


def _name(line: str, chance: random.Random) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    word, *rest = line.split(None, 1)
    return " ".join([indent + _misspelt(word, chance), *rest])


LINES: dict[str, Callable[[str, random.Random], list[str]]] = {
    "value misspelt": lambda line, chance: [_value(line, chance)],
    "name misspelt": lambda line, chance: [_name(line, chance)],
    "removed": lambda line, chance: [],
    "doubled": lambda line, chance: [line, line],
    "doubled with another value": lambda line, chance: [line, _value(line, chance)],
    "joined with the line before": lambda line, chance: [" " + line],
    "commented out": lambda line, chance: ["#" + line],
    "spaces added": lambda line, chance: [line.replace(",", " , ").replace("=", " = ") + "  "],
    "moved to the first column": lambda line, chance: [line.lstrip()],
    "comment behind": lambda line, chance: [line + "   # as in the tutorial"],
    "cut short": lambda line, chance: [line[: chance.randrange(1, len(line) + 1)]],
    "comma for a space": lambda line, chance: [line.replace(" ", ", ", 1)],
    "in quotes": lambda line, chance: [line.replace("=", '="', 1) + '"'],
}


def edit_text(text: str, chance: random.Random) -> tuple[str, str]:
    """Return a text with one of its lines edited, and in words what was done."""
    lines = text.splitlines()
    places = [n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    telling = [n for n in places if TELLING.match(lines[n])]
    if telling and chance.random() < 0.8:
        places = telling
    place, kind = chance.choice(places), chance.choice(list(LINES))
    new = LINES[kind](lines[place], chance)
    changed = [*lines[:place], *new, *lines[place + 1 :]]
    return "\n".join(changed) + "\n", f"“{lines[place]}” {kind}: {new}"


def _write(path: str, text: str) -> str:
    coded = base64.b64encode(text.encode()).decode()
    return f"echo {coded} | base64 -d > {path}\n"


# -- drawing --------------------------------------------------------------------


@dataclass(frozen=True)
class Good:
    """What the hosts hold when all is right: texts by path, and the names of parameters."""

    texts: dict[str, str]
    parameters: tuple[str, ...]
    conf: str
    database: str
    secret: str

    def _edited(self, host: str, path: str, chance: random.Random) -> Edit:
        text, what = edit_text(self.texts[path], chance)
        area = path.rpartition("/")[2]
        return Edit(host, area, what.replace(self.secret, "…"), _write(path, text))

    def edit(self, chance: random.Random) -> Edit:
        """Draw one edit."""
        kinds: dict[Callable[[random.Random], Edit], int] = {
            lambda c: self._edited("server", MAIN, c): 20,
            lambda c: self._edited("server", MASTER, c): 20,
            lambda c: self._edited("server", self.conf, c): 10,
            lambda c: self._edited("client", "~/.mailrc", c): 14,
            self._parameter: 22,
            self._option: 5,
            self._file: 12,
            self._service: 5,
            self._program: 4,
            self._group: 4,
            self._login: 3,
        }
        return chance.choices(list(kinds), list(kinds.values()))[0](chance)

    def draw(self, number: str) -> Draw:
        """Return what a number stands for: the same edits, whoever draws it."""
        chance = random.Random(number)
        edits = tuple(self.edit(chance) for _one in range(chance.choice((1, 1, 1, 2))))
        return Draw(number, edits, chance.choices(list(AFTER), list(AFTER.values()))[0])

    def _parameter(self, chance: random.Random) -> Edit:
        setting = f"{chance.choice(self.parameters)}={chance.choice(VALUES)}"
        return Edit("server", "main.cf", setting, f"postconf -e {shlex.quote(setting)}\n")

    def _option(self, chance: random.Random) -> Edit:
        names = [one for one in self.parameters if one.startswith("smtpd_")]
        setting = f"submission/inet/{chance.choice(names)}={chance.choice(VALUES)}"
        return Edit("server", "master.cf", setting, f"postconf -P {shlex.quote(setting)}\n")

    def _file(self, chance: random.Random) -> Edit:
        areas = {
            MAIN: "main.cf",
            MASTER: "master.cf",
            self.conf: "smtpd.conf",
            self.database: "sasldb",
            "/var/log/mail.log": "log",
            "~/.mailrc": ".mailrc",
        }
        path = chance.choice(list(areas))
        host = "client" if path.startswith("~") else "server"
        command = chance.choice(
            (
                *("chmod 000 {}", "chmod 644 {}", "chmod 600 {}", "chown root:root {}"),
                *("chown nobody {}", "rm -f {}", "mv {0} {0}.away", ": > {}", "echo x >> {}"),
                "rm -f {0}; mkdir {0}",
            )
        ).format(path)
        sudo = "sudo " if host == "client" and "chown" in command else ""
        return Edit(host, areas[path], command, f"{sudo}{command}\n")

    def _service(self, chance: random.Random) -> Edit:
        command, area = chance.choice(
            (
                ("systemctl stop postfix", "postfix"),
                ("pkill -x master; pkill -x smtpd", "postfix"),
                ("systemctl stop syslog.socket rsyslog", "log"),
                ("systemctl stop syslog.socket rsyslog; : > /var/log/mail.log", "log"),
                ("systemctl stop rsyslog", "log"),
            )
        )
        return Edit("server", area, command, f"{command} || true\n")

    def _program(self, chance: random.Random) -> Edit:
        folder = "/usr/lib/x86_64-linux-gnu/sasl2"
        path = chance.choice(
            (
                *(f"{folder}/libplain.so", f"{folder}/libsasldb.so", f"{folder}/liblogin.so"),
                *("/usr/lib/postfix/sbin/smtpd", "/usr/lib/postfix/sbin/cleanup"),
                *("/usr/lib/postfix/sbin/smtp", "/usr/sbin/saslpasswd2", "/usr/bin/s-nail"),
            )
        )
        host = "client" if "nail" in path else "server"
        command = f"for one in {path}*; do mv $one $one.away; done"
        return Edit(host, "package", command, command.replace("mv", "sudo mv") + "\n")

    def _group(self, chance: random.Random) -> Edit:
        group, direction = chance.choice((("server", "ingress"), ("client", "egress")))
        return Edit(
            "cloud",
            "group",
            f"{group}: a rule of {direction} revoked",
            cloud=lambda cloud: _revoke(cloud, group, direction, chance.random()),
        )

    def _login(self, chance: random.Random) -> Edit:
        user, _at, domain = self.texts["login"].partition("@")
        command = chance.choice(
            (
                f'saslpasswd2 -d -f "{self.database}" -u {domain} {user}',
                f'printf other | saslpasswd2 -p -f "{self.database}" -u {domain} {user}',
                f'saslpasswd2 -d -f "{self.database}" -u {domain} {user}; '
                f'printf other | saslpasswd2 -p -c -f "{self.database}" {user}',
            )
        )
        return Edit("server", "sasldb", command, f"{command}\n")


def _revoke(cloud: Any, group: str, direction: str, share: float) -> Callable[[], None]:
    """Revoke one rule of a group, but ssh's; return what takes that back."""
    ec2 = cloud._aws._client("ec2")
    name = getattr(cloud.names, f"{group}_group")
    found = cloud._groups.find(name)
    key = "IpPermissions" if direction == "ingress" else "IpPermissionsEgress"
    rules = [one for one in found[key] if one.get("FromPort") != 22]
    rule = rules[int(share * len(rules))]
    getattr(ec2, f"revoke_security_group_{direction}")(
        GroupId=found["GroupId"], IpPermissions=[rule]
    )
    return lambda: getattr(ec2, f"authorize_security_group_{direction}")(
        GroupId=found["GroupId"], IpPermissions=[rule]
    )


# -- keeping, making, putting back ------------------------------------------------

_KEEP = f"""
rm -rf {KEPT}; mkdir {KEPT}
tar -C / -cpf {KEPT}/files.tar etc/postfix "${{database#/}}"
cp -a /var/log/mail.log {KEPT}/; sed -i '/daemon started/d' {KEPT}/mail.log
"""
# What restarts Postfix finds main.cf aged: a Postfix program waits where it was changed just now.
_AGE = f"touch -c -d '10 seconds ago' {MAIN} {MASTER}\n"
_RESTART = "systemctl reset-failed 'postfix*' 2>/dev/null; systemctl restart postfix || true\n"
_DO = {"restart": _RESTART, "reload": "postfix reload || true; sleep 1\n", "nothing": ""}
_BACK = f"""
for one in $(find /usr/lib/x86_64-linux-gnu/sasl2 /usr/lib/postfix /usr/sbin -name '*.away'); do
  mv "$one" "${{one%.away}}"
done
find /etc/postfix -mindepth 1 -delete; rm -rf "$database" "$database.away"
tar -C / -xpf {KEPT}/files.tar
log=/var/log/mail.log
state() {{ stat -c '%F %U:%G %a' "$1"; }}
if ! systemctl is-active -q rsyslog || [ "$(state $log)" != "$(state {KEPT}/mail.log)" ] ||
  [ -e $log.away ] || ! grep -q . $log; then
  systemctl stop syslog.socket rsyslog
  rm -rf $log $log.away; cp -a {KEPT}/mail.log $log
  systemctl start syslog.socket rsyslog
fi
cat {KEPT}/mail.log > $log
systemctl stop postfix; pkill -x master
systemctl reset-failed 'postfix*' 2>/dev/null; systemctl start postfix
postsuper -d ALL > /dev/null 2>&1
for n in $(seq 600); do
  ss -Hnlt4 | grep -q :587 && grep -q "daemon started" $log && exit
  sleep 0.1
done
exit 1
"""


def run(host: Host, script: str, as_root: bool = True, **words: str) -> str:
    values = "".join(f"{name}={shlex.quote(text)}\n" for name, text in words.items())
    status, output = host.probe("sudo sh -s" if as_root else "sh -s", stdin=values + script)
    assert status == 0, output
    return output


def keep(finished: Finished) -> Good:
    """Keep the hosts as they are now, and return what is there."""
    step = finished.step
    server, client = step.hosts.server, step.hosts.client
    conf, database = server.system.smtpd_conf, server.system.sasldb
    run(server, _KEEP, database=database)
    run(client, "cp -a ~/.mailrc ~/.good", as_root=False)
    texts = {path: server.read("sudo cat {path}", path=path) for path in (MAIN, MASTER, conf)}
    texts["~/.mailrc"] = base64.b64decode(client.read("base64 ~/.mailrc")).decode()
    texts["login"] = step.settings.login
    names = [
        line.partition(" =")[0]
        for line in server.read("postconf -d").splitlines()
        if line.startswith(PREFIXES)
    ]
    return Good(texts, tuple(sorted(names)), conf, database, step.password.reveal())


@contextmanager
def made(finished: Finished, draw: Draw) -> Iterator[None]:
    """Make the edits of a draw, and put everything back afterwards."""
    step = finished.step
    server, client = step.hosts.server, step.hosts.client
    undo: list[Callable[[], None]] = []
    try:
        on_server = "".join(one.script for one in draw.edits if one.host == "server")
        if on_server:
            # As a learner's shell does, each command runs whatever the one before it brought.
            run(server, f"{on_server}{_AGE}{_DO[draw.after]}true\n")
        for one in draw.edits:
            if one.host == "client":
                run(client, one.script + "true\n", as_root=False)
            if one.cloud:
                undo.append(one.cloud(step.cloud))
        yield
    finally:
        for back in undo:
            back()
        if any(one.host == "client" for one in draw.edits):
            run(
                client,
                "sudo rm -rf ~/.mailrc ~/.mailrc.away; cp -a ~/.good ~/.mailrc\n"
                "for one in /usr/bin/*.away; do [ -e $one ] && sudo mv $one ${one%.away}; done\n"
                "true\n",
                as_root=False,
            )
        if any(one.host == "server" for one in draw.edits):
            run(server, _BACK, database=server.system.sasldb)
