"""The matrix of who may relay: a coloured table, as text and as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from handson.i18n import _
from handson.mail.log import Entry
from handson.mail.relay_matrix import log
from handson.mail.relay_matrix.expected import (
    ACCEPTS,
    LOGINS,
    RECIPIENTS,
    RELAYS,
    Cell,
    Origin,
    ServerFacts,
    kind_name,
    ports_of,
)
from handson.mail.relay_matrix.explain import explain
from handson.ui.view import Note, Table, View, escape, style_sheet

STYLE = style_sheet(__package__, "view.css")


def stage_title(stage: str) -> str:
    """Return what a stage of the course is called."""
    return {
        "start": _("at the start"),
        "after_login": _("after the login came in"),
        "hardened": _("after hardening"),
    }[stage]


def login_name(login: str) -> str:
    return {
        "none": _("no login"),
        "wrong": _("wrong password"),
        "bare": _("bare user name"),
        "right": _("right login"),
    }[login]


def recipient_name(recipient: str) -> str:
    return {"own": _("own domain"), "outside": _("other domain")}[recipient]


class Matrix(View):
    """Every way to hand mail to the server, each tried: who is let through, and who should be.

    `cells` are in the order in which the dialogues were held, between `began` and `ended`
    by the server's clock.
    """

    def __init__(
        self,
        stage: str,
        facts: ServerFacts,
        cells: Sequence[Cell],
        began: datetime,
        ended: datetime,
    ) -> None:
        self.stage, self.facts, self.began, self.ended = stage, facts, began, ended
        self.cells = [replace(cell, explanation=explain(cell, facts)) for cell in cells]
        self.ports = ports_of(stage)
        self.has_log = any(cell.entry for cell in self.cells)
        places = {cell.origin.name: cell.origin for cell in sorted(self.cells, key=_number)}
        self.origins = list(places.values())
        reasons = dict.fromkeys(cell.reason for cell in sorted(self.cells, key=_number))
        self._numbers = {reason: number for number, reason in enumerate(reasons, 1)}

    @property
    def is_as_expected(self) -> bool:
        """Return whether every cell came out as it should at this stage, with no open relay."""
        return not self.differing and not self.open_relays

    @property
    def differing(self) -> list[Cell]:
        """The cells that came out otherwise."""
        return [cell for cell in sorted(self.cells, key=_number) if not cell.is_as_expected]

    @property
    def open_relays(self) -> list[Cell]:
        """The cells that relay for somebody who neither logged in nor is trusted."""
        return [cell for cell in sorted(self.cells, key=_number) if cell.is_open_relay]

    def cell(self, origin: str, port: int, login: str, recipient: str) -> Cell:
        """Return one cell, such as `cell("client", 25, "none", "outside")`; KeyError otherwise."""
        wanted = (origin, port, login, recipient)
        for cell in self.cells:
            if (cell.origin.name, cell.port, cell.login, cell.recipient) == wanted:
                return cell
        raise KeyError(wanted)

    def with_log(self, entries: Iterable[Entry]) -> Matrix:
        """Return the matrix with the line of the server's log that each try left."""
        found = log.sessions(entries, self.began, self.ended)
        cells = log.matched(self.cells, found)
        matrix = Matrix(self.stage, self.facts, cells, self.began, self.ended)
        matrix.has_log = True
        return matrix

    # -- sentences -----------------------------------------------------------

    @property
    def title(self) -> str:
        return _("Who may relay, {stage}").format(stage=stage_title(self.stage))

    def notes(self) -> list[Note]:
        """Return the verdict: open relays, what differs, or that all is as it should be."""
        frame = _("OPEN RELAY for {place} ({address}) on port {port} ({logins}). {why}")
        notes = [Note(sentence, "bad") for sentence in _sentences(self.open_relays, frame)]
        frame = _(
            "From {place} ({address}), port {port}, {logins}: {results}; "
            "expected was: {expected}. {why}"
        )
        others = [cell for cell in self.differing if not cell.is_open_relay]
        notes += [Note(sentence, "warn") for sentence in _sentences(others, frame)]
        if not notes:
            text = _("All {number} tries came out as they should. There is no open relay.")
            notes = [Note(text.format(number=len(self.cells)), "good")]
        by_address = [cell for cell in self.cells if cell.is_by_address and cell.is_as_expected]
        for cell in by_address[:1]:
            text = _(
                "For {place} ({address}) port {port} relays with no login: trust by address, "
                "not an open relay. That is what the login is to replace."
            )
            place, address = cell.origin.title, cell.origin.address
            notes.append(Note(text.format(place=place, address=address, port=cell.port), "warn"))
        return notes

    # -- faces ---------------------------------------------------------------

    def text(self) -> str:
        columns = [_("from"), _("login")]
        columns += [f"{port} {recipient_name(r)}" for port in self.ports for r in RECIPIENTS]
        rows = []
        for origin in self.origins:
            for login in LOGINS:
                found = [self.cell(origin.name, *where) for where in self._columns(login)]
                rows.append([origin.name, login_name(login), *map(self._words, found)])
        lines = [Table(columns, rows, title=self.title).text(), ""]
        lines += [note.text() for note in self.notes()]
        lines += ["", _("Why it should be so:")]
        lines += [f"[{number}] {reason}" for reason, number in self._numbers.items()]
        if self.has_log:
            lines += ["", self._log_table().text(), self._unlogged()]
        return "\n".join(lines)

    def _words(self, cell: Cell) -> str:
        words = f"{cell.label} [{self._numbers[cell.reason]}]"
        if cell.is_open_relay:
            return _("OPEN RELAY: {words}").format(words=words)
        if not cell.is_as_expected:
            expected = kind_name(cell.expected)
            return _("≠ {words}, not: {expected}").format(words=words, expected=expected)
        return _("! {words}").format(words=words) if cell.is_by_address else words

    def html(self) -> str:
        return "".join(
            [
                STYLE,
                f'<strong class="title">{escape(self.title)}</strong>',
                *(note.html() for note in self.notes()),
                f'<table class="mx">{self._head()}',
                *(self._rows(origin) for origin in self.origins),
                "</table>",
                _keys(),
                self._reasons(),
                self._log_html() if self.has_log else "",
            ]
        )

    def _head(self) -> str:
        ports = "".join(
            f'<th colspan="2">{escape(_("port {port}").format(port=port))}</th>'
            for port in self.ports
        )
        names = "".join(
            f"<th>{escape(recipient_name(r))}</th>" for _port in self.ports for r in RECIPIENTS
        )
        return (
            f'<thead><tr><th class="from" rowspan="2">{escape(_("from"))}</th>'
            f'<th class="login" rowspan="2">{escape(_("login"))}</th>{ports}</tr>'
            f"<tr>{names}</tr></thead>"
        )

    def _columns(self, login: str) -> list[tuple[int, str, str]]:
        return [(port, login, recipient) for port in self.ports for recipient in RECIPIENTS]

    def _rows(self, origin: Origin) -> str:
        rows = []
        for login in LOGINS:
            first = login == LOGINS[0]
            who = (
                f'<th class="who" rowspan="{len(LOGINS)}">{escape(origin.title)}'
                f"<small>{escape(origin.address)}</small></th>"
            )
            cells = [self._cell(self.cell(origin.name, *where)) for where in self._columns(login)]
            rows.append(
                f'<tr class="{"top" if first else ""}">{who if first else ""}'
                f'<th class="how">{escape(login_name(login))}</th>{"".join(cells)}</tr>'
            )
        return "".join(rows)

    def _cell(self, cell: Cell) -> str:
        tone, below = _tone(cell), ""
        if cell.is_open_relay:
            below = _("open relay")
        elif not cell.is_as_expected:
            tone += " other"
            below = _("expected: {kind}").format(kind=kind_name(cell.expected))
        elif cell.is_by_address:
            below = _("by address")
        return (
            f'<td class="{tone}" title="{escape(cell.explanation or cell.reason)}">'
            f"{escape(cell.label)}<sup>{self._numbers[cell.reason]}</sup>"
            + (f"<small>{escape(below)}</small>" if below else "")
            + "</td>"
        )

    def _reasons(self) -> str:
        items = "".join(f"<li>{escape(reason)}</li>" for reason in self._numbers)
        summary = escape(_("Why it should be so"))
        return f'<details class="mx-more"><summary>{summary}</summary><ol>{items}</ol></details>'

    # -- the log -------------------------------------------------------------

    def _log_rows(self) -> list[list[str]]:
        return [
            [
                cell.dialogue.name.partition(".")[0],
                _("{place} → {port}, {login}, {recipient}").format(
                    place=cell.origin.name,
                    port=cell.port,
                    login=login_name(cell.login),
                    recipient=recipient_name(cell.recipient),
                ),
                cell.label,
                _logged(cell),
            ]
            for cell in sorted(self.cells, key=_number)
            if cell.dialogue.connected == "open"
        ]

    def _log_table(self) -> Table:
        return Table(_log_columns(), self._log_rows(), title=_("What each try left in the log"))

    def _unlogged(self) -> str:
        number = sum(cell.dialogue.connected != "open" for cell in self.cells)
        return _("{number} tries left no line: Postfix never saw them.").format(number=number)

    def _log_html(self) -> str:
        name, what, _result, line = map(escape, _log_columns())
        head = f"<th>{name}</th><th>{what}</th><th>{line}</th>"
        body = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(what)}<br><b>{escape(result)}</b></td>"
            f"<td><code>{escape(line)}</code></td></tr>"
            for name, what, result, line in self._log_rows()
        )
        summary = escape(_("What each try left in the server's log"))
        return (
            f'<details class="mx-more" open><summary>{summary}</summary>'
            f'<table class="mx-log"><tr>{head}</tr>{body}</table>'
            f'<div class="quiet">{escape(self._unlogged())}</div></details>'
        )


