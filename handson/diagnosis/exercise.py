"""Troubleshooting as an exercise: a fault is injected, the learner finds and fixes it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from handson.diagnosis import faults
from handson.diagnosis.chain import cause, diagnose, reach
from handson.errors import HandsonError
from handson.i18n import _
from handson.mail.observation import Observation
from handson.settings import FAULT, HEADLESS, variable
from handson.ui.choice import Choice, Option
from handson.ui.view import Note, Table
from handson.workspace import Workspace

NOTE = "exercise"
# What came of each fault stands on the server itself: it is gone when the server is.
FOUND = "/var/lib/smtp-handson/found"


class Outcome(StrEnum):
    """What came of a fault: the learner named it, was told it, or had it fixed unnamed."""

    NAMED = "named"
    TOLD = "told"
    MISSED = "missed"


@dataclass
class Attempt:
    """What has been done about the fault that is injected; `started` in seconds of the epoch.

    `is_told` says that the learner knows it from elsewhere: from the checks, from the last
    hint, or because it was chosen by its id. Naming it then finds nothing.
    """

    id: str
    started: float
    wrong: list[str] = field(default_factory=list)
    hints: int = 0
    is_named: bool = False
    is_told: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.is_told:
            return Outcome.TOLD
        return Outcome.NAMED if self.is_named else Outcome.MISSED

    @property
    def is_whole(self) -> bool:
        """Return whether it is what was saved, and not what a damaged file held."""
        numbers = isinstance(self.started, int | float) and isinstance(self.hints, int)
        marks = isinstance(self.is_named, bool) and isinstance(self.is_told, bool)
        return numbers and marks and isinstance(self.wrong, list)


class Exercise:
    """One fault at a time; what was tried is kept in the workspace, for another kernel too.

    `observed` gives a fresh look at hosts and cloud.
    """

    def __init__(self, workspace: Workspace, observed: Callable[[], Observation]) -> None:
        self._workspace, self._observe = workspace, observed

    def start(self, id: str = "") -> Note:
        """Inject a fault: the one named, or `HANDSON_FAULT`, or one drawn by chance.

        What is injected already is fixed first. Where nobody watches, it is always the same.
        """
        observed = self._observe()
        if faults.injected(observed):
            faults.fix(observed)
            observed = self._observe()
        chosen = id or variable(FAULT)
        if not chosen:
            is_watched = not variable(HEADLESS)
            chance = random.Random()
            chosen = faults.draw(chance, observed) if is_watched else faults.usual(observed)
        faults.inject(observed, chosen)
        self._save(Attempt(chosen, time.time(), is_told=bool(id)))
        return Note(
            _("A fault is injected. Something that worked does not work now: find out what.")
        )

    def hint(self) -> Note:
        """Tell a little more each time: what is seen, where to look, and at last all of it."""
        attempt = self._attempt()
        attempt.hints += 1
        self._save(attempt)
        if attempt.hints > 2:
            return self.tell()
        known = cause(attempt.id)
        fault = faults.fault(attempt.id)
        if attempt.hints == 1:
            return Note(known.seen)
        host = _("the client") if fault.client else _("the server")
        where = _("the security group") if fault.closes_port else host
        return Note(_("It lies on {where}. Manual: {url}").format(where=where, url=known.manual))

    def tell(self) -> Note:
        """Tell what is wrong and how to fix it: the cause then no longer counts as found."""
        attempt = self._attempt()
        attempt.is_told |= not attempt.is_named
        self._save(attempt)
        title = faults.fault(attempt.id).title
        return Note(f"{title}: {faults.how_to_fix(self._observe(), attempt.id)}", "warn")

    @property
    def id(self) -> str:
        """The id of the fault that the exercise is about; '' where this workspace has none."""
        return self._attempt().id if self._workspace.noted(NOTE) else ""

    def question(self) -> Choice:
        """Return the question what the cause is, with all causes that can be injected here."""
        options = [Option("", _("I do not know"), _("let the checks say it"))]
        here = faults.here(self._observe())
        options += [Option(one.id, one.id, faults.fault(one.id).title) for one in here]
        return Choice(_("What is the cause?"), options, "")

    def answer(self, id: str) -> Note | Table:
        """Say whether this is the cause; with '' the checks answer, and show what gives it away."""
        attempt = self._attempt()
        if id == "":
            attempt.is_told |= not attempt.is_named
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

    def fixed(self) -> Note:
        """See whether the learner has fixed it by hand, and say how well it went."""
        attempt = self._attempt()
        if faults.is_recognised(self._observe(), attempt.id):
            return Note(_("It is still there. {how}").format(how=cause(attempt.id).seen), "bad")
        faults.settle(self._observe(), attempt.id)
        return self._done(attempt)

    def fix(self) -> Note:
        """Put everything back as it was before the fault, and say how well it went."""
        attempt = self._attempt()
        if faults.injected(self._observe()):
            faults.fix(self._observe(), attempt.id)
        return self._done(attempt)

    # -- underneath ----------------------------------------------------------

    def _told_by_checks(self) -> Note | Table:
        reach(self._observe())
        found = diagnose(self._observe(), limit=1)
        if not found:
            return Note(_("The checks see nothing wrong. Has it been fixed already?"), "warn")
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
        self._observe().server.read(
            "sudo sh -c {script} found {id} {outcome}",
            script=f'mkdir -p /var/lib/smtp-handson && echo "$1 $2" >> {FOUND}',
            id=attempt.id,
            outcome=attempt.outcome.value,
        )
        tone = "good" if attempt.outcome is Outcome.NAMED else "warn"
        return Note(f"{verdict(attempt)} ({seconds:.0f} s)", tone)

    def _attempt(self) -> Attempt:
        saved = self._workspace.noted(NOTE)
        if not saved:
            raise HandsonError(_("No fault is injected."), _("Start one: exercise.start()"))
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


def outcomes(text: str) -> dict[Outcome, list[str]]:
    """Return the ids of the faults in the file `FOUND`, by what came of them.

    >>> outcomes("map-type told\\nsasldb-missing named\\nmap-type told\\n")
    {<Outcome.TOLD: 'told'>: ['map-type'], <Outcome.NAMED: 'named'>: ['sasldb-missing']}
    """
    found: dict[Outcome, list[str]] = {}
    for line in text.splitlines():
        id, _space, outcome = line.partition(" ")
        # An earlier release wrote the id alone, whoever had named it.
        ids = found.setdefault(Outcome(outcome or Outcome.TOLD), [])
        if id not in ids:
            ids.append(id)
    return found


def verdict(attempt: Attempt) -> str:
    """Say how well a diagnosis went.

    >>> verdict(Attempt("port-closed", 0, is_named=True))
    'port-closed: found at the first try, without a hint.'
    """
    if attempt.outcome is Outcome.TOLD:
        return _("{id}: fixed. Its cause was told, so it does not count as found.").format(
            id=attempt.id
        )
    counted = _("Wrong answers: {wrong}, hints: {hints}.").format(
        wrong=len(attempt.wrong), hints=attempt.hints
    )
    if attempt.outcome is Outcome.MISSED:
        return _("{id}: fixed, but its cause was not named.").format(id=attempt.id) + f" {counted}"
    if not attempt.wrong and not attempt.hints:
        return _("{id}: found at the first try, without a hint.").format(id=attempt.id)
    return _("{id}: found.").format(id=attempt.id) + f" {counted}"
