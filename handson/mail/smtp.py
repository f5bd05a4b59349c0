"""Ask a mail server from a host, word by word, what it lets a client do.

A small program goes to `python3 -` on the host by standard input, the password inside it,
so that no command line, process list or shell history ever shows a secret. What comes back
is a `Dialogue`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from handson.errors import HandsonError, InvalidInput
from handson.hosts import script
from handson.hosts.runner import Runner
from handson.i18n import _
from handson.mail.remote.dialogue import NO_ANSWER, REPLIES
from handson.secret import MASK, Secret
from handson.ui.view import View, escape

COMMAND = "python3 -"
# Where TLS comes before the first word: submissions (RFC 8314, 3.3).
IMPLICIT_TLS = 465
# What the course's own dialogues call themselves: they are no mail program of a learner.
HELO = "handson.invalid"


class Reply(NamedTuple):
    """A server's answer: the code and the text, lines parted by a newline.

    >>> print(Reply(250, "2.1.0 Ok"))
    250 2.1.0 Ok
    """

    code: int
    text: str

    @property
    def is_refusal(self) -> bool:
        """Return whether the server said no, for now (4xx) or for good (5xx)."""
        return self.code >= 400 or self.code < 0

    def lines(self) -> list[str]:
        """The lines of the answer as the server sends them (RFC 5321, 4.2.1)."""
        *first, last = self.text.split("\n")
        return [*(f"{self.code}-{line}" for line in first), f"{self.code} {last}".rstrip()]

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True)
class Job:
    """A dialogue to be held: with whom, as whom, and for whom.

    It says EHLO with `name`, AUTH PLAIN if there is a login, MAIL and RCPT, stops at the
    first refusal and says QUIT. Only with a `message` (header and body) does it send
    one. With a `certificate` (the server's own, in PEM) and where STARTTLS is offered, the
    connection is encrypted first; on port 465 it always is, before the first word. `version`
    (as in 'TLSv1_1') and `ciphers` (an OpenSSL list) are then all that the client offers.
    Where no login is offered, it is tried all the same if `insist`. With `commands`, these are
    said instead of MAIL and RCPT; one of several lines is sent at once and ends with QUIT.
    `size` (bytes) is announced where the server asks for it; 0: it is not. What a check
    (`is_check`) meets is no work of the learner: the log tells it apart.
    `timeout` are seconds for the connection, `patience` for each answer.

    Raises InvalidInput for an address that could carry a command.
    """

    host: str
    port: int
    sender: str
    recipient: str
    login: str = ""
    password: Secret | None = None
    message: str | None = None
    name: str = HELO
    certificate: str = ""
    insist: bool = True
    version: str = ""
    ciphers: str = ""
    commands: tuple[str, ...] = ()
    timeout: float = 3
    patience: float = 10
    size: int = 0
    is_check: bool = False

    def __post_init__(self) -> None:
        for text in (self.host, self.sender, self.recipient, self.login, self.name):
            if any(sign in text for sign in "\r\n<>\0"):
                raise InvalidInput(
                    _("An address in a mail dialogue may hold no line ends and no angle brackets."),
                    _("Correct the address and run the cell again."),
                )

    def given(self) -> dict[str, Any]:
        """Return the job for the program; it holds the password in clear."""
        password = self.password.reveal() if self.password else ""
        return {**vars(self), "password": password, "implicit": self.port == IMPLICIT_TLS}


def compose(call: str, given: Mapping[str, Any], *names: str) -> str:
    """Return files of `remote/` as one program that ends with a call; it may name `given`.

    The text holds the passwords of `given`: it must not be printed or stored.
    """
    parts = [script.read(__package__, name) for name in names]
    # A line of its own: no error of the call shows it.
    return "\n".join([*parts, f"given = json.loads({json.dumps(given)!r})", call])


@dataclass(frozen=True, repr=False)
class Dialogue(View):
    """What a mail server answered to a client, command by command.

    After STARTTLS, `ehlo` is the answer to the second EHLO, which was encrypted.

    `connected` is 'open', 'refused' (nothing listens), 'timed out' (something on the way
    swallows the packets) or 'unreachable' (`error` says why). A reply that is None was not
    asked for, because an earlier answer was a refusal or because it was not wanted. `tls` is
    the version of TLS ('TLSv1.3'; empty: in clear), `said` the further commands with all that
    was answered to each.
    """

    host: str
    port: int
    sender: str
    recipient: str
    login: str
    name: str
    connected: str
    banner: Reply | None = None
    starttls: Reply | None = None
    ehlo: Reply | None = None
    auth: Reply | None = None
    mail: Reply | None = None
    rcpt: Reply | None = None
    data: Reply | None = None
    sent: Reply | None = None
    error: str = ""
    tls: str = ""
    said: tuple[tuple[str, tuple[Reply, ...]], ...] = ()

    @classmethod
    def parse(cls, output: str) -> Dialogue:
        """Return the dialogue that the program printed."""
        try:
            found: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
            replies = {key: Reply(*found.pop(key)) for key in REPLIES if found[key]}
            said = tuple((command, tuple(Reply(*a) for a in got)) for command, got in found["said"])
            return cls(**{**found, **replies, "said": said})
        except (ValueError, IndexError, KeyError, TypeError):
            raise HandsonError(
                _("The mail dialogue on the host gave no result: {output}").format(
                    output=output.strip()[-300:] or _("nothing was printed")
                ),
                _("See whether `python3 --version` works on the host."),
            ) from None

    @property
    def is_open(self) -> bool:
        """Return whether there was a connection."""
        return self.connected == "open"

    @property
    def is_silent(self) -> bool:
        """Return whether nothing was said at all: another dialogue would wait for nothing too."""
        return self.connected == "timed out" or (self.is_open and self.banner is None)

    @property
    def is_waiting(self) -> bool:
        """Return whether the server owes an answer: at the start, or to a command."""
        return self.is_silent or self.error == NO_ANSWER

    @property
    def is_logged_in(self) -> bool:
        """Return whether the server took the login (235)."""
        return self.auth is not None and self.auth.code == 235

    @property
    def is_accepted(self) -> bool:
        """Return whether the server takes a message for this recipient."""
        return self.rcpt is not None and not self.rcpt.is_refusal

    @property
    def refusal(self) -> Reply | None:
        """The first answer that was a no."""
        replies = [*(getattr(self, name) for name in REPLIES), *self.answers]
        return next((reply for reply in replies if reply and reply.is_refusal), None)

    @property
    def refused(self) -> list[str]:
        """The further commands that the server refused; of several lines, the first one."""
        return [
            command.splitlines()[0] + (" …" if "\n" in command else "")
            for command, replies in self.said
            if any(reply.is_refusal for reply in replies)
        ]

    @property
    def answers(self) -> list[Reply]:
        """The answers to the further commands, in their order."""
        return [reply for _command, replies in self.said for reply in replies]

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
        """Return what the client said, with a mask for the login, and each answer.

        Where it said further commands, these are what it is about: only the login comes before.
        """
        said = [
            ("", self.banner),
            ("STARTTLS", self.starttls),
            (f"EHLO {self.name}", self.ehlo),
            (f"AUTH PLAIN {MASK}", self.auth),
            (f"MAIL FROM:<{self.sender}>", self.mail),
            (f"RCPT TO:<{self.recipient}>", self.rcpt),
            ("DATA", self.data),
            (".", self.sent),
        ]
        said = said[3:] if self.said else said
        for command, (first, *more) in self.said:
            said += [(_shown(command), first), *(("", reply) for reply in more)]
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
        if self.refused:
            return _("The server refused: {commands}").format(commands=", ".join(self.refused))
        if self.refusal:
            return _("Refused: {reply}").format(reply=self.refusal)
        if self.error:
            return _("{place} broke off: {error}.").format(place=place, error=self.error)
        if self.sent:
            return _("The message was taken.")
        if self.said:
            return _("The server refused nothing.")
        return _("The server would take a message for {recipient}.").format(
            recipient=self.recipient
        )

    def text(self) -> str:
        lines = []
        if self.tls and not self.starttls and not self.said:
            lines.append(_("# {version}, before the first word").format(version=self.tls))
        for command, reply in self.exchange():
            lines += [f"C: {line}" for line in command.splitlines()]
            lines += [f"S: {line}" for line in (reply.lines() if reply else [])]
        return "\n".join([*lines, f"# {self.outcome()}"])

    def html(self) -> str:
        lines = []
        for line in self.text().splitlines():
            kind = {"C:": "cmd", "# ": "note"}.get(line[:2], "")
            lines.append(f'<span class="{kind}">{escape(line)}</span>')
        return '<div class="term"><pre>' + "\n".join(lines) + "</pre></div>"


def _shown(command: str) -> str:
    r"""Return a command as a reader sees it: a line end that is a bare LF is marked.

    >>> _shown("one\r\ntwo\n.").splitlines()
    ['one', 'two<LF>', '.']
    """
    return "\n".join(line.replace("\n", "<LF>\n") for line in command.split("\r\n"))


def ask(speaker: Runner, job: Job) -> Dialogue:
    """Hold one dialogue from the host `speaker`, as `ask_all` does several."""
    return ask_all(speaker, [job])[0]


def ask_all(
    speaker: Runner, jobs: Sequence[Job], seconds: float = 20, pause: float = 0
) -> list[Dialogue]:
    """Hold several dialogues from the host `speaker`, one after the other, by one command.

    It ends within some `seconds`, waits for a `pause` (seconds) after each dialogue, and
    waits once only for a place that does not answer. Raises HandsonError when the host
    cannot run the program.
    """
    given = {"jobs": [job.given() for job in jobs], "seconds": seconds, "pause": pause}
    program = compose("hold_all(given)", given, "dialogue.py")
    output = speaker.probe(COMMAND, stdin=program)[1]
    lines = output.strip().splitlines()
    if len(lines) < len(jobs):
        lines = [output]  # an error: parsing it tells
    return [Dialogue.parse(line) for line in lines[-len(jobs) :]]
