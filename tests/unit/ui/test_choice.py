"""A question with a few answers."""

from __future__ import annotations

from collections.abc import Iterator

import ipywidgets
import pytest

from handson.ui.choice import Choice, Option


@pytest.fixture
def choice() -> Iterator[Choice]:
    yield Choice("Who & <why>?", [Option("a", "A", "short"), Option("b", "B", "long")], "b")
    ipywidgets.Widget.close_all()


def test_without_a_browser_the_given_answer_holds(choice: Choice) -> None:
    assert choice.value == "b"
    assert choice.text() == "Who & <why>?\n  ( ) A: short\n  (x) B: long"


def test_what_is_clicked_holds(choice: Choice) -> None:
    bundle = choice._repr_mimebundle_()
    assert bundle["text/plain"] == choice.text()
    question, radio = choice._widget.children
    assert "<why>" not in question.value
    radio.value = "a"
    assert choice.value == "a"
    assert "(x) A: short" in choice.text()
    view = "application/vnd.jupyter.widget-view+json"
    assert choice._repr_mimebundle_()[view] == bundle[view]
