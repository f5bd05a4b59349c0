"""Which line of the server's log belongs to which dialogue of the matrix.

Postfix logs the name that a client gave in EHLO only where it refuses a recipient, and the
number of the process, not the client's port. So the sessions of one address are brought
into their order and matched with the dialogues, which were held one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from handson.mail.log import Entry, moment
from handson.mail.relay_matrix.expected import ACCEPTS, LOGIN_FAILS, REFUSED, RELAYS, Cell

_ADDRESS = re.compile(r"\[([0-9a-fA-F.:]+)\](?::\d+)?(?:[:, ]|$)")
_HELO = re.compile(r" helo=<(.*?)>")
_FAILED = re.compile(r"SASL \S+ authentication failed|AUTH command rate limit exceeded")
_USERNAME = re.compile(r"sasl_username=([^,\s]+)")


@dataclass
class SmtpdSession:
    """What one smtpd process logged of one connection, in the order of the log."""

    address: str
    order: int
    entries: list[Entry] = field(default_factory=list)

    def find(self, pattern: str | re.Pattern[str]) -> Entry | None:
        return next((entry for entry in self.entries if re.search(pattern, entry.text)), None)

    @property
    def names(self) -> set[str]:
        """The names that the client gave in EHLO, where the log tells them."""
        return {name for entry in self.entries for name in _HELO.findall(entry.text)}


def sessions(entries: Iterable[Entry], began: datetime, ended: datetime) -> list[SmtpdSession]:
    """Return the sessions that the log tells of between two moments, in their order.

    Two connections may be made at once and be used one after the other: it is the first
    line after the connection that counts. A log that cannot keep up loses lines, even that
    of the connection; then the next line of the process begins the session.
    """
    found: list[SmtpdSession] = []
    running: dict[tuple[str, int], SmtpdSession] = {}
    for number, entry in enumerate(entries):
        if not entry.program.endswith("/smtpd"):
            continue
        process = (entry.program, entry.pid)
        is_connect = entry.text.startswith("connect from ")
        if is_connect:
            running.pop(process, None)
        if process not in running:
            address = _ADDRESS.search(entry.text)
            if not address or not _is_between(moment(entry, began), began, ended):
                continue
            running[process] = SmtpdSession(address[1], number)
            found.append(running[process])
        session = running[process]
        session.entries.append(entry)
        if len(session.entries) == 2 and session.entries[0].text.startswith("connect from "):
            session.order = number
        if entry.text.startswith("disconnect from "):
            del running[process]
    return sorted(found, key=lambda session: session.order)


def _is_between(when: datetime, began: datetime, ended: datetime) -> bool:
    # Where the log tells whole seconds, the one of the beginning began before it.
    return (began if when.microsecond else began.replace(microsecond=0)) <= when <= ended


def matched(cells: Sequence[Cell], found: Iterable[SmtpdSession]) -> list[Cell]:
    """Return the cells, which are in the order of the dialogues, each with its line of the log.

    A dialogue that never reached Postfix left none.
    """
    of_address: dict[str, list[SmtpdSession]] = {}
    for session in found:
        of_address.setdefault(session.address, []).append(session)
    lines: dict[int, Entry] = {}
    for address, some in of_address.items():
        mine = [
            number
            for number, cell in enumerate(cells)
            if cell.origin.address == address and cell.dialogue.connected == "open"
        ]
        pairs = _aligned([cells[number] for number in mine], some)
        lines |= {mine[place]: entry for place, entry in pairs.items()}
    return [replace(cell, entry=lines.get(number)) for number, cell in enumerate(cells)]


def _aligned(cells: Sequence[Cell], some: Sequence[SmtpdSession]) -> dict[int, Entry]:
    """Return the telling lines by the number of their cell: as many as fit, both in order."""
    fits = [[telling_line(cell, session) for session in some] for cell in cells]
    # best[i][j]: how many of the cells from i on find a line in the sessions from j on.
    best = [[0] * (len(some) + 1) for _cell in range(len(cells) + 1)]
    for i in reversed(range(len(cells))):
        for j in reversed(range(len(some))):
            taken = best[i + 1][j + 1] + 1 if fits[i][j] else 0
            best[i][j] = max(taken, best[i + 1][j], best[i][j + 1])
    pairs: dict[int, Entry] = {}
    i = j = 0
    while i < len(cells) and j < len(some):
        entry = fits[i][j]
        if entry and best[i][j] == best[i + 1][j + 1] + 1:
            pairs[i] = entry
            i, j = i + 1, j + 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            i += 1
    return pairs


def telling_line(cell: Cell, session: SmtpdSession) -> Entry | None:
    """Return the line that tells of the result if the session can be this dialogue's, or None."""
    name, login = cell.dialogue.name, cell.dialogue.login
    if session.names:
        return session.find(rf" helo=<{re.escape(name)}>")
    failed, client = session.find(_FAILED), session.find(r"^client=")
    telling = failed or client or session.entries[-1]
    username = _USERNAME.search(telling.text)
    if username and username[1] not in (login, "(unavailable)"):
        return None
    if cell.observed == LOGIN_FAILS:
        return failed
    if cell.observed in (RELAYS, ACCEPTS):
        is_same = client is not None and bool(username) == cell.dialogue.is_logged_in
        return client if is_same else None
    if failed or client or (cell.observed == REFUSED and cell.dialogue.mail):
        return None
    return telling
