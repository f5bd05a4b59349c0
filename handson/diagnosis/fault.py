"""What a fault is: what it changes on which host, and how the services learn of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handson.hosts.host import Host
from handson.hosts.systems import System, anywhere
from handson.i18n import _
from handson.mail.postfix import MAIN_CF, MASTER_CF

if TYPE_CHECKING:
    from handson.mail.observation import Observation


RELOAD_SH = "postfix reload; sleep 0.3\n"
# A Postfix program waits for two seconds when its files were changed just now.
AGED = "touch -d '10 seconds ago' /etc/postfix/main.cf /etc/postfix/master.cf\n"

# A service that died at its start is throttled for a minute, which a reload does not end;
# and systemd refuses a sixth start within ten seconds.
RESTART_SH = (
    "systemctl reset-failed 'postfix*' 2>/dev/null || true\nsystemctl restart postfix || true\n"
)


@dataclass(frozen=True)
class Part:
    """What a fault does on one host.

    `files` are all paths that it changes or makes, `script` the shell commands that do it
    (as root on the server, as the user on the client), `mailrc` the text of the client's
    new `~/.mailrc`, `after` the commands that follow once the files are put back. In
    `files` and scripts `$database`, `$conf` … stand for what is so on this host.
    """

    files: tuple[str, ...] = ()
    script: str = ""
    mailrc: str = ""
    after: str = ""


@dataclass(frozen=True)
class Fault:
    """What brings a cause about: a title that gives it away, and what it does where.

    `arises` tells on which systems it can be injected.
    """

    _title: str
    server: Part | None = None
    client: Part | None = None
    arises: Callable[[System], bool] = anywhere
    closes_port: bool = False

    @property
    def title(self) -> str:
        return _(self._title)

    def parts(self, observed: Observation) -> list[tuple[Host, Part]]:
        """Return the hosts that the fault touches, each with what it does there."""
        hosts: list[tuple[Callable[[], Host], Part | None]] = [
            (lambda: observed.server, self.server),
            (lambda: observed.client, self.client),
        ]
        return [(host(), part) for host, part in hosts if part]


# What the submission service sets for itself would hide a fault in main.cf.
DROP = 'drop() { postconf -PX "$service/$1" 2>/dev/null || true; }\n'


def in_main_cf(title: str, setting: str, after: str = RELOAD_SH, drop: str = "") -> Fault:
    """Return the fault of a wrong value in main.cf; `drop` is a parameter that would hide it."""
    name = setting.partition("=")[0]
    script = f"{DROP}drop {name}\n" + (f"drop {drop}\n" if drop else "")
    script += f"postconf -e '{setting}'\n{AGED}{after}"
    return Fault(title, Part((MAIN_CF, MASTER_CF), script, after=after))


def in_master_cf(title: str, edit: str, after: str = RELOAD_SH) -> Fault:
    """Return the fault of a wrong line in master.cf."""
    part = Part((MASTER_CF,), f"{DROP}{edit}\n{AGED}{after}", after=RESTART_SH)
    return Fault(title, part)


def in_smtpd_conf(title: str, edit: str, after: str = RELOAD_SH) -> Fault:
    """Return the fault of a wrong line in smtpd.conf."""
    return Fault(title, Part(("$conf",), f"{edit}\n{RELOAD_SH}", after=after))


# -- the mail program's settings ------------------------------------------------

MAIL_FILES = ("~/.mailrc", "~/.netrc")
LOGIN = """\
set smtp-auth=plain
set smtp-auth-user={login}
set smtp-auth-password={password}
set sendwait
"""


def in_mailrc(title: str, text: str, server: Part | None = None, **more: Any) -> Fault:
    """Return the fault of wrong settings of the mail program, some with a server that fits."""
    return Fault(title, server, Part(MAIL_FILES, mailrc=text), **more)
