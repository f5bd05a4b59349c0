"""Has a fault been found, and is everything in order again?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good, not_here
from handson.course.step import Step
from handson.diagnosis import faults
from handson.diagnosis.chain import Link, up_to
from handson.diagnosis.exercise import FOUND, Exercise, Outcome, outcomes
from handson.i18n import _
from handson.mail.observation import Observation
from handson.ui.view import Note, Table, View

RULES = Rules("submission")


class BreakIt(Step):
    """Find a fault that was injected, and fix it: troubleshooting as a skill."""

    slug = "08_break_it"
    title = _("Break it")
    purpose = _("Find a fault that was injected, and fix it: troubleshooting as a skill.")
    rules = RULES

    @property
    def exercise(self) -> Exercise:
        """A fault to be found: `exercise.start()` injects one."""
        return Exercise(self.workspace, self.observe)

    @property
    def faults(self) -> Table:
        """The faults that can be injected here, each with what is seen of it."""
        rows = [[one.id, one.seen] for one in faults.here(self.observe())]
        return Table([_("fault"), _("what is seen")], rows)

    def undo(self) -> list[View]:
        """Fix the fault that is injected, and forget which were found."""
        shown: list[View] = []
        if faults.injected(self.observe()):
            fixed = faults.fix(self.observe())
            shown.append(Note(_("{id}: fixed.").format(id=fixed), "good"))
        server = self.hosts.server
        if server.facts.file(FOUND).exists:
            shown.append(server.run("sudo rm {path}", path=FOUND))
        return shown


@RULES.now(
    "no-fault-left",
    _("No injected fault is left on the hosts."),
    "https://www.postfix.org/DEBUG_README.html",
)
def no_fault_left(observed: Observation) -> Finding:
    left = faults.injected(observed)
    if not left:
        return good(_("none"))
    return bad(
        _("one is injected"),
        _("It has not been fixed, or not confirmed with exercise.fixed()."),
        _("exercise.fixed() when you have fixed it, exercise.fix() to have it fixed."),
    )


@RULES.happened(
    "fault-found",
    _("A fault was injected, its cause named, and fixed."),
    "https://www.postfix.org/DEBUG_README.html",
)
def fault_found(observed: Observation) -> Finding:
    facts = observed.server.facts
    found = outcomes(facts.text(FOUND)) if facts.file(FOUND).exists else {}
    if Outcome.NAMED in found:
        return good(", ".join(found[Outcome.NAMED]))
    if Outcome.TOLD in found:
        return not_here(_("the cause was told: {ids}").format(ids=", ".join(found[Outcome.TOLD])))
    start = _("exercise.start(), then exercise.answer(ID) with the cause, before it is fixed.")
    if Outcome.MISSED in found:
        return bad(
            _("fixed, but not named: {ids}").format(ids=", ".join(found[Outcome.MISSED])),
            _("A fault is found when its cause was named."),
            start,
        )
    return bad(_("no fault has been fixed on this server"), _("No exercise was finished."), start)


@RULES.now(
    "relays-again",
    _("A login on port 587 relays to another domain, as before the faults."),
    "https://www.postfix.org/SASL_README.html",
    up_to(Link.LOGIN),
)
def relays_again(observed: Observation) -> Finding:
    dialogue = observed.submission
    if dialogue.is_logged_in and dialogue.is_accepted:
        return good(str(dialogue.rcpt))
    return bad(
        dialogue.outcome(),
        "",
        _("`handson goto 08` brings all in order."),
    )
