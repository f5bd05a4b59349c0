"""Has a fault been found, and is everything in order again?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.diagnosis import faults
from handson.diagnosis.chain import Link, up_to
from handson.diagnosis.exercise import FOUND, Exercise
from handson.i18n import _
from handson.mail.observation import Scene
from handson.ui.view import Note, Table, View

RULES = Rules("submission")


class BreakIt(Step):
    """Find a fault that was planted, and mend it: troubleshooting as a skill."""

    slug = "08_break_it"
    title = _("Break it")
    purpose = _("Find a fault that was planted, and mend it: troubleshooting as a skill.")
    rules = RULES

    @property
    def exercise(self) -> Exercise:
        """A fault to be found: `exercise.start()` plants one."""
        return Exercise(self.workspace, self.scene)

    @property
    def faults(self) -> Table:
        """The faults that can be planted here, each with what is seen of it."""
        rows = [[one.id, one.seen] for one in faults.here(self.scene())]
        return Table([_("fault"), _("what is seen")], rows)

    def undo(self) -> list[View]:
        """Mend the fault that is planted, and forget which were found."""
        shown: list[View] = []
        if faults.planted(self.scene()):
            mended = faults.mend(self.scene())
            shown.append(Note(_("{id}: mended.").format(id=mended), "good"))
        server = self.hosts.server
        if server.facts.file(FOUND).exists:
            shown.append(server.run("sudo rm {path}", path=FOUND))
        return shown


@RULES.now(
    "no-fault-left",
    _("No planted fault is left on the hosts."),
    "https://www.postfix.org/DEBUG_README.html",
)
def no_fault_left(scene: Scene) -> Finding:
    left = faults.planted(scene)
    if not left:
        return good(_("none"))
    return bad(
        _("one is planted"),
        _("It has not been mended, or nobody has told the exercise."),
        _("exercise.mended() when you have mended it, exercise.mend() to have it mended."),
    )


@RULES.happened(
    "fault-mended",
    _("A fault was planted, looked for, and mended."),
    "https://www.postfix.org/DEBUG_README.html",
)
def fault_mended(scene: Scene) -> Finding:
    file = scene.server.facts.file(FOUND)
    if file.exists:
        return good(", ".join(sorted(set(file.content_string.split()))))
    return bad(
        _("no fault has been mended on this server"),
        _("No exercise was finished yet."),
        _("Run the cells above in their order."),
    )


@RULES.now(
    "relays-again",
    _("A login on port 587 relays to another domain, as before the faults."),
    "https://www.postfix.org/SASL_README.html",
    up_to(Link.LOGIN),
)
def relays_again(scene: Scene) -> Finding:
    dialogue = scene.submission
    if dialogue.is_logged_in and dialogue.is_accepted:
        return good(str(dialogue.rcpt))
    return bad(
        dialogue.outcome(),
        "",
        _("`handson goto 08` brings all in order."),
    )
