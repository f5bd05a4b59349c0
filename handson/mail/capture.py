"""What others can read on the network: the packets of one port, while something is sent.

with step.wiretap(587) as wire:
    client.run("…")
wire
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from types import TracebackType

from handson.cloud.targets import Tap
from handson.hosts import script
from handson.i18n import _
from handson.mail.smtp import IMPLICIT_TLS
from handson.ui.view import View, escape

# A packet as tcpdump prints it: a line about it, which ends with its length (and with what it
# reads there on port 25), and its bytes.
PACKET = re.compile(r"^\d\d:\d\d:\d\d\.\d+ .*, length (\d+)(?:: SMTP.*)?$", re.MULTILINE)
# What tcpdump says of itself at its end, of those that it could not take in.
DROPPED = re.compile(r"^(\d+) packets? dropped by kernel$", re.MULTILINE)
# A login in base64: behind AUTH PLAIN, or on a line of its own (RFC 4954).
CODED = re.compile(r"(?:AUTH PLAIN )?([A-Za-z0-9+/]{8,}={0,2})")


class OnHost:
    """Reads a host's packets on the host itself; `run` runs a shell script there as root."""

    def __init__(self, run: Callable[[str], str]) -> None:
        self.run = run

    def capture(self, instance: str, port: int) -> None:
        listen = script.read(__package__, "listen.sh")
        self.run(script.assign({"port": str(port)}) + listen)

    def captured(self, instance: str) -> str:
        return self.run(script.read(__package__, "heard.sh"))


class Wiretap(View):
    """Listens between `with` and its end; then shows what it could read.

    `tap` reads the packets of an instance, `hide` puts a mask over what a notebook must not
    show.
    """

    def __init__(
        self, port: int, tap: Tap, instance: str = "", hide: Callable[[str], str] = str
    ) -> None:
        self.port, self._tap, self._instance, self._hide = port, tap, instance, hide
        self.lines: list[str] = []
        self.unreadable = self.missed = 0
        self.login = ""

    def __enter__(self) -> Wiretap:
        self._tap.capture(self._instance, self.port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.read(self._tap.captured(self._instance))

    def read(self, captured: str) -> None:
        """Take in what tcpdump printed with -A, after what it said of itself.

        >>> wire = Wiretap(587, OnHost(str))
        >>> wire.read("12:00:00.1 IP a > b, length 25\\nE..4.AUTH PLAIN AGpvZQBwdw==\\n\\n")
        >>> wire.lines, wire.login
        (['AUTH PLAIN AGpvZQBwdw=='], 'joe pw')
        """
        before, *parts = PACKET.split(captured)
        found = DROPPED.search(before)
        self.missed = int(found[1]) if found else 0
        lengths, blocks = parts[::2], parts[1::2]
        sent = [_payload(block, int(length)) for length, block in zip(lengths, blocks, strict=True)]
        # On port 465 nothing is said in clear at all (RFC 8314).
        self.lines, self.unreadable, secured = [], 0, self.port == IMPLICIT_TLS
        for text in filter(None, sent):
            is_answer = False
            if self.lines[-1:] == ["STARTTLS"]:
                # The server's answer to it is the last thing that is said in clear; on a busy
                # machine that packet may have been missed.
                secured, is_answer = True, text.startswith("220")
            if secured and not is_answer:
                self.unreadable += 1
                continue
            for line in text.splitlines():
                if found := CODED.fullmatch(line):
                    self._take_login(found[1])
                self.lines.append(self._hide(line))

    def _take_login(self, coded: str) -> None:
        with contextlib.suppress(ValueError):
            plain = base64.b64decode(coded, validate=True).decode()
            if plain.count("\0") == 2:
                self.login = self._hide(" ".join(plain.strip("\0").split("\0")))

    @property
    def verdict(self) -> str:
        """What a listener knows, in a sentence."""
        if self.login:
            return _("Read backwards from base64, the login is: {login}").format(login=self.login)
        if "STARTTLS" in self.lines:
            return _("After STARTTLS neither the login nor the message can be read.")
        if self.unreadable:
            return _("Neither the login nor the message can be read: TLS comes before both.")
        if self.missed:
            return _("No login was captured, but {count} packets are missing.").format(
                count=self.missed
            )
        return _("No login was sent.")

    @property
    def _heard(self) -> list[str]:
        noise = [_("(then packets whose content is encrypted)")] if self.unreadable else []
        if self.missed:
            noise.append(_("({count} packets could not be captured)").format(count=self.missed))
        return [*self.lines, *noise]

    def text(self) -> str:
        heard = _("Captured on port {port}:").format(port=self.port)
        return "\n".join([heard, *(f"  {line}" for line in self._heard), f"# {self.verdict}"])

    def html(self) -> str:
        tone = "bad" if self.login else "good"
        lines = "\n".join(escape(line) for line in self._heard)
        return (
            f'<div class="term"><pre><span class="host">tcpdump, port {self.port}</span>\n'
            f'{lines}</pre></div><div class="note-box {tone}">{escape(self.verdict)}</div>'
        )


def _payload(block: str, length: int) -> str:
    """Return the bytes that a packet carried: the last ones of what tcpdump printed of it.

    Its headers come first. A line end stands for two bytes, since tcpdump -A leaves out the
    CR; what cannot be printed is a dot.
    """
    block = block.removesuffix("\n")
    start, count = len(block), 0
    while start > 0 and count < length:
        start -= 1
        count += 2 if block[start] == "\n" else 1
    return block[start:]
