"""Each error says what happened and what to do, and IPython shows just that."""

from __future__ import annotations

import inspect

import pytest

from handson import errors
from handson.errors import CommandFailed, HandsonError, InvalidInput, LabDown, StackFailed

TREE = [
    kind
    for _name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception)
]


def test_one_base() -> None:
    assert len(TREE) > 10
    assert all(issubclass(kind, HandsonError) for kind in TREE)


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_drawn_and_explained(kind: type[Exception]) -> None:
    assert kind.__doc__
    assert kind.__name__ in (errors.__doc__ or "")


def test_nothing_that_is_quoted_steers_the_terminal() -> None:
    error = HandsonError("No \x1b]0;x\x07step\r\n\u202e“\x9b2J”.", "Name\tone　here.\0")
    assert str(error) == "No ?]0;x?step?\n?“?2J”.\n→ Name\tone　here.?"
    failed = CommandFailed("server", "ls \x1b[2J", 1, "no\x1b[2J\n")
    assert "\x1b" not in str(failed)


def test_families() -> None:
    assert issubclass(InvalidInput, ValueError)
    assert issubclass(StackFailed, errors.CloudError)
    assert issubclass(LabDown, errors.LabError)


def test_text() -> None:
    assert str(HandsonError("It broke.")) == "It broke."
    error = HandsonError("It broke.", "Mend it.")
    assert str(error) == "It broke.\n→ Mend it."
    assert (error.what, error.cure) == ("It broke.", "Mend it.")


def test_a_failed_command_shows_its_last_ten_lines() -> None:
    output = "\n".join(f"line {number}" for number in range(30))
    error = CommandFailed("server", "sudo postfix check", 3, output)
    assert "On server" in error.what
    assert "exit status 3" in error.what
    assert "    $ sudo postfix check" in error.what
    assert "line 20" in error.what
    assert "line 19" not in error.what
    assert error.cure
    assert (error.host, error.command, error.status) == ("server", "sudo postfix check", 3)


def test_a_failed_command_without_output() -> None:
    assert CommandFailed("pc", "false", 1, "", "Try again.").what.endswith("$ false")


def test_a_notebook_shows_the_sentence_and_no_stack() -> None:
    error = InvalidInput("No.", "Do it so.")
    assert error._render_traceback_() == ["\x1b[31mInvalidInput\x1b[0m", "No.", "→ Do it so."]
