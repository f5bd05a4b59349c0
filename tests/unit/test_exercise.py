"""The exercise: what counts as found, and what does not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handson.course.checks import State
from handson.course.steps.break_it import RULES
from handson.diagnosis import exercise as exercises
from handson.diagnosis import faults
from handson.diagnosis.exercise import Attempt, Exercise, Outcome, outcomes, verdict
from handson.errors import HandsonError
from handson.workspace import Workspace

[FOUND_RULE] = [rule for rule in RULES if rule.id == "fault-found"]
DRAWN = "port-closed"


class Server:
    """A server on which nothing is but the file with what came of the faults."""

    def __init__(self) -> None:
        self.found = ""

    def read(self, _command: str, *, id: str, outcome: str, script: str) -> str:
        assert exercises.FOUND in script
        self.found += f"{id} {outcome}\n"
        return ""

    @property
    def facts(self) -> Any:
        file = SimpleNamespace(exists=bool(self.found))
        return SimpleNamespace(file=lambda _path: file, text=lambda _path: self.found)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def exercise(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """An exercise whose faults change nothing, the first of which is always drawn."""
    monkeypatch.delenv("HANDSON_FAULT", raising=False)
    for name, answer in {"injected": [], "inject": None, "fix": "", "draw": DRAWN}.items():
        monkeypatch.setattr(faults, name, lambda *_given, answer=answer: answer)
    monkeypatch.setattr(exercises, "reach", lambda _observed: None)
    monkeypatch.setattr(exercises, "diagnose", lambda _observed, limit: [])
    observed: Any = SimpleNamespace(server=server)
    return Exercise(Workspace("lab", tmp_path), lambda: observed)


def state(server: Server) -> State:
    observed: Any = SimpleNamespace(server=server)
    return FOUND_RULE.apply(observed).state


def test_where_nobody_watches_the_usual_fault_is_injected(
    exercise: Exercise, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "usual", lambda _observed: "submission-off")

    def injected() -> str:
        exercise.start()
        exercise.fix()
        return server.found.splitlines()[-1]

    assert injected() == f"{DRAWN} missed"
    monkeypatch.setenv("HANDSON_HEADLESS", "1")
    assert injected() == "submission-off missed"
    monkeypatch.setenv("HANDSON_FAULT", "relay-denied")
    assert injected() == "relay-denied missed"


def test_named_rightly_is_found(exercise: Exercise, server: Server) -> None:
    exercise.start()
    assert "not it" in exercise.answer("relay-denied").text()
    assert "Yes" in exercise.answer(DRAWN).text()
    assert "found. Wrong answers: 1, hints: 0." in exercise.fix().text()
    assert (server.found, state(server)) == (f"{DRAWN} named\n", State.PASSES)


def test_named_wrongly_is_missed(exercise: Exercise, server: Server) -> None:
    exercise.start()
    exercise.answer("relay-denied")
    assert "its cause was not named. Wrong answers: 1" in exercise.fix().text()
    assert (server.found, state(server)) == (f"{DRAWN} missed\n", State.FAILS)


def test_not_answered_is_missed(exercise: Exercise, server: Server) -> None:
    exercise.start()
    exercise.fix()
    assert (server.found, state(server)) == (f"{DRAWN} missed\n", State.FAILS)


def test_i_do_not_know_is_neither_found_nor_missed(exercise: Exercise, server: Server) -> None:
    exercise.start()
    exercise.answer("")
    exercise.answer(DRAWN)  # read off what the checks have told
    assert "was told" in exercise.fix().text()
    assert (server.found, state(server)) == (f"{DRAWN} told\n", State.NOT_HERE)


def test_what_was_chosen_is_not_found(exercise: Exercise, server: Server) -> None:
    exercise.start(DRAWN)
    exercise.answer(DRAWN)
    exercise.fix()
    assert state(server) is State.NOT_HERE


def test_the_checks_may_explain_what_was_named(exercise: Exercise, server: Server) -> None:
    exercise.start()
    exercise.answer(DRAWN)
    exercise.answer("")
    exercise.fix()
    assert state(server) is State.PASSES


def test_the_last_hint_tells_it(
    exercise: Exercise, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "how_to_fix", lambda _observed, _id: "so")
    exercise.start()
    for _time in range(3):
        exercise.hint()
    exercise.answer(DRAWN)
    exercise.fix()
    assert state(server) is State.NOT_HERE


def test_no_exercise_is_no_pass(server: Server) -> None:
    assert state(server) is State.FAILS


def test_one_found_is_enough(server: Server) -> None:
    server.found = "map-type told\nsasldb-missing named\nport-closed missed\n"
    assert state(server) is State.PASSES


def test_what_an_earlier_release_wrote_is_no_discovery() -> None:
    assert outcomes("map-type\n") == {Outcome.TOLD: ["map-type"]}


@pytest.mark.parametrize(("is_named", "outcome"), [(False, "told"), (True, "named")])
def test_told_in_a_terminal_it_counts_as_told(
    exercise: Exercise,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    is_named: bool,
    outcome: str,
) -> None:
    monkeypatch.setattr(faults, "how_to_fix", lambda _observed, _id: "open the port")
    assert exercise.id == ""
    exercise.start()
    assert exercise.id == DRAWN
    if is_named:
        exercise.answer(DRAWN)
    assert "open the port" in exercise.tell().text()
    exercise.fix()
    assert server.found == f"{DRAWN} {outcome}\n"


def test_the_verdict_counts_tries_and_hints() -> None:
    attempt = Attempt("port-closed", 0, wrong=["relay-denied"], hints=2, is_named=True)
    assert verdict(attempt) == "port-closed: found. Wrong answers: 1, hints: 2."


@pytest.mark.parametrize("ask", ["hint", "fixed", "fix"])
def test_without_a_fault_there_is_nothing_to_ask(ask: str, tmp_path: Path) -> None:
    def observed() -> None:
        raise AssertionError("no host is looked at")

    exercise = Exercise(Workspace("lab", tmp_path), observed)  # type: ignore[arg-type]
    with pytest.raises(HandsonError, match="No fault is injected"):
        getattr(exercise, ask)()
