"""Is anything left that could cost money or stay open?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, Scene, bad, good
from handson.i18n import _

RULES = Rules()


@RULES.now(
    "stacks-deleted",
    _("No stack of the course is left."),
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacks.html",
)
def stacks_deleted(scene: Scene) -> Finding:
    names = [stack.name for stack in scene.cloud.stacks()]
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
def nothing_left(scene: Scene) -> Finding:
    left = scene.cloud.left_over()
    if not left:
        return good(_("none"))
    return bad(
        ", ".join(f"{one.kind} {one.id}" for one in left),
        _("It was made by hand, or its stack failed to delete it."),
        _("Delete it in the console; its tag Project is smtp-handson."),
    )
