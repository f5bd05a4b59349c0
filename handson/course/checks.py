"""The checks of the course: rules about the state of hosts and cloud, whoever brought it about.

Each step has a list of rules. A rule only reads. It tells what is *true now*
(computed anew each time) or what *happened* (found in the log).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from handson.diagnosis import own_words
from handson.diagnosis.cause import Diagnosis
from handson.diagnosis.chain import Link, diagnose, up_to
from handson.diagnosis.verdict import UNKNOWN, Verdict, judge
from handson.errors import HandsonError, NotHere
from handson.i18n import _
from handson.mail.observation import Observation
from handson.secret import masked

__all__ = [
    "Finding",
    "Observation",
    "Result",
    "Rule",
    "Rules",
    "State",
    "bad",
    "good",
    "not_here",
    "not_logged",
    "run",
]


class State(Enum):
    """What came of a check: one that does not apply has neither passed nor failed."""

    PASSES = "passes"
    FAILS = "fails"
    NOT_HERE = "does not apply here"


@dataclass(frozen=True)
class Result:
    """What one check found.

    `kind` is 'now' (true at this moment, computed anew each time) or 'happened' (found in
    the log). `applies` is false where what it is about is not there. `cause` and `cure` are
    filled in when the check does not pass; `cause_id` is that of the diagnosis, where it
    recognised the cause.
    """

    id: str
    sentence: str
    ok: bool
    kind: str
    manual: str
    evidence: str = ""
    cause: str = ""
    cure: str = ""
    cause_id: str = ""
    applies: bool = True

    def __post_init__(self) -> None:
        # It is shown, and stored with the progress.
        for name in ("evidence", "cause", "cure"):
            object.__setattr__(self, name, masked(getattr(self, name)))

    @property
    def state(self) -> State:
        if not self.applies:
            return State.NOT_HERE
        return State.PASSES if self.ok else State.FAILS


@dataclass(frozen=True)
class Finding:
    """What a rule's function returns: whether it holds, and what shows it."""

    ok: bool
    evidence: str = ""
    cause: str = ""
    cure: str = ""
    applies: bool = True


def good(evidence: str = "") -> Finding:
    return Finding(True, evidence)


def bad(evidence: str, cause: str, cure: str) -> Finding:
    return Finding(False, evidence, cause, cure)


def not_here(evidence: str) -> Finding:
    """Return the finding of a rule that is about something that is not there."""
    return Finding(False, evidence, applies=False)


def not_logged(observed: Observation, slug: str, sought: str, cause: str, cure: str) -> Finding:
    """Return the finding that the log has no line of some kind since a step began.

    The `cause` ("not yet") is told only where the log is known to hold that whole time.
    """
    source = observed.server.system.log_source
    begun, start = observed.begun(slug), observed.log_start
    count = len(observed.entries)
    seen = _("{sought} in {log}: no such line among {count} of Postfix").format(
        sought=sought, log=source, count=count
    )
    if not begun or not start or start > begun:
        cause = _("What happened before the first of these lines is not in the log.")
        if start:
            seen += "\n" + _("the log begins at {time}").format(time=f"{start:%Y-%m-%d %H:%M:%S}")
    return bad(seen, cause, cure)


Look = Callable[[Observation], Finding]
FIRST_LINKS = set(up_to(Link.LISTENS, 25))
# What explains a try that went wrong for a cause that has no name.
WORDS = (own_words.ID, UNKNOWN)


@dataclass(frozen=True)
class Rule:
    """An id, one sentence, the manual's address, and a function that looks.

    `causes` are the ids of what may lie behind it when it does not hold.
    """

    id: str
    sentence: str
    manual: str
    kind: str
    look: Look
    causes: tuple[str, ...] = ()

    @property
    def is_about_tries(self) -> bool:
        """Whether it names all that may lie behind it, from the first links of the chain on."""
        return set(self.causes) >= FIRST_LINKS

    @property
    def port(self) -> int:
        """The port that it is about, where it is about tries."""
        return 587 if set(self.causes) >= set(up_to(Link.PACKET)) else 25

    def find(self, observed: Observation) -> Finding:
        """Look, and return the finding; a host or an API that says no is one too."""
        try:
            return self.look(observed)
        except NotHere as error:
            return not_here(error.what)
        except HandsonError as error:
            return bad(error.what, _("This could not be looked at."), error.cure)

    def apply(self, observed: Observation) -> Result:
        """Look, and return the result; where the rule does not hold, with the cause."""
        found = self.find(observed)
        if not found.ok and found.applies and self.causes:
            known = self._known(observed, found)
            if known:
                return Result(
                    self.id,
                    self.sentence,
                    False,
                    self.kind,
                    known.manual,
                    known.evidence,
                    known.cause,
                    known.cure,
                    known.id,
                )
        return Result(
            self.id,
            self.sentence,
            found.ok,
            self.kind,
            self.manual,
            found.evidence,
            found.cause,
            found.cure,
            applies=found.applies,
        )

    def _known(self, observed: Observation, found: Finding) -> Diagnosis | None:
        """Return the cause of what was found: the verdict's, where the rule is about its tries."""
        judged = verdict(observed)
        told = judged.by_port.get(self.port) if self.is_about_tries else None
        for known in (told, judged.cause, *judged.others):
            if known and known.id in self.causes:
                return known
        if told and told.id in WORDS and not found.cause:
            return told
        if self.is_about_tries and judged.wrong:
            # What is recognised beside a try that went wrong was not found to be behind it.
            return None
        # The rule is about something of its own: a file, a package, a rule of a group.
        return next(iter(diagnose(observed, self.causes, limit=1)), None)


class Rules(list[Rule]):
    """The rules of one step, in the order in which they are shown.

    `needs` are the properties of an observation that they all read, to be read side by side.
    """

    def __init__(self, *needs: str) -> None:
        super().__init__()
        self.needs = needs

    def now(
        self, id: str, sentence: str, manual: str, causes: tuple[str, ...] = ()
    ) -> Callable[[Look], Look]:
        """Add the decorated function as a rule about what is true now."""
        return self._add(id, sentence, manual, "now", causes)

    def happened(
        self, id: str, sentence: str, manual: str, causes: tuple[str, ...] = ()
    ) -> Callable[[Look], Look]:
        """Add the decorated function as a rule about what the log tells."""
        return self._add(id, sentence, manual, "happened", causes)

    def _add(
        self, id: str, sentence: str, manual: str, kind: str, causes: tuple[str, ...]
    ) -> Callable[[Look], Look]:
        def add(look: Look) -> Look:
            self.append(Rule(id, sentence, manual, kind, look, causes))
            return look

        return add


def verdict(observed: Observation) -> Verdict:
    """Return the verdict on what an observation shows; it is found once."""
    if "verdict" not in vars(observed):
        vars(observed)["verdict"] = judge(observed)
    found: Verdict = vars(observed)["verdict"]
    return found


def run(rules: Rules, observed: Observation) -> list[Result]:
    """Apply all rules of a step to what is there now.

    One fault has one cause: it is told once, and where it lies behind another rule too, that
    follows from it.
    """
    observed.read_ahead(rules.needs)
    told: dict[str, str] = {}
    results = []
    for rule in rules:
        result = rule.apply(observed)
        if result.cause_id and result.cause_id in told:
            text = _("This follows from the same cause as “{sentence}”").format(
                sentence=told[result.cause_id]
            )
            result = replace(result, evidence="", cause=text, cure="")
        elif result.cause_id:
            told[result.cause_id] = result.sentence
        results.append(result)
    return results
