"""The verdict on a diagnosis."""

from __future__ import annotations

from pathlib import Path

import pytest

from handson.diagnosis.exercise import Attempt, Exercise, verdict
from handson.errors import HandsonError
from handson.workspace import Workspace


def test_the_verdict_counts_tries_and_hints() -> None:
    attempt = Attempt("port-closed", 0, wrong=["relay-denied"], hints=2, is_named=True)
    assert verdict(attempt) == "port-closed: found. Wrong answers: 1, hints: 2."


def test_a_cause_that_was_told_is_not_found() -> None:
    assert "told by the checks" in verdict(Attempt("port-closed", 0))


@pytest.mark.parametrize("ask", ["hint", "mended", "mend"])
def test_without_a_fault_there_is_nothing_to_ask(ask: str, tmp_path: Path) -> None:
    def scene() -> None:
        raise AssertionError("no host is looked at")

    exercise = Exercise(Workspace("lab", tmp_path), scene)  # type: ignore[arg-type]
    with pytest.raises(HandsonError, match="No fault is planted"):
        getattr(exercise, ask)()
