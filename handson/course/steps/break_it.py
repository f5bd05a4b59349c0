"""Has a fault been found, and is everything in order again?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, Scene, bad, good
from handson.diagnosis import faults
from handson.diagnosis.exercise import FOUND
from handson.diagnosis.groups import LOGS_IN
from handson.i18n import _

RULES = Rules("submission")


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
    LOGS_IN,
)
def relays_again(scene: Scene) -> Finding:
    dialogue = scene.submission
    if dialogue.is_logged_in and dialogue.is_accepted:
        return good(str(dialogue.rcpt))
    return bad(
        dialogue.outcome(),
        _("Something that a fault changed is not as it was."),
        _("Run the checks of steps 1 to 6; `handson goto 08` brings all in order."),
    )
