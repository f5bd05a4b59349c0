"""A question with a few answers, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handson.ui.view import View, escape

FEW = 6  # more answers than this go into a list to be opened


@dataclass(frozen=True)
class Option:
    """An answer: its value, a short label, and why one would choose it."""

    value: str
    label: str
    reason: str


class Choice(View):
    """Radio buttons, or a list where there are many; the next cell reads `value`.

    >>> Choice("Which?", [Option("a", "A", "short"), Option("b", "B", "long")], "b")
    Which?
      ( ) A: short
      (x) B: long
    """

    def __init__(self, question: str, options: list[Option], value: str) -> None:
        self.question, self.options = question, options
        self._chosen = value
        self._widget: Any = None

    @property
    def value(self) -> str:
        return str(self._widget.children[1].value) if self._widget else self._chosen

    def text(self) -> str:
        lines = [self.question]
        for option in self.options:
            mark = "x" if option.value == self.value else " "
            lines.append(f"  ({mark}) {option.label}: {option.reason}")
        return "\n".join(lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        import ipywidgets as widgets

        if self._widget is None:
            labels = [(f"{one.label}: {one.reason}", one.value) for one in self.options]
            kind = widgets.RadioButtons if len(labels) <= FEW else widgets.Dropdown
            radio = kind(options=labels, value=self._chosen, layout=widgets.Layout(width="auto"))
            question = widgets.HTML(f"<b>{escape(self.question)}</b>")
            self._widget = widgets.VBox([question, radio])
        shown: dict[str, Any] = self._widget._repr_mimebundle_()
        return {**shown, "text/plain": self.text()}
