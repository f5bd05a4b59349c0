"""Progress: in place while it goes on, one line when it is over."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

from handson.settings import HEADLESS
from handson.ui import progress as module
from handson.ui.progress import Progress, progress


@pytest.fixture(autouse=True)
def not_headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HEADLESS, raising=False)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Handle:
    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, view: Progress, display_id: bool = False) -> Handle | None:
        self.update(view)
        return self if display_id else None

    def update(self, view: Progress) -> None:
        self.shown.append(view._repr_mimebundle_())


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Handle:
    import IPython.display

    handle = Handle()
    monkeypatch.setattr(module, "_in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", handle.display)
    return handle


def work() -> None:
    with progress("Making") as making:
        making.say("one")
        making.say("one")
        making.say("two")


def test_a_pipe_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    work()
    assert re.fullmatch(r"Making: done \(\d+\.\d s\)\n", capsys.readouterr().out)


def test_a_terminal_gets_a_bar_and_then_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen)
    work()
    bar, _wiped, left = screen.getvalue().rpartition("\x1b[2K")
    assert "━" in bar and "Making: two" in bar
    assert re.fullmatch(r"Making: done \(\d+\.\d s\)\n", left)


def test_a_terminal_that_is_headless_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv(HEADLESS, "1")
    work()
    assert re.fullmatch(r"Making: done \(\d+\.\d s\)\n", screen.getvalue())


def test_a_notebook_updates_one_output(notebook: Handle) -> None:
    work()
    texts = [shown["text/plain"] for shown in notebook.shown]
    assert texts[:3] == ["Making: …", "Making: one", "Making: two"]
    assert re.fullmatch(r"Making: done \(\d+\.\d s\)", texts[3])


def test_a_headless_notebook_has_only_the_end(
    notebook: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEADLESS, "1")
    work()
    assert len(notebook.shown) == 1
    assert "done" in notebook.shown[0]["text/plain"]


def test_a_failure_is_said_and_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="no"), progress("Making"):
        raise RuntimeError("no")
    assert re.fullmatch(r"Making: failed \(\d+\.\d s\)\n", capsys.readouterr().out)


def test_the_bar_goes_on_after_a_new_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    state: Any = Progress("Making", total_hint=20)
    now[0] = 105.0
    assert "ho-fill 20s -5.0s" in state.html()
    state.finish("done")
    now[0] = 200.0
    assert state.text() == "Making: done (5.0 s)"


def test_without_a_hint_the_bar_only_moves() -> None:
    assert "ho-move" in Progress("Making").html()


def test_html_is_escaped() -> None:
    state = Progress("<b>", 2)
    state.sentence = "<i>"
    assert "<b>&lt;b&gt;</b>" in state.html()
    assert "<i>" not in state.html()
