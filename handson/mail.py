"""Ask a mail server from a host, word by word, what it lets a client do.

A small program goes to `python3 -` on the host by standard input, the password inside it,
so that no command line, process list or shell history ever shows a secret. What comes back
is a `Dialogue`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from handson.errors import HandsonError, InvalidInput
from handson.i18n import _
from handson.secret import MASK, Secret
from handson.view import View, escape

COMMAND = "python3 -"
_REPLIES = ("banner", "ehlo", "auth", "mail", "rcpt", "data", "sent")

# Runs on a host: the standard library only, and nothing newer than Python 3.7.
_PROGRAM = r"""
import base64, smtplib, socket, time
out = {key: given[key] for key in ("host", "port", "sender", "recipient", "login", "name")}
out.update({"connected": "open", "banner": None, "ehlo": None, "auth": None, "mail": None,
       "rcpt": None, "data": None, "sent": None, "error": ""})
deadline = time.monotonic() + 20

def reply(answer):
    code, text = answer
    return [code, text.decode("utf-8", "replace")]

def ask(server, *words):
    server.sock.settimeout(max(0.1, min(10, deadline - time.monotonic())))
    return reply(server.docmd(*words))

def converse(server):
    out["banner"] = reply(server.getreply())
    if out["banner"][0] != 220:
        return
    out["ehlo"] = ask(server, "EHLO", given["name"])
    if out["ehlo"][0] != 250:
        return
    if given["login"]:
        plain = "\0" + given["login"] + "\0" + given["password"]
        coded = base64.b64encode(plain.encode("utf-8")).decode("ascii")
        out["auth"] = ask(server, "AUTH", "PLAIN " + coded)
        if out["auth"][0] != 235:
            return
    for name, words in (("mail", ("MAIL", "FROM:<" + given["sender"] + ">")),
                        ("rcpt", ("RCPT", "TO:<" + given["recipient"] + ">"))):
        out[name] = ask(server, *words)
        if out[name][0] >= 400:
            return
    if given["message"] is None:
        ask(server, "RSET")
        return
    out["data"] = ask(server, "DATA")
    if out["data"][0] == 354:
        text = smtplib.quotedata(given["message"]).rstrip("\r\n")
        server.send((text + "\r\n.\r\n").encode("utf-8"))
        out["sent"] = reply(server.getreply())

sock = None
try:
    sock = socket.create_connection((given["host"], given["port"]), given["timeout"])
except ConnectionRefusedError:
    out["connected"] = "refused"
except socket.timeout:
    out["connected"] = "timed out"
except OSError as error:
    out["connected"] = "unreachable"
    out["error"] = error.strerror or str(error)
if sock is not None:
    server = smtplib.SMTP()
    server.sock = sock
    server.sock.settimeout(10)
    try:
        converse(server)
        ask(server, "QUIT")
    except socket.timeout:
        out["error"] = "no answer"
    except (smtplib.SMTPException, OSError):
        out["error"] = "connection closed by the server"
    finally:
        server.close()
