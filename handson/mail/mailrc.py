"""The mail program's settings on the client, and whether the server takes what they hold.

A program on the client reads `~/.mailrc` and `~/.netrc` as Heirloom mailx or s-nail does and
tries the login in them over SMTP, up to RCPT. No password leaves the host: what comes back
tells only whether there is one.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from handson.errors import HandsonError
from handson.hosts.host import Host
from handson.i18n import _
from handson.mail.smtp import COMMAND, Dialogue, Job, compose


@dataclass(frozen=True)
class Mailrc:
    """What the mail program would do with the settings that it has.

    `mode` and `netrc_mode` are those of the two files, '' where there is none; `secret_mode` is
    that of the file that holds the password. `user` is
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
    secret_mode: str = ""
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
        cls,
        host: Host,
        server: str,
        sender: str,
        recipient: str,
        is_silent: bool = False,
        patience: float = 5,
    ) -> Mailrc:
        """Read the settings on a host and try them; where they name no server, on `server`.

        `is_silent` tells that port 587 there is known to give no answer; `patience` are the
        seconds that it waits for one.
        """
        given = {
            "job": Job(server, 587, sender, recipient, timeout=1.05, patience=patience).given(),
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
        """Return whether there are any settings of a mail program."""
        return bool(self.mode or self.source)


@dataclass(frozen=True)
class ProgramTry:
    """What the mail program itself met when it sent with its own settings, up to RCPT.

    It sends to the recipient and to an address that no server can take ("a..b" is no domain,
    RFC 5321, 4.1.2). A server that takes the first and refuses the second for its syntax would
    relay; no message is sent by it. `output` is what the program said, `command` how it was
    called; where the server is known to give no answer, it is not called: the command is ''.
    """

    command: str
    status: int
    output: str
    token: str

    @classmethod
    def make(
        cls, host: Host, found: Mailrc, server: str, sender: str, recipient: str
    ) -> ProgramTry:
        """Have the mail program of a host try; where its settings name no server, on `server`."""
        if found.dialogue and found.dialogue.is_waiting:
            return cls("", 1, found.dialogue.outcome(), "")
        token = f"handson-{secrets.token_hex(4)}"
        target = "" if found.has_target else "-S smtp=smtp://{server}:587 "
        command = (
            "echo handson | DEAD=/dev/null timeout 15 {mail} -S sendwait -S nosave -s handson "
            + target
            + "-r {sender} {recipient} {probe} 2>&1"
        )
        values = {
            "server": server,
            "sender": sender,
            "recipient": recipient,
            "probe": f"{token}@a..b",
        }
        status, output = host.probe(command, **values)
        return cls(host.fill(command, **values), status, output.strip(), token)

    @property
    def is_accepted(self) -> bool:
        """Return whether the server took the recipient: then it was the other that it refused.

        Only an answer of the server counts: a mail program may look at addresses itself.
        """
        # With soft_bounce the server says 4.1.3 instead (RFC 3463: bad syntax of a recipient).
        syntax = [line for line in self._answers if re.search(r" [45]\.1\.3 ", line)]
        others = syntax or [line for line in self._answers if self.token in line]
        return self.status == 0 or (bool(self.token) and bool(others))

    @property
    def is_answered(self) -> bool:
        """Return whether the server said no, and not the mail program itself."""
        return bool(self._answers)

    @property
    def is_there(self) -> bool:
        """Return whether there is a mail program at all."""
        return self.status != 127

    @property
    def answer(self) -> str:
        """The server's answer in the program's words, or the last thing that it said."""
        said = [line for line in self._lines if "message not sent" not in line]
        return next(iter(self._answers or said[-1:]), "")

    def outcome(self) -> str:
        """Say in a sentence how it ended."""
        if not self.is_accepted:
            return self.answer
        return _(
            "The server would take a message for the recipient; of two it refused only the other, "
            "which no server can take."
        )

    @property
    def _lines(self) -> list[str]:
        # The program's name stands before what it says.
        return [re.sub(r"^[\w.-]+: ", "", line) for line in self.output.splitlines()]

    @property
    def _answers(self) -> list[str]:
        return [line for line in self._lines if re.search(r"\b[45]\d\d[ -]", line)]
