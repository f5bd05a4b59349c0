"""Going to the start of any step, from any half-done state.

The step and the later ones are undone where they have been begun; notebooks of earlier
steps run, without a browser, where those steps do not stand.
"""

from __future__ import annotations

import time
from pathlib import Path

from handson.cloud import targets
from handson.course import outline, undo
from handson.course import progress as standing
from handson.course.begin import begin
from handson.course.run.console import Show, failure
from handson.course.run.result import Record
from handson.course.run.runner import CELL_SECONDS, new_folder, run_step, runs_folder
from handson.course.run.signals import stopping
from handson.course.step import Step
from handson.errors import HandsonError
from handson.i18n import _
from handson.lab.lock import hold
from handson.ui.view import Note
from handson.workspace import Workspace

KINDS = ("now", "happened")


def first() -> str:
    return outline.steps()[0].slug


def second() -> str:
    return outline.steps()[1].slug


def goto(slug: str, workspace: Workspace | None = None, root: Path | None = None) -> Note:
    """Go to the start of a step, which may be named '05', 'master_cf' or '05_master_cf'.

    Going to 00_start deletes the hosts, where the course has made them. Executed copies of the
    notebooks that run go to a folder of this moment under `runs`. Raises HandsonError when a
    notebook does not pass.

    >>> goto("05")     # doctest: +SKIP
    ✔ You are at the start of 05_master_cf.
    """
    step = begin(outline.find(slug).slug, workspace)
    root = outline.checkout(root)
    with hold(step.workspace.name, "handson goto"), stopping():
        return Journey(step, root).go()


def reset(workspace: Workspace | None = None, hard: bool = False, root: Path | None = None) -> Note:
    """Go to the starting point: hosts as 00_start makes them, nothing done on them.

    With `hard` the hosts are deleted and made anew, where the course has made them; else every
    step is undone.
    """
    workspace = workspace or Workspace()
    with hold(workspace.name, "handson reset"):
        if hard:
            goto(first(), workspace, root)
        return goto(second(), workspace, root)


class Journey:
    """One way to the start of a step."""

    def __init__(self, step: Step, root: Path) -> None:
        self.step, self.root = step, root
        self.workspace = step.workspace
        self.runs = runs_folder(root, self.workspace.path)
        self.show = Show(self.runs)
        self.began = time.monotonic()
        self._folder: Path | None = None

    def go(self) -> Note:
        self.step.target.start()
        try:
            if self.step.slug == first():
                self._undo()
            else:
                makes_hosts = self.step.target.makes_hosts
                is_new = makes_hosts and not self.step.cloud.stacks()
                if not self._has_hosts():
                    self._execute_well(outline.steps()[0])
                    self.step = begin(self.step.slug, self.workspace)
                if not is_new:
                    self._undo()
                self._do_what_is_missing(is_new)
        finally:
            self.step.hosts.close()
        seconds = time.monotonic() - self.began
        text = _("You are at the start of {slug} ({seconds:.0f} s).")
        return Note(text.format(slug=self.step.slug, seconds=seconds), "good")

    # -- the hosts -----------------------------------------------------------

    def _has_hosts(self) -> bool:
        if not self.step.target.makes_hosts:
            return True
        names = self.step.cloud.names
        wanted = (names.server, names.client, names.stranger)
        return all(self.step.cloud.instance(name) for name in wanted)

    # -- backwards and forwards ----------------------------------------------

    def _undo(self) -> None:
        undone = undo.undo(self.step)
        if undone.steps:
            self.show.say(undone.note.text())

    def _do_what_is_missing(self, is_new: bool) -> None:
        earlier = [one.slug for one in outline.until(self.step.slug)]
        if is_new:  # on hosts that were just made nothing stands but the first step
            stands = dict.fromkeys(earlier, False) | {first(): True}
        else:
            stands = standing.look_at(self.step, earlier, KINDS)
        changed = False
        for slug in earlier:
            # What a notebook did may have brought down a step after it.
            if stands[slug] and changed:
                stands[slug] = standing.look_at(self.step, [slug], KINDS)[slug]
            if not stands[slug]:
                self._do(outline.step(slug))
                changed = True
            elif standing.recorded(self.workspace)[slug] != standing.DONE:
                self._note(begin(slug, self.workspace))  # done by hand

    def _note(self, step: Step) -> None:
        step.look()
        step.hosts.close()

    def _do(self, which: type[Step]) -> None:
        """Run a step's notebook; where it does not pass, once more from the step's own start."""
        record = self._execute(which)
        if record.passed:
            return
        if record.fault and record.fault.name in ("kernel", "timeout"):
            raise HandsonError(failure(record), self._again)
        # It is half done, or a later step that is done stands in its way. To undo 00_start
        # would be to delete the hosts.
        start = begin(second() if which.slug == first() else which.slug, self.workspace)
        undone = undo.undo(start)
        start.hosts.close()
        if not undone.steps:
            raise HandsonError(failure(record), self._again)
        self.show.say(undone.note.text())
        self._execute_well(which)

    @property
    def _again(self) -> str:
        return _("Fix the problem named above, then run `handson goto {slug}` again.").format(
            slug=self.step.slug
        )

    def _execute_well(self, which: type[Step]) -> None:
        record = self._execute(which)
        if not record.passed:
            raise HandsonError(failure(record), self._again)

    def _execute(self, which: type[Step]) -> Record:
        if self._folder is None:
            self._folder = new_folder(self.runs)
            if self.runs.parent != self.root:
                self.show.say(_("The executed notebooks go to {path}.").format(path=self._folder))
        target = targets.of(self.workspace.settings(), self.workspace)
        source = self.root / "notebooks" / f"{which.slug}.ipynb"
        with self.show.running([source]):
            self.show.begin(which)
            record = run_step(which, source, self._folder, target, CELL_SECONDS, self.show)
        self.show.done(record)
        return record