print(json.dumps(out))
"""


class Speaker(Protocol):
    """A host that can run a command with something on its standard input."""

    def probe(self, command: str, stdin: str = "", **values: object) -> tuple[int, str]: ...


class Reply(NamedTuple):
    """A server's answer: the code and the text, lines parted by a newline.

    >>> print(Reply(250, "2.1.0 Ok"))
    250 2.1.0 Ok
    """

    code: int
    text: str

    @property
    def is_refusal(self) -> bool:
        """Tell whether the server said no, for now (4xx) or for good (5xx)."""
        return self.code >= 400 or self.code < 0

    def lines(self) -> list[str]:
        """The answer as it comes over the line (RFC 5321, 4.2.1)."""
        *first, last = self.text.split("\n")
        return [*(f"{self.code}-{line}" for line in first), f"{self.code} {last}".rstrip()]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def dialogue_program(
    host: str,
    port: int,
    *,
    sender: str,
    recipient: str,
    login: str = "",
    password: Secret | None = None,
    message: str | None = None,
    name: str = "handson.invalid",
    timeout: float = 3,
) -> str:
    """Return the program that talks to `host`:`port`; feed it to `COMMAND` on a host.

    It says EHLO, AUTH PLAIN if there is a login, MAIL and RCPT, stops at the first refusal
    and takes its leave. Only with a `message` (header and body) does it send one. `timeout`
    are seconds for the connection; the rest ends within some twenty.

    The text holds the password: it must not be printed or stored.
    """
    for text in (host, sender, recipient, login, name):
        if any(sign in text for sign in "\r\n<>\0"):
            raise InvalidInput(
                _("An address in a mail dialogue may hold no line ends and no angle brackets."),
                _("Correct the address and run the cell again."),
            )
    given = {
        "host": host,
        "port": port,
        "sender": sender,
        "recipient": recipient,
        "login": login,
        "password": password.reveal() if password else "",
        "message": message,
        "name": name,
        "timeout": timeout,
    }
    return f"import json; given = json.loads({json.dumps(given)!r})\n{_PROGRAM}"


@dataclass(frozen=True, repr=False)
class Dialogue(View):
    """What a mail server answered to a client, command by command.

    `connected` is 'open', 'refused' (nothing listens), 'timed out' (something on the way
    swallows the packets) or 'unreachable' (`error` says why). A reply that is None was not
    asked for, because an earlier answer was a refusal or because it was not wanted.
    """

    host: str
    port: int
    sender: str
    recipient: str
    login: str
    name: str
    connected: str
    banner: Reply | None = None
    ehlo: Reply | None = None
    auth: Reply | None = None
    mail: Reply | None = None
    rcpt: Reply | None = None
    data: Reply | None = None
    sent: Reply | None = None
    error: str = ""

    @classmethod
    def parse(cls, output: str) -> Dialogue:
        """Return the dialogue that the program of `dialogue_program` printed."""
        try:
            found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
            replies = {key: Reply(*found.pop(key)) for key in _REPLIES if found[key]}
            return cls(**{**found, **replies})
        except (ValueError, IndexError, KeyError, TypeError):
            raise HandsonError(
                _("The mail dialogue on the host gave no result: {output}").format(
                    output=output.strip()[-300:] or _("nothing was printed")
                ),
                _("See whether `python3 --version` works on the host."),
            ) from None

    @property
    def is_open(self) -> bool:
        """Tell whether there was a connection."""
        return self.connected == "open"

    @property
    def is_logged_in(self) -> bool:
        """Tell whether the server took the login (235)."""
        return self.auth is not None and self.auth.code == 235

    @property
    def is_accepted(self) -> bool:
        """Tell whether the server takes a message for this recipient."""
        return self.rcpt is not None and not self.rcpt.is_refusal

    @property
    def refusal(self) -> Reply | None:
        """The first answer that was a no."""
        replies = (getattr(self, name) for name in _REPLIES)
        return next((reply for reply in replies if reply and reply.is_refusal), None)

    @property
    def extensions(self) -> dict[str, tuple[str, ...]]:
        """What the server offers after EHLO, keyword by keyword (RFC 5321, 4.1.1.1).

        An answer `250-AUTH PLAIN` becomes `{"AUTH": ("PLAIN",)}`.
        """
        if not self.ehlo or self.ehlo.is_refusal:
            return {}
        lines = (line.split() for line in self.ehlo.text.split("\n")[1:])
        return {words[0].upper(): tuple(words[1:]) for words in lines if words}

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The login mechanisms that the server offers; empty if it offers no login."""
        return self.extensions.get("AUTH", ())

    def exchange(self) -> list[tuple[str, Reply | None]]:
        """Return what the client said, with a mask for the login, and each answer."""
        said = [
            ("", self.banner),
            (f"EHLO {self.name}", self.ehlo),
            (f"AUTH PLAIN {MASK}", self.auth),
            (f"MAIL FROM:<{self.sender}>", self.mail),
            (f"RCPT TO:<{self.recipient}>", self.rcpt),
            ("DATA", self.data),
            (".", self.sent),
        ]
        return [(command, reply) for command, reply in said if reply]

    def outcome(self) -> str:
        """Say in a sentence how it ended."""
        place = f"{self.host}:{self.port}"
        if self.connected == "refused":
            return _("{place} refuses the connection: nothing listens there.").format(place=place)
        if self.connected == "timed out":
            return _("{place} does not answer: the packets are dropped on the way.").format(
                place=place
            )
        if not self.is_open:
            return _("{place} cannot be reached: {error}.").format(place=place, error=self.error)
        if self.refusal:
            return _("Refused: {reply}").format(reply=self.refusal)
        if self.error:
            return _("{place} broke off: {error}.").format(place=place, error=self.error)
        if self.sent:
            return _("The message was taken.")
        return _("The server would take a message for {recipient}.").format(
            recipient=self.recipient
        )

    def text(self) -> str:
        lines = []
        for command, reply in self.exchange():
            lines += [f"C: {command}"] if command else []
            lines += [f"S: {line}" for line in (reply.lines() if reply else [])]
        return "\n".join([*lines, f"# {self.outcome()}"])

    def html(self) -> str:
        lines = []
        for line in self.text().splitlines():
            kind = {"C:": "cmd", "# ": "note"}.get(line[:2], "")
            lines.append(f'<span class="{kind}">{escape(line)}</span>')
        return '<div class="term"><pre>' + "\n".join(lines) + "</pre></div>"


def ask(
    speaker: Speaker,
    host: str,
    port: int,
    *,
    sender: str,
    recipient: str,
    login: str = "",
    password: Secret | None = None,
    message: str | None = None,
) -> Dialogue:
    """Talk to `host`:`port` from the host `speaker`, and return the dialogue.

    Without a `message` nothing is sent: the dialogue ends when the server has said whether
    it would take one. Raises HandsonError when the host cannot run the program.
    """
    program = dialogue_program(
        host,
        port,
        sender=sender,
        recipient=recipient,
        login=login,
        password=password,
        message=message,
    )
    return Dialogue.parse(speaker.probe(COMMAND, stdin=program)[1])
