"""What can be read on the wire: the packets of one port, while something is sent.

with step.wiretap(587) as wire:
    client.run("…")
wire
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from types import TracebackType

from handson.i18n import _
from handson.view import View, escape

# Root's alone, and for a minute at most, whatever becomes of the kernel.
START = """
umask 077
setsid timeout 60 tcpdump -i any -A -l -n -s 0 tcp port {port} \
    > /root/wire.txt 2> /root/wire.log < /dev/null &
until grep -q 'listening on' /root/wire.log 2>/dev/null; do sleep 0.05; done
"""
STOP = """
sleep 0.3
pkill -x tcpdump || true
sleep 0.2
cat /root/wire.txt
rm -f /root/wire.txt /root/wire.log
"""
# What SMTP says in clear (RFC 5321), from its first letter to the end of the line.
SPOKEN = re.compile(
    r"(?:EHLO|HELO|AUTH|STARTTLS|MAIL FROM|RCPT TO|DATA|QUIT|[2-5]\d\d[ -])[ -~]*$", re.MULTILINE
)
PACKET = re.compile(r"^\d\d:\d\d:\d\d\.\d+ ", re.MULTILINE)


class Wiretap(View):
    """Listens between `with` and its end; then shows what it could read.

    `run` runs a shell script as root where the server's packets pass, `hide` puts a mask
    over what a notebook must not show.
    """

    def __init__(
        self, port: int, run: Callable[[str], str], hide: Callable[[str], str] = str
    ) -> None:
        self.port, self._run, self._hide = port, run, hide
        self.lines: list[str] = []
        self.packets = 0
        self.login = ""

    def __enter__(self) -> Wiretap:
        self._run(START.format(port=self.port))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.read(self._run(STOP))

    def read(self, captured: str) -> None:
        """Take in what tcpdump printed with -A.

        >>> wire = Wiretap(587, str)
        >>> wire.read("12:00:00.1 IP a > b\\nE..4.AUTH PLAIN AGpvZQBwdw==\\n")
        >>> wire.packets, wire.lines, wire.login
        (1, ['AUTH PLAIN AGpvZQBwdw=='], 'joe pw')
        """
        self.packets = len(PACKET.findall(captured))
        spoken = [line.rstrip() for line in SPOKEN.findall(captured.replace("\r", ""))]
        self.lines = [self._hide(line) for line in dict.fromkeys(spoken)]
        for line in spoken:
            if found := re.fullmatch(r"AUTH PLAIN ([A-Za-z0-9+/=]+)", line):
                plain = base64.b64decode(found[1]).decode(errors="replace")
                self.login = self._hide(" ".join(plain.strip("\0").split("\0")))

    @property
    def verdict(self) -> str:
        """What a listener knows now, in a sentence."""
        if self.login:
            return _("Read backwards from base64, the login is: {login}").format(login=self.login)
        if "STARTTLS" in self.lines:
            return _("After STARTTLS nothing can be read any more: no login, no mail.")
        return _("No login was sent.")

    def text(self) -> str:
        heard = _("Heard on port {port}:").format(port=self.port)
        return "\n".join([heard, *(f"  {line}" for line in self.lines), f"# {self.verdict}"])

    def html(self) -> str:
        tone = "bad" if self.login else "good"
        lines = "\n".join(escape(line) for line in self.lines)
        return (
            f'<div class="term"><pre><span class="host">tcpdump, port {self.port}</span>\n'
            f'{lines}</pre></div><div class="note-box {tone}">{escape(self.verdict)}</div>'
        )
