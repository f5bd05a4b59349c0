"""How the steps stand: by what was recorded, and by what is true now."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from handson.course import progress
from handson.course.begin import begin
from handson.course.outline import steps
from handson.workspace import Workspace

STEPS = steps()

GOOD: dict[str, Any] = {"passed": True, "checks": []}
BAD: dict[str, Any] = {"passed": False, "checks": []}


class Eyes:
    """A step as far as its standing is asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    found = Workspace("meadow", tmp_path)
    found.record("00_start", GOOD)
    found.record("01_security_group", GOOD)
    found.record("01_security_group", BAD)
    found.record("02_sasl_install", BAD)
    return found


def states(workspace: Workspace) -> list[str]:
    return [progress.recorded(workspace)[step.slug] for step in STEPS[:4]]


def test_what_was_recorded(workspace: Workspace) -> None:
    assert states(workspace) == ["done", "back", "open", "open"]


def test_a_step_that_passes_again_is_done(workspace: Workspace) -> None:
    first = workspace.progress()["01_security_group"]["done"]
    workspace.record("01_security_group", GOOD)
    assert states(workspace)[1] == "done"
    assert workspace.progress()["01_security_group"]["done"] == first
    workspace.forget("01_security_group")
    assert states(workspace)[1] == "open"


def test_what_is_true_now_counts_for_steps_that_were_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def look_at(step: Any, slugs: list[str]) -> dict[str, bool]:
        asked.append(slugs)
        return {"00_start": False, "01_security_group": True}

    monkeypatch.setattr(progress, "look_at", look_at)
    found = progress.now(Eyes(workspace))  # type: ignore[arg-type]
    assert asked == [["00_start", "01_security_group"]]
    assert [found[step.slug] for step in STEPS[:3]] == ["back", "done", "open"]


def test_a_header_does_not_wait_for_what_cannot_be_ended(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, answered = threading.Event(), threading.Event()

    def look_at(step: Any, slugs: list[str]) -> dict[str, bool]:
        # An AWS API that keeps silent; hosts that do are in test_connections.
        assert answer.wait(60)
        answered.set()
        return dict.fromkeys(slugs, False)

    monkeypatch.setattr(progress, "look_at", look_at)
    monkeypatch.setattr(progress, "END_SECONDS", 0.1)
    found = progress.now(begin("00_start", workspace), seconds=0.1)
    assert not answered.is_set()
    assert found == progress.recorded(workspace)
    answer.set()
    assert answered.wait(60)


def test_after_the_teardown_nothing_is_looked_at(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.record(STEPS[-1].slug, GOOD)
    monkeypatch.setattr(progress, "look_at", None)
    found = progress.now(Eyes(workspace))  # type: ignore[arg-type]
    assert found == progress.recorded(workspace)
