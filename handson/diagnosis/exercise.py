"""Troubleshooting as an exercise: a fault is planted, the learner finds it and mends it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from handson.diagnosis import faults
from handson.diagnosis.chain import cause, diagnose, reach
from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.observation import Scene
from handson.settings import FAULT, variable
from handson.ui.choice import Choice, Option
from handson.ui.view import Note, Table
from handson.workspace import Workspace

NOTE = "exercise"
# The faults that were found stand on the server itself: they are gone when it is.
FOUND = "/var/lib/smtp-handson/found"


@dataclass
class Attempt:
    """What has been done about the fault that is planted; `started` in seconds of the epoch."""

    id: str
    started: float
    wrong: list[str] = field(default_factory=list)
    hints: int = 0
    is_named: bool = False

    @property
    def is_whole(self) -> bool:
        """Return whether it is what was saved, and not what a damaged file held."""
        numbers = isinstance(self.started, int | float) and isinstance(self.hints, int)
        return numbers and isinstance(self.wrong, list) and isinstance(self.is_named, bool)


class Exercise:
    """One fault at a time; what was tried is kept in the workspace, for another kernel too.

    `scene` gives a fresh look at hosts and cloud.
    """

    def __init__(self, workspace: Workspace, scene: Callable[[], Scene]) -> None:
        self._workspace, self._scene = workspace, scene

    def start(self, id: str = "") -> Note:
        """Plant a fault: the one named, or `HANDSON_FAULT`, or one drawn by chance.

        What is planted already is mended first.
        """
        scene = self._scene()
        if faults.planted(scene):
            faults.mend(scene)
            scene = self._scene()
        chosen = id or variable(FAULT) or faults.draw(random.Random(), scene)
        faults.plant(scene, chosen)
        self._save(Attempt(chosen, time.time()))
        return Note(
            _("A fault is planted. Something that worked does not work now: find out what.")
        )

    def hint(self) -> Note:
        """Tell a little more each time: what is seen, where to look, and at last all of it."""
        attempt = self._attempt()
        attempt.hints += 1
        self._save(attempt)
        known = cause(attempt.id)
        fault = faults.fault(attempt.id)
        if attempt.hints == 1:
            return Note(known.seen)
        if attempt.hints == 2:
            host = _("the client") if fault.client else _("the server")
            where = _("the security group") if fault.closes_port else host
            return Note(
                _("It lies on {where}. Manual: {url}").format(where=where, url=known.manual)
            )
        return Note(f"{fault.title}: {faults.how_to_mend(self._scene(), attempt.id)}", "warn")

    def question(self) -> Choice:
        """Return the question what the cause is, with all causes that can be planted here."""
        options = [Option("", _("I do not know"), _("let the checks say it"))]
        here = faults.here(self._scene())
        options += [Option(one.id, one.id, faults.fault(one.id).title) for one in here]
        return Choice(_("What is the cause?"), options, "")

    def answer(self, id: str) -> Note | Table:
        """Say whether this is the cause; with '' the checks answer, and show what gives it away."""
        attempt = self._attempt()
        if id == "":
            attempt.hints += 1
            self._save(attempt)
            return self._told_by_checks()
        faults.fault(id)
        if id != attempt.id:
            attempt.wrong.append(id)
            self._save(attempt)
            return Note(
                _("{id} is not it. It would look like this: {seen}").format(
                    id=id, seen=cause(id).seen
                ),
                "bad",
            )
        attempt.is_named = True
        self._save(attempt)
        return Note(_("Yes: {title}.").format(title=faults.fault(id).title), "good")

    def mended(self) -> Note:
        """See whether the learner has mended it by hand, and say how well it went."""
        attempt = self._attempt()
        if faults.is_recognised(self._scene(), attempt.id):
            return Note(_("It is still there. {how}").format(how=cause(attempt.id).seen), "bad")
        faults.settle(self._scene(), attempt.id)
        return self._done(attempt)

    def mend(self) -> Note:
        """Put everything back as it was before the fault, and say how well it went."""
        attempt = self._attempt()
        if faults.planted(self._scene()):
            faults.mend(self._scene(), attempt.id)
        return self._done(attempt)

    # -- underneath ----------------------------------------------------------

    def _told_by_checks(self) -> Note | Table:
        reach(self._scene())
        found = diagnose(self._scene(), limit=1)
        if not found:
            return Note(_("The checks see nothing wrong. Has it been mended already?"), "warn")
        rows = [
            [_("cause"), found[0].id],
            [_("evidence"), found[0].evidence],
            [_("why"), found[0].cause],
            [_("cure"), found[0].cure],
        ]
        return Table([_("the checks say"), ""], rows)

    def _done(self, attempt: Attempt) -> Note:
        seconds = time.time() - attempt.started
        self._workspace.note(NOTE, "")
        self._scene().server.read(
            "sudo sh -c {script} found {id}",
            script=f'mkdir -p /var/lib/smtp-handson && echo "$1" >> {FOUND}',
            id=attempt.id,
        )
        return Note(f"{verdict(attempt)} ({seconds:.0f} s)", "good" if attempt.is_named else "warn")

    def _attempt(self) -> Attempt:
        saved = self._workspace.noted(NOTE)
        if not saved:
            raise HandsonError(_("No fault is planted."), _("Start one: exercise.start()"))
        try:
            attempt = Attempt(**json.loads(saved))
            faults.fault(attempt.id)
        except (ValueError, TypeError, RecursionError, HandsonError):
            attempt = None
        if attempt is None or not attempt.is_whole:
            raise self._workspace.damaged("notes.json", _("it holds what is no exercise"))
        return attempt

    def _save(self, attempt: Attempt) -> None:
        self._workspace.note(NOTE, json.dumps(asdict(attempt)))


def verdict(attempt: Attempt) -> str:
    """Say how well a diagnosis went.

    >>> verdict(Attempt("port-closed", 0, is_named=True))
    'port-closed: found at the first try, without a hint.'
    """
    if not attempt.is_named:
        return _("{id}: mended, and the cause was told by the checks.").format(id=attempt.id)
    if not attempt.wrong and not attempt.hints:
        return _("{id}: found at the first try, without a hint.").format(id=attempt.id)
    return _("{id}: found. Wrong answers: {wrong}, hints: {hints}.").format(
        id=attempt.id, wrong=len(attempt.wrong), hints=attempt.hints
    )
