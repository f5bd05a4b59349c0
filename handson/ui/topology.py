"""The picture "where you are": the hosts, the networks, and which ways are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from handson.i18n import _
from handson.ui.svg import FAINT, FOCUS, INK, PAPER, TONE_COLOURS, Drawing, wrap
from handson.ui.view import View

# The ports that are drawn in any case.
PORTS = (25, 587)
FOCUSES = ("", "security-group", "server", "client", "submission", "mailbox", "log")


@dataclass(frozen=True)
class Way:
    """A port as a program finds that wants to send through it.

    `state` says it in a few words, `tone` is one of `handson.ui.view.TONES`, and `ends` is
    where a connection gets to: 'through' (a message gets through), 'server' (refused
    there) or 'group' (the security group drops it).

    >>> Way("times out", "bad", ends="group").is_open
    False
    """

    state: str
    tone: str = "quiet"
    ends: str = "through"

    @property
    def is_open(self) -> bool:
        return self.ends == "through"


class Topology(View):
    """The learner's computer, the server, the client, the mailbox, and the ways between.

    Addresses may be empty: not made yet. `trusts` says whom the server relays for, as in
    'mynetworks: 10.87.3.20'. `lets_in` says what the security group lets in. `ways` are those
    from the client to the server, by their ports: 25 and 587 are drawn in any case, a third
    one beside them. `focus`, one of
    `FOCUSES`, marks the part at which this step works.

    >>> Topology(ways={587: Way("closed", "bad", "group")}).ways[25].state
    'not tried yet'
    """

    def __init__(
        self,
        *,
        pc: str = "",
        server_public: str = "",
        server_private: str = "",
        client_private: str = "",
        mailbox: str = "",
        recipient: str = "",
        network: str = "",
        group: str = "",
        lets_in: str = "",
        trusts: str = "",
        ways: Mapping[int, Way] | None = None,
        focus: str = "",
    ) -> None:
        if focus not in FOCUSES:
            raise ValueError(f"focus is one of {FOCUSES}, not {focus!r}")
        self.pc, self.mailbox, self.recipient = pc, mailbox, recipient
        self.server_public, self.server_private = server_public, server_private
        self.client_private, self.network = client_private, network
        self.group, self.lets_in, self.trusts = group, lets_in, trusts
        self.ways = {port: Way(_("not tried yet")) for port in PORTS} | dict(ways or {})
        self.focus = focus

    @property
    def here(self) -> str:
        """Where this step works, in words; empty without a focus."""
        return {
            "": "",
            "security-group": _("the server's security group"),
            "server": _("the server"),
            "client": _("the client"),
            "submission": _("the server's port 587"),
            "mailbox": _("the recipient's mailbox"),
            "log": _("the server's mail log"),
        }[self.focus]

    def text(self) -> str:
        mailbox = [line for line in (self.recipient, self.mailbox) if line] or [""]
        pc = _frame(_("your computer"), [self.pc])
        mail = _frame(_("recipient's mailbox") + self._star("mailbox"), mailbox)
        pc += [" " * len(pc[0])] * (len(mail) - len(pc))
        wires = [f"v {_('ssh')}", f"^ {_('mail')}"]
        server = [
            _("public   {address}").format(address=_known(self.server_public)),
            _("private  {address}").format(address=_known(self.server_private)),
        ]
        if self.trusts:
            server.append(_("relays for {whom}").format(whom=self.trusts))
        if self.focus == "log":
            server.append(_("mail log") + self._star("log"))
        inside = [_("lets in: {ports}").format(ports=self.lets_in)] if self.lets_in else []
        inside += _frame(_("server") + self._star("server"), server)
        group = _("security group {name}").format(name=self.group).strip()
        vpc = [
            _("public subnet"),
            *_frame(group + self._star("security-group"), inside),
            *(f"   {line}" for line in self._way_lines()),
            f"   v {_('ssh')}",
            *_frame(_("client") + self._star("client"), [_known(self.client_private)]),
            _("private subnet"),
        ]
        lines = [
            _("the Internet"),
            *(f"  {left}   {right}".rstrip() for left, right in zip(pc, mail, strict=True)),
            f"     {wires[0].ljust(len(pc[0]))}   {wires[1]}",
            *_frame(_("VPC {network}").format(network=self.network).strip(), vpc),
        ]
        if self.here:
            lines.append(_("(*) you work here: {part}").format(part=self.here))
        return "\n".join(lines)

    def html(self) -> str:
        states = "; ".join(f"{_port_name(port)}: {way.state}" for port, way in self.ways.items())
        alt = _(
            "Your computer reaches the server over ssh, and through it the client. From the "
            "client to the server: {states}."
        ).format(states=states)
        return self.picture().image(alt)

    def _way_lines(self) -> list[str]:
        names = {port: f"{_port_name(port)}:" for port in self.ways}
        width = max(map(len, names.values()))
        return [
            f"^ {names[port].ljust(width)} {way.state}"
            + (self._star("submission") if port == 587 else "")
            for port, way in self.ways.items()
        ]

    def picture(self) -> Drawing:
        """Return the picture, 760 units wide."""
        drawing = Drawing(760, 424)
        drawing.box(1, 1, 758, 422, fill="#f6f8fa", line="#d0d7de", radius=12)
        self._draw_internet(drawing)
        self._draw_vpc(drawing)
        self._draw_server(drawing)
        self._draw_client(drawing)
        self._draw_wires(drawing)
        self._draw_submission_focus(drawing)
        return drawing

    def _draw_internet(self, drawing: Drawing) -> None:
        drawing.box(14, 14, 182, 396, fill="#eaf2fb", line="#c3d7ee")
        drawing.text(28, 36, _("the Internet"), 12.5, FAINT, bold=True)
        drawing.box(26, 62, 158, 72)
        _draw_computer(drawing, 38, 76)
        drawing.text(70, 88, _("your computer"), 12, bold=True, room=112)
        drawing.text(38, 118, self.pc, 11.5, FAINT, mono=True, room=140)
        self._mark(drawing, "mailbox", 26, 178, 158, 88)
        _draw_envelope(drawing, 38, 193)
        drawing.text(70, 197, _("recipient's"), 12, bold=True, room=112)
        drawing.text(70, 212, _("mailbox"), 12, bold=True, room=112)
        drawing.text(38, 236, self.recipient, 11, INK, mono=True, room=140)
        drawing.text(38, 254, self.mailbox, 11.5, FAINT, mono=True, room=140)
        self._draw_legend(drawing)

    def _draw_legend(self, drawing: Drawing) -> None:
        tones = {way.tone or "quiet" for way in self.ways.values()}
        rows = [(TONE_COLOURS[tone], "", words) for tone, words in _tones() if tone in tones]
        rows.append((FAINT, "2 5", _("ssh")))
        top = 388 - (len(rows) - 1) * 20
        for row, (colour, dash, words) in enumerate(rows):
            y = top + row * 20
            drawing.line(30, y - 4, 58, y - 4, colour, 2.4, dash)
            drawing.text(68, y, words, 11, FAINT, room=130)
        if any(not way.is_open for way in self.ways.values()):
            drawing.cross(44, top - 24, FAINT, 5)
            drawing.text(68, top - 20, _("ends there"), 11, FAINT, room=130)

    def _draw_vpc(self, drawing: Drawing) -> None:
        drawing.box(262, 14, 484, 396, fill="#fff8ec", line="#e8d2a4")
        drawing.text(276, 36, "VPC", 12.5, "#7d5a12", bold=True)
        drawing.text(308, 36, self.network, 11.5, "#7d5a12", mono=True)
        drawing.box(274, 46, 460, 196, fill="#eef8f0", line="#b9dfc2")
        drawing.text(286, 64, _("public subnet"), 11.5, "#2c6b3c", bold=True)
        drawing.box(274, 316, 460, 84, fill="#eaf3fb", line="#bcd6ee")
        drawing.text(286, 391, _("private subnet"), 11.5, "#2b5f8f", bold=True)
        here = self.focus == "security-group"
        line = FOCUS if here else "#bc4c00"
        drawing.box(
            284, 74, 440, 156, "#ddeeff" if here else PAPER, line, "7 4", 2.6 if here else 1.6
        )
        drawing.text(296, 92, _("security group"), 11.5, line, bold=True)
        drawing.text(404, 92, self.group, 10.5, line, mono=True, room=312)
        if here:
            self._pill(drawing, 724, 74)
        if self.lets_in:
            words = _("lets in: {ports}").format(ports=self.lets_in)
            drawing.text(296, 108, words, 11, FAINT, room=416)

    def _draw_server(self, drawing: Drawing) -> None:
        self._mark(drawing, "server", 300, 118, 408, 78)
        _draw_host(drawing, 312, 130)
        drawing.text(340, 139, _("server"), 12.5, bold=True)
        drawing.text(340, 154, "Postfix", 11, FAINT)
        drawing.text(408, 139, _("public"), 11, FAINT)
        drawing.text(462, 139, _known(self.server_public), 11.5, INK, mono=True, room=134)
        drawing.text(408, 155, _("private"), 11, FAINT)
        drawing.text(462, 155, _known(self.server_private), 11.5, INK, mono=True, room=134)
        if self.trusts:
            words = _("relays for {whom}").format(whom=self.trusts)
            # mynetworks may be long: two lines then, for its end is what is looked for.
            size = 11.5 if len(words) <= 54 else 10.5
            lines = wrap(words, 390, size)
            for row, line in enumerate(lines):
                y = 177 if len(lines) == 1 else 170 + row * 13
                drawing.text(312, y, line, size, INK)
        here = self.focus == "log"
        colour = FOCUS if here else FAINT
        drawing.box(
            606, 128, 92, 30, "#ddeeff" if here else "#f6f8fa", colour, "", 2.4 if here else 1, 6
        )
        for row in range(3):
            drawing.line(614, 137 + row * 6, 630 - row * 4, 137 + row * 6, colour, 1.5)
        drawing.text(638, 147, _("mail log"), 10.5, colour, bold=here, room=60)
        if here:
            self._pill(drawing, 704, 118)

    def _draw_client(self, drawing: Drawing) -> None:
        self._mark(drawing, "client", 300, 330, 408, 46)
        _draw_host(drawing, 312, 341)
        drawing.text(340, 358, _("client"), 12.5, bold=True)
        drawing.text(408, 358, _("private"), 11, FAINT)
        drawing.text(462, 358, _known(self.client_private), 11.5, INK, mono=True, room=134)

    def _draw_wires(self, drawing: Drawing) -> None:
        drawing.line(184, 92, 196, 92, FAINT, 2, "2 5")
        drawing.line(196, 92, 240, 92, FAINT, 2, "2 5")
        drawing.line(240, 92, 240, 142, FAINT, 2, "2 5")
        drawing.line(240, 142, 296, 142, FAINT, 2, "2 5", arrow=True)
        drawing.text(226, 84, "ssh", 11, FAINT, anchor="middle")
        drawing.line(298, 184, 240, 184, FAINT, 2.2)
        drawing.line(240, 184, 240, 222, FAINT, 2.2)
        drawing.line(240, 222, 190, 222, FAINT, 2.2, arrow=True)
        drawing.text(218, 216, _("mail"), 11, FAINT, anchor="middle")
        width = self._column
        for column, (port, way) in enumerate(self.ways.items()):
            self._draw_way(drawing, 322 + column * width, width - 20, port, way)
        drawing.line(694, 200, 694, 326, FAINT, 2, "2 5", arrow=True)
        drawing.text(702, 278, "ssh", 11, FAINT)

    @property
    def _column(self) -> float:
        """How wide the column of one way is."""
        return 180 if len(self.ways) == 2 else 124

    def _draw_way(self, drawing: Drawing, x: float, room: float, port: int, way: Way) -> None:
        colour = TONE_COLOURS[way.tone]
        end = {"through": 209, "server": 220, "group": 230}[way.ends]
        drawing.line(x, 328, x, end, colour, 2.6, arrow=way.is_open)
        if way.ends == "group":
            drawing.cross(x, 230, colour)
        here = port == 587 and self.focus == "submission"
        drawing.box(x - 18, 186, 36, 19, colour, colour, "", 1, 5)
        drawing.text(x, 199.5, str(port), 11.5, PAPER, bold=True, anchor="middle")
        if way.ends == "server":
            drawing.cross(x, 213, colour)
        drawing.text(x + 14, 254, _port_name(port), 12, FOCUS if here else INK, bold=True)
        for row, words in enumerate(wrap(way.state, room - 14, 11.5, 4)):
            drawing.text(x + 14, 270 + row * 14, words, 11.5, colour)

    def _draw_submission_focus(self, drawing: Drawing) -> None:
        if self.focus == "submission":
            x = 322 + self._column
            drawing.box(x - 22, 182, 44, 27, "none", FOCUS, "", 2.6, 7)
            # Beside the last port, so that it lies over none.
            last = 322 + self._column * (len(self.ways) - 1)
            self._pill(drawing, last + 22, 184, start=True)

    def _mark(
        self, drawing: Drawing, part: str, x: float, y: float, width: float, height: float
    ) -> None:
        if self.focus == part:
            drawing.box(x, y, width, height, "#ddeeff", FOCUS, "", 2.8)
            self._pill(drawing, x + width, y)
        else:
            drawing.box(x, y, width, height)

    def _pill(self, drawing: Drawing, right: float, top: float, start: bool = False) -> None:
        words = _("you work here")
        width = len(words) * 6.6 + 18
        left = right + 6 if start else right - width - 8
        y = top + 2 if start else top - 10
        drawing.box(left, y, width, 19, FOCUS, FOCUS, "", 1, 9.5)
        drawing.text(left + width / 2, y + 13.5, words, 10.5, PAPER, True, anchor="middle")

    def _star(self, part: str) -> str:
        return " (*)" if part == self.focus else ""


def _port_name(port: int) -> str:
    return _("port {port}").format(port=port)


def _tones() -> list[tuple[str, str]]:
    """Return what the colours mean."""
    return [
        ("good", _("as it should be")),
        ("warn", _("too open")),
        ("bad", _("in the way")),
        ("quiet", _("not tried yet")),
    ]


def _known(address: str) -> str:
    return address or _("not made yet")


def _frame(title: str, lines: list[str]) -> list[str]:
    width = max([len(title) + 2, *(len(line) for line in lines)])
    top = f"+- {title} ".ljust(width + 3, "-") + "+"
    return [top, *(f"| {line.ljust(width)} |" for line in lines), f"+{'-' * (width + 2)}+"]


def _draw_computer(drawing: Drawing, x: float, y: float) -> None:
    drawing.box(x, y, 24, 15, "#eef2f6", FAINT, "", 1.5, 2)
    drawing.path(f"M{x - 2} {y + 19} h28")


def _draw_envelope(drawing: Drawing, x: float, y: float) -> None:
    drawing.box(x, y, 24, 16, "#eef2f6", FAINT, "", 1.5, 2)
    drawing.path(f"M{x} {y + 1} l12 9 l12 -9")


def _draw_host(drawing: Drawing, x: float, y: float) -> None:
    for row in (0, 9, 18):
        drawing.box(x, y + row, 20, 7, "#eef2f6", FAINT, "", 1.3, 1.5)
        drawing.line(x + 4, y + row + 3.5, x + 5, y + row + 3.5, FAINT, 1.6)