def _log_columns() -> list[str]:
    return [
        _("EHLO"),
        _("try"),
        _("result"),
        _("line of the log"),
    ]


def _logged(cell: Cell) -> str:
    if cell.entry is None:
        return _("not found")
    queue_id = f"{cell.entry.queue_id}: " if cell.entry.queue_id else ""
    # The name that the resolver has for the client's address says nothing more than that.
    text = re.sub(r"[^\s<=]+(?=\[[0-9a-fA-F.:]+\])", "…", cell.entry.text)
    return f"{cell.entry.clock} {queue_id}{text}"


def _number(cell: Cell) -> str:
    # The names that the dialogues gave in EHLO are numbered in the order of the table.
    return cell.dialogue.name


def _tone(cell: Cell) -> str:
    if cell.is_open_relay:
        return "bad"
    if cell.is_by_address:
        return "warn"
    return "good" if cell.observed in (RELAYS, ACCEPTS) else ""


def _sentences(cells: Sequence[Cell], frame: str) -> list[str]:
    """Return one sentence for all cells of a place and port that have the same explanation."""
    groups: dict[tuple[str, int, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.origin.name, cell.port, cell.explanation), []).append(cell)
    return [
        frame.format(
            place=group[0].origin.title,
            address=group[0].origin.address,
            port=port,
            logins=", ".join(dict.fromkeys(login_name(cell.login) for cell in group)),
            results=", ".join(dict.fromkeys(cell.label for cell in group)),
            expected=", ".join(dict.fromkeys(kind_name(cell.expected) for cell in group)),
            why=explanation,
        )
        for (_origin, port, explanation), group in groups.items()
    ]


def _keys() -> str:
    keys = [
        ("good", _("let through")),
        ("", _("kept out")),
        ("warn", _("trusted by address alone")),
        ("bad", _("open relay")),
        ("other", _("other than expected")),
    ]
    spans = "".join(f'<span class="k-{tone}">{escape(words)}</span>' for tone, words in keys)
    return f'<div class="mx-keys">{spans}</div>'
