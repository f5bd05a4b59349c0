"""Tables and sentences on a terminal, and the same in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from handson.ui.terminal import console
from handson.ui.view import Note, Table, View

LONG = "an address and [bold]what is said of it[/bold] :warning: " * 5
TABLE = Table(["host", "said"], [["pc", LONG], ["relay", "no"]], "Said", ["", "bad"])
VIEWS = [TABLE, Note(LONG, "warn"), Table(["a"], [], "Rules", empty="none")]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(view: View, file: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "stdout", file)
    console().print(view)
    return file.getvalue()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_a_pipe_gets_the_text_face(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(view, io.StringIO(), monkeypatch).splitlines()
    assert [line.rstrip() for line in lines] == [line.rstrip() for line in view.text().split("\n")]


def test_a_terminal_gets_colours_and_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown(TABLE, Screen(), monkeypatch)
    (bad,) = [line for line in said.splitlines() if "relay" in line]
    assert "\x1b[31m" in bad
    assert "[bold]what" in said and ":warning:" in said
    assert len(said.splitlines()) > 6  # the long cell goes on below


def test_a_sentence_has_the_colour_of_its_tone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(Note("Up.", "good"), Screen(), monkeypatch) == "\x1b[32m✔ Up.\x1b[0m\n"
