"""Taking steps back, the later ones first, since they need the earlier ones."""

from __future__ import annotations

from handson.course import log_window, outline
from handson.course.progress import holds
from handson.course.step import Step
from handson.hosts import snapshot
from handson.i18n import _
from handson.ui.view import Note, View, escape


class Undone(View):
    """What was undone: the steps, the latest first, each with the commands that did it."""

    def __init__(self, title: str, steps: list[tuple[type[Step], list[View]]]) -> None:
        self.title, self.steps = title, steps

    @property
    def note(self) -> Note:
        """The whole in one sentence."""
        if not self.steps:
            return Note(_("{step}: nothing to undo.").format(step=self.title))
        slugs = [one.slug for one, _shown in self.steps]
        if len(slugs) == 1:
            return Note(_("Undone: {slug}.").format(slug=slugs[0]), "good")
        return Note(_("Undone, later steps first: {slugs}.").format(slugs=", ".join(slugs)), "good")

    def text(self) -> str:
        lines = []
        for one, shown in self.steps:
            lines += [f"# {one.slug}", *(view.text() for view in shown)]
        return "\n".join([*lines, self.note.text()])

    def html(self) -> str:
        parts = []
        for one, shown in self.steps:
            parts.append(f'<strong class="title">{escape(one.slug)}</strong>')
            parts += [view.html() for view in shown]
        return "".join([*parts, self.note.html()])


def undo(step: Step) -> Undone:
    """Undo a step and the later ones, in reverse order, and return what was done.

    Raises HandsonError where a host cannot be asked; then run it once more.
    """
    # Without hosts there is nothing else to undo.
    makes_hosts = step.target.makes_hosts
    if not makes_hosts:
        # Nothing of what is on hosts of the learner's own may be taken for the course's.
        for host in (step.hosts.server, step.hosts.client):
            snapshot.take(host, snapshot.START)
    deletes_hosts = type(step) is outline.steps()[0] and makes_hosts
    steps = (type(step),) if deletes_hosts else outline.since(step.slug)
    done = [(one, _undo(step, one)) for one in reversed(steps)]
    return Undone(step.slug, [(one, shown) for one, shown in done if shown])


def _undo(begun: Step, which: type[Step]) -> list[View]:
    step = begun if which is type(begun) else begun.as_step(which)
    shown = step.undo()
    if which is outline.steps()[0]:
        return shown
    report = step.workspace.progress().get(step.slug, {})
    # The checks themselves are refused at times: what they alone leave in the log does not
    # mean that the step was begun.
    was_done = bool(shown or report.get("done"))
    if which.undo is Step.undo:
        was_done |= bool(report) or which is type(begun)
    if was_done and _has_happened(step):
        moment = step.hosts.server.read("date --iso-8601=ns").strip().replace(",", ".")
        # Python counts microseconds.
        log_window.begin_at(step.workspace, step.slug, f"{moment[:26]}{moment[29:]}")
        shown.append(Note(_("Log lines from before this moment no longer count for this step.")))
    step.workspace.forget(step.slug)
    return shown


def _has_happened(step: Step) -> bool:
    observed = step.observe()
    return any(holds(rule, observed) for rule in step.rules if rule.kind == "happened")
