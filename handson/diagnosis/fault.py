"""What a fault is: what it changes on which host, and how the services learn of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handson.diagnosis.cause import ALL
from handson.hosts.host import Host

if TYPE_CHECKING:
    from handson.mail.observation import Scene

# postconf -M, -F and -P, with which these faults edit master.cf, came with Postfix 2.11.
EDITS_MASTER = ("al2023", "debian12")
DEBIAN = ("debian12",)

RELOAD = "postfix reload; sleep 0.3\n"
# A Postfix program waits for two seconds when its files were changed just now.
AGED = "touch -d '10 seconds ago' /etc/postfix/main.cf /etc/postfix/master.cf\n"

# A service that died at its start is throttled for a minute, which a reload does not end;
# and systemd refuses a sixth start within ten seconds.
RESTART = (
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
    """A fault: the id of its cause, a title that gives it away, and what it does where."""

    id: str
    title: str
    server: Part | None = None
    client: Part | None = None
    systems: tuple[str, ...] = ALL
    closes_port: bool = False

    def parts(self, scene: Scene) -> list[tuple[Host, Part]]:
        """Return the hosts that the fault touches, each with what it does there."""
        hosts: list[tuple[Callable[[], Host], Part | None]] = [
            (lambda: scene.server, self.server),
            (lambda: scene.client, self.client),
        ]
        return [(host(), part) for host, part in hosts if part]
