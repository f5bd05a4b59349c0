"""The head of a notebook: which step this is, what for, and how far the course is."""

from __future__ import annotations

from dataclasses import dataclass

from handson.i18n import _
from handson.ui.view import View, escape, style_sheet

MARKS = {"done": "✔", "here": "▶", "open": "·", "back": "↶"}


@dataclass(frozen=True)
class StepMark:
    """A step in the row of all steps.

    `slug` is the notebook's file name without its ending, `state` one of 'done', 'here',
    'open' and 'back' (it was done, and no longer passes).

    >>> StepMark("03_sasldb", "Users and passwords", "here").notebook
    '03_sasldb.ipynb'
    """

    slug: str
    title: str
    state: str

    @property
    def notebook(self) -> str:
        return f"{self.slug}.ipynb"

    @property
    def number(self) -> str:
        """What its name begins with: '3' of '03_sasldb'."""
        return self.slug.partition("_")[0].removeprefix("0")


class Header(View):
    """The title and purpose of a step over the row of all steps.

    >>> Header(1, "Open the port", "Let 587 in.", [StepMark("01_port", "Open the port", "here")])
    Step 1: Open the port
    Let 587 in.
    ▶ Open the port
    """

    def __init__(self, number: str, title: str, purpose: str, steps: list[StepMark]) -> None:
        self.number, self.title, self.purpose, self.steps = number, title, purpose, steps

    @property
    def heading(self) -> str:
        return _("Step {number}: {title}").format(number=self.number, title=self.title)

    @property
    def done(self) -> int:
        """How many steps are done."""
        return sum(step.state == "done" for step in self.steps)

    def text(self) -> str:
        line = "  ".join(f"{MARKS[step.state]} {step.title}" for step in self.steps)
        return "\n".join([self.heading, self.purpose, line])

    def html(self) -> str:
        steps = "".join(map(self._step, self.steps))
        done = _("{done} of {all} steps done").format(done=self.done, all=len(self.steps))
        return (
            f'{HEADER_STYLE}<div class="header"><div class="what"><span class="number">'
            f"{self.number}</span><div><b>{escape(self.title)}</b><br>{escape(self.purpose)}"
            f'</div></div><div class="steps">{steps}</div>'
            f'<div class="count">{escape(done)}</div></div>'
        )

    def _step(self, step: StepMark) -> str:
        mark = MARKS[step.state] if step.state in ("done", "back") else step.number
        words = {
            "done": _("done"),
            "here": _("you are here"),
            "open": _("to come"),
            "back": _("was done, and no longer passes"),
        }[step.state]
        inside = f'<span class="dot">{mark}</span> <span class="name">{escape(step.title)}</span>'
        hint = f"{step.title}: {words}"
        if step.state == "here":
            return f'<b class="step here" title="{escape(hint)}">{inside}</b> '
        return (
            f'<a class="step {step.state}" href="{escape(step.notebook)}" '
            f'title="{escape(hint)}">{inside}</a> '
        )


HEADER_STYLE = style_sheet(__package__, "header.css")
