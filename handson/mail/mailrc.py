"""The mail program's settings on the client, and whether the server takes what they hold.

A program on the client reads `~/.mailrc` and `~/.netrc` as Heirloom mailx or s-nail does and
tries the login in them over SMTP, up to RCPT. No password leaves the host: what comes back
tells only whether there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from handson.errors import HandsonError
from handson.hosts.host import Host
from handson.i18n import _
from handson.mail.smtp import COMMAND, Dialogue, Job, compose


@dataclass(frozen=True)
class Mailrc:
    """What the mail program would do with the settings that it has.

    `mode` and `netrc_mode` are those of the two files, '' where there is none. `user` is
    whom it logs in as, '' when it does not try; `named` is the name in the settings all the
    same. `source` is the file that holds the password. `dialogue` is how the server
    answered.
    """

    mode: str = ""
    netrc_mode: str = ""
    is_v15: bool = False
    old_names: list[str] = field(default_factory=list)
    user: str = ""
    named: str = ""
    source: str = ""
    mechanism: str = ""
    port: int = 587
    address: str = ""
    has_target: bool = False
    uses_netrc: bool = False
    uses_tls: bool = False
    verifies: bool = True
    ca_file: str = ""
    dialogue: Dialogue | None = None

    @classmethod
    def take(
        cls, host: Host, server: str, sender: str, recipient: str, is_silent: bool = False
    ) -> Mailrc:
        """Read the settings on a host and try them; where they name no server, on `server`.

        `is_silent` tells that port 587 there is known to give no answer.
        """
        given = {
            "job": Job(server, 587, sender, recipient, timeout=1.05, patience=5).given(),
            "dialect": host.system.mail_dialect,
            "is_silent": is_silent,
        }
        program = compose("report(given, hold)", given, "dialogue.py", "mailrc.py")
        return cls.parse(host.probe(COMMAND, stdin=program)[1])

    @classmethod
    def parse(cls, output: str) -> Mailrc:
        """Return what the program printed; raise HandsonError when that is nothing of use."""
        try:
            found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
            return cls(**found["settings"], dialogue=Dialogue.parse(json.dumps(found["talk"])))
        except (ValueError, IndexError, KeyError, TypeError):
            raise HandsonError(
                _("The mail program's settings could not be read: {output}").format(
                    output=output.strip()[-300:] or _("nothing was printed")
                ),
                _("See whether `python3 --version` works on the client."),
            ) from None

    @property
    def is_there(self) -> bool:
        """Tell whether there are any settings of a mail program."""
        return bool(self.mode)

    @property
    def secret_mode(self) -> str:
        """The mode of the file that holds the password, '' when there is no password."""
        return {"~/.mailrc": self.mode, "~/.netrc": self.netrc_mode}.get(self.source, "")
