"""The result of a step's checks, as a learner reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from handson.course.checks import Result, State
from handson.i18n import _
from handson.ui.view import View, escape, with_breaks


class Report(View):
    """A title over one row for each check; a failed one says what was seen and what to do.

    >>> Report("Port 587", [Result("listens", "Postfix listens on 587.", True, "now", "")])
    Port 587: 1 of 1 checks pass
    ✔ Postfix listens on 587. (true now)
    """

    def __init__(self, title: str, results: Sequence[Result]) -> None:
        self.title, self.results = title, tuple(results)

    @property
    def passed(self) -> bool:
        """Whether nothing fails; what does not apply here is left out of account."""
        return all(result.state is not State.FAILS for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept of it in the workspace."""
        checks = [
            {"id": r.id, "sentence": r.sentence, "ok": r.ok, "applies": r.applies}
            for r in self.results
        ]
        return {"passed": self.passed, "checks": checks}

    @property
    def summary(self) -> str:
        """How many checks pass, as in '5 of 6 checks pass'."""
        states = [result.state for result in self.results]
        there = len(states) - states.count(State.NOT_HERE)
        text = _("{good} of {all} checks pass").format(good=states.count(State.PASSES), all=there)
        if there == len(states):
            return text
        return text + _(", {number} do not apply here").format(number=len(states) - there)

    def text(self) -> str:
        lines = [f"{self.title}: {self.summary}"]
        for result in self.results:
            known = f" [{result.cause_id}]" if result.cause_id and not result.ok else ""
            lines.append(f"{_mark(result)} {result.sentence} ({_kind(result)}){known}")
            lines += [f"    {name}: {_indent(value)}" for name, value in _details(result)]
            if result.state is State.FAILS and result.manual:
                lines.append(f"    {_('manual')}: {result.manual}")
        return "\n".join(lines)

    def html(self) -> str:
        tone = "good" if self.passed else "bad"
        rows = "".join(self._row(result) for result in self.results)
        return (
            f'<div class="card"><div class="head"><span>{escape(self.title)}</span> '
            f'<span class="{tone}">{escape(self.summary)}</span></div>{rows}</div>'
        )

    def _row(self, result: Result) -> str:
        details = "".join(
            f"<dt>{escape(name)}</dt><dd>{_evidence(value) if first else with_breaks(value)}</dd>"
            for name, value, first in (
                (name, value, value is result.evidence) for name, value in _details(result)
            )
        )
        manual = ""
        if result.manual.startswith(("https://", "http://")):
            manual = (
                f' <a href="{escape(result.manual)}" target="_blank" '
                f'rel="noopener">{escape(_("manual"))}</a>'
            )
        elif result.manual:
            manual = f' <span class="quiet">{escape(result.manual)}</span>'
        return (
            f'<div class="row {_TONES[result.state]}"><span class="mark">'
            f"{_mark(result)}</span> {escape(result.sentence)} "
            f'<span class="chip">{escape(_kind(result))}</span>{_cause(result)}{manual}'
            + (f"<dl>{details}</dl>" if details else "")
            + "</div>"
        )


_MARKS = {State.PASSES: "✔", State.FAILS: "✘", State.NOT_HERE: "–"}
_TONES = {State.PASSES: "good", State.FAILS: "bad", State.NOT_HERE: "quiet"}


def _mark(result: Result) -> str:
    return _MARKS[result.state]


def _kind(result: Result) -> str:
    if result.state is State.NOT_HERE:
        return _("does not apply here")
    return _("true now") if result.kind == "now" else _("happened")


def _cause(result: Result) -> str:
    """Return the id of the cause, small: `handson break` calls it so."""
    if result.ok or not result.cause_id:
        return ""
    return f' <code class="quiet">{escape(result.cause_id)}</code>'


def _details(result: Result) -> list[tuple[str, str]]:
    if result.state is not State.FAILS:
        return []
    found = [
        (_("seen"), result.evidence),
        (_("likely cause"), result.cause),
        (_("what to do"), result.cure),
    ]
    return [(name, value) for name, value in found if value]


def _evidence(value: str) -> str:
    return f"<pre>{escape(value)}</pre>"


def _indent(value: str) -> str:
    return value.replace("\n", "\n        ")
