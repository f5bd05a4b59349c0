"""The matrix as text and as HTML."""

from __future__ import annotations

from dataclasses import replace

import pytest
from trying import matrix

from handson.mail.relay_matrix.expected import ServerFacts

VPC = frozenset((name, port) for name in ("client", "stranger") for port in (25, 587))
CLOSED = frozenset((name, 25) for name in ("client", "stranger"))
START = ServerFacts(
    ("127.0.0.0/8", "10.87.3.20/32"), CLOSED, "vpc", "example.com", "mail.example.com"
)
LOGIN = replace(
    START, mynetworks=("127.0.0.0/8",), reach=VPC, offers_25=True, chroots=frozenset({25})
)


def test_the_start_as_text() -> None:
    shown = matrix("start", START)
    assert shown.is_as_expected and not shown.open_relays
    assert shown.text().splitlines()[:8] == [
        "Who may relay, at the start",
        "from      login           25 own domain        25 other domain      587 own domain  "
        "587 other domain",
        "--------  --------------  -------------------  -------------------  --------------  "
        "----------------",
        "client    no login        accepts [1]          ! relays [2]         no answer [3]   "
        "no answer [3]",
        "client    wrong password  no AUTH offered [4]  no AUTH offered [4]  no answer [3]   "
        "no answer [3]",
        "client    bare user name  no AUTH offered [4]  no AUTH offered [4]  no answer [3]   "
        "no answer [3]",
        "client    right login     no AUTH offered [4]  no AUTH offered [4]  no answer [3]   "
        "no answer [3]",
        "stranger  no login        accepts [1]          refused 454 [5]      no answer [3]   "
        "no answer [3]",
    ]
    assert "trust by address, not an open relay" in shown.text()
    assert "[2] mynetworks names its address" in shown.text()


def test_the_start_as_html() -> None:
    html = matrix("start", START).html()
    assert html.count("<td class=") == 48
    assert html.count('<td class="warn"') == 1 and "by address" in html
    assert '<td class="bad' not in html and '<td class=" other' not in html


def test_all_is_well_after_the_login() -> None:
    shown = matrix("after_login", LOGIN)
    assert "✔ All 48 tries came out as they should. There is no open relay." in shown.text()
    assert shown.html().count('<td class="good"') == 6


def test_an_open_relay_is_red_and_named_in_a_sentence() -> None:
    facts = replace(LOGIN, mynetworks=("0.0.0.0/0",))
    shown = matrix("after_login", facts, stranger_25_none_outside="relays")
    assert not shown.is_as_expected
    [cell] = shown.open_relays
    assert (cell.origin.name, cell.port, cell.login) == ("stranger", 25, "none")
    assert (
        "✘ OPEN RELAY for a stranger in the VPC (10.87.3.30) on port 25 (no login). "
        "mynetworks holds 0.0.0.0/0, and with it 10.87.3.30: whoever sits there is trusted."
    ) in shown.text()
    assert "OPEN RELAY: relays [2]" in shown.text()
    assert shown.html().count('<td class="bad"') == 1
    assert "All 48" not in shown.text()


def test_an_open_relay_is_told_even_where_relaying_was_expected() -> None:
    # The stage's own expectation names the client; its address is outside mynetworks here.
    facts = replace(START, mynetworks=("127.0.0.0/8",))
    shown = matrix("start", facts)
    assert [cell.origin.name for cell in shown.open_relays] == ["client"]
    assert not shown.differing and not shown.is_as_expected


def test_what_differs_is_marked_and_explained_once() -> None:
    closed = {
        f"client_587_{login}_{recipient}": "connection refused"
        for login in ("none", "wrong", "bare", "right")
        for recipient in ("own", "outside")
    }
    shown = matrix("after_login", LOGIN, **closed)
    assert len(shown.differing) == 8 and not shown.open_relays
    text = shown.text()
    assert text.count("Nothing listens on port 587") == 1
    assert "≠ connection refused [7], not: relays" in text
    assert "no login, wrong password, bare user name, right login: connection refused" in text
    assert shown.html().count('<td class=" other"') == 8


def test_a_cell_is_found_by_what_it_is() -> None:
    shown = matrix("start", START)
    assert shown.cell("client", 25, "none", "outside").label == "relays"
    with pytest.raises(KeyError):
        shown.cell("client", 2525, "none", "outside")


def test_what_a_server_says_is_escaped() -> None:
    shown = matrix("start", START, client_25_none_outside="refused 454")
    assert "<friend@" not in shown.html() and "&lt;friend@example.net&gt;" in shown.html()
