"""Since when the log counts for a step: what it tells of the time before an undo does not."""

from __future__ import annotations

from datetime import datetime

from handson.course import outline
from handson.i18n import _
from handson.workspace import Workspace


def counts_since(workspace: Workspace, slug: str) -> str:
    """Return the moment (ISO 8601, by the server's clock) since which the log counts for a step.

    It is when the step, or one before it, was undone last; '' when none was.
    """
    slugs = [*(one.slug for one in outline.until(slug)), slug]
    moments = [moment for one in slugs if (moment := workspace.noted(f"since {one}"))]
    try:
        return max(moments, key=_aware, default="")
    except ValueError:
        raise workspace.damaged("notes.json", _("it holds a time that is not one")) from None


def _aware(text: str) -> datetime:
    """Return a moment; raise ValueError where it has no zone, as those of the log have."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def begin_at(workspace: Workspace, slug: str, moment: str) -> None:
    """Let only count for a step what the log tells of the time from a moment on."""
    workspace.note(f"since {slug}", moment)


def let_count(workspace: Workspace, slug: str) -> None:
    """Let all count again that the log tells of a step: it is being done once more."""
    workspace.note(f"since {slug}", "")


def forget_hosts(workspace: Workspace) -> None:
    """Forget what was done on hosts that are no more."""
    workspace.forget()
    workspace.unpin()
    for one in outline.steps():
        if workspace.noted(f"since {one.slug}"):
            let_count(workspace, one.slug)
