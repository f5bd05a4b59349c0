"""Is anything left that could cost money or stay open?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.i18n import _
from handson.mail.observation import Observation
from handson.ui.view import View

RULES = Rules()


class Teardown(Step):
    """Delete everything that was made, and prove that nothing is left."""

    slug = "10_teardown"
    title = _("Teardown")
    purpose = _("Delete everything that was made, and prove that nothing is left.")
    rules = RULES

    def delete(self) -> View:
        """Delete the stacks, the newest first, and the key pair."""
        self.disconnect()
        return self.cloud.delete_all()


@RULES.now(
    "stacks-deleted",
    _("No stack of the course is left."),
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacks.html",
)
def stacks_deleted(observed: Observation) -> Finding:
    names = [stack.name for stack in observed.cloud.stacks()]
    if not names:
        return good(_("none"))
    return bad(
        ", ".join(names),
        _("A stack is not deleted while another resource needs one of its own."),
        _("Run the cell that deletes once more."),
    )


@RULES.now(
    "nothing-left",
    _("No resource with the course's tag is left in the region."),
    "https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html",
)
def nothing_left(observed: Observation) -> Finding:
    left = observed.cloud.left_over()
    if not left:
        return good(_("none"))
    return bad(
        ", ".join(f"{one.kind} {one.id}" for one in left),
        _("It was made by hand, or its stack failed to delete it."),
        _("Delete it in the console; its tag Project is smtp-handson."),
    )
