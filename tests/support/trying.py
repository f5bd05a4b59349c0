"""Tries of the matrix without hosts: what a dialogue would have brought, put together."""

from __future__ import annotations

from datetime import datetime

from handson.mail.relay_matrix.expected import (
    LOGINS,
    PORTS,
    RECIPIENTS,
    Cell,
    Origin,
    ServerFacts,
    expect,
    ports_of,
)
from handson.mail.relay_matrix.view import Matrix
from handson.mail.smtp import Dialogue, Reply

CLIENT = Origin("client", "10.87.3.20")
STRANGER = Origin("stranger", "10.87.3.30")
INTERNET = Origin("internet", "203.0.113.5")
ORIGINS = (CLIENT, STRANGER, INTERNET)
BEGAN = datetime.fromisoformat("2025-11-24T03:57:24.100000+00:00")
ENDED = datetime.fromisoformat("2025-11-24T03:57:28.300000+00:00")

OK = Reply(250, "2.1.5 Ok")
DENIED = Reply(454, "4.7.1 <friend@example.net>: Relay access denied")
REJECTED = Reply(554, "5.7.1 <c[10.87.3.20]>: Client host rejected: Access denied")
LOGGED_IN = Reply(235, "2.7.0 Authentication successful")
WRONG = Reply(535, "5.7.8 Error: authentication failed: authentication failure")
LOGIN = {"none": "", "wrong": "u@example.com", "bare": "u", "right": "u@example.com"}


def name_of(origin: Origin, port: int, login: str, recipient: str) -> str:
    if port == 465:  # behind the others: a recorded log has their numbers
        number = 48 + 8 * ORIGINS.index(origin) + 2 * LOGINS.index(login)
    else:
        number = 16 * ORIGINS.index(origin) + 4 * LOGINS.index(login) + 2 * PORTS.index(port)
    number += RECIPIENTS.index(recipient)
    return f"m{number:02d}.handson.invalid"


def dialogue(
    origin: Origin, port: int, login: str, recipient: str, result: str, **more: object
) -> Dialogue:
    """Return the dialogue that ends in a result such as 'relays' or 'refused 454'."""
    replies: dict[str, Reply | None] = {
        "banner": Reply(220, "mail.example.com ESMTP"),
        "ehlo": Reply(250, "mail.example.com\nPIPELINING\nAUTH PLAIN"),
        "auth": LOGGED_IN if login != "none" else None,
        "mail": OK,
        "rcpt": OK,
    }
    connected = {"no answer": "timed out", "connection refused": "refused"}.get(result, "open")
    if connected != "open":
        replies = {}
    elif result == "no AUTH offered":
        replies |= {"ehlo": Reply(250, "mail.example.com\nPIPELINING"), "auth": None}
        replies |= {"mail": None, "rcpt": None}
    elif result.startswith("login fails"):
        replies |= {"auth": WRONG, "mail": None, "rcpt": None}
    elif result.startswith("refused"):
        replies |= {"rcpt": DENIED if result.endswith("454") else REJECTED}
    known: dict[str, object] = {
        "host": "10.87.2.44",
        "port": port,
        "sender": "hello@example.com",
        "recipient": "friend@example.net" if recipient == "outside" else "root@example.com",
        "login": LOGIN[login],
        "name": name_of(origin, port, login, recipient),
        "connected": connected,
    }
    return Dialogue(**{**known, **replies, **more})  # type: ignore[arg-type]


def tried(
    stage: str,
    facts: ServerFacts,
    origin: Origin,
    port: int,
    login: str,
    recipient: str,
    result: str,
    **more: object,
) -> Cell:
    """Return a cell that came out with that result."""
    expected, reason = expect(stage, facts, origin, port, login, recipient)
    held = dialogue(origin, port, login, recipient, result, **more)
    trusted = facts.trusts(origin.address)
    return Cell(origin, port, login, recipient, held, expected, reason, is_trusted=trusted)


RESULTS = {"relays": "relays", "accepts": "accepts", "login fails": "login fails 535"}
RESULTS |= {"no AUTH": "no AUTH offered", "no answer": "no answer"}
RESULTS |= {"connection refused": "connection refused"}


def matrix(stage: str, facts: ServerFacts, **others: str) -> Matrix:
    """Return the matrix in which all came out as expected, but `others`.

    These are named such as `client_25_none_outside="relays"`.
    """
    cells = []
    for origin in ORIGINS:
        for port in ports_of(stage):
            for login in ("right", "none", "wrong", "bare"):
                for recipient in RECIPIENTS:
                    expected = expect(stage, facts, origin, port, login, recipient)[0]
                    refused = f"refused {454 if port == 25 else 554}"
                    result = others.pop(
                        f"{origin.name}_{port}_{login}_{recipient}", RESULTS.get(expected, refused)
                    )
                    cells.append(tried(stage, facts, origin, port, login, recipient, result))
    assert not others, f"no such cell: {others}"
    return Matrix(stage, facts, cells, BEGAN, ENDED)
