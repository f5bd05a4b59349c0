"""What all checks have in common: an id of their own, a manual, and what they need to be read."""

from __future__ import annotations

from typing import Any

import pytest

from handson.course import checks, outline
from handson.course.checks import Finding, Rule, State, bad, good, not_here
from handson.course.outline import steps
from handson.course.progress import holds
from handson.diagnosis.chain import CAUSES
from handson.errors import HandsonError, NotHere
from handson.mail.observation import LANES, Observation

STEPS = steps()

RULES = {step.slug: outline.step(step.slug).rules for step in STEPS}
KNOWN = {name for lane in LANES for name in lane}


def test_each_step_has_rules_with_ids_of_their_own() -> None:
    ids = [rule.id for rules in RULES.values() for rule in rules]
    assert all(RULES.values())
    assert len(ids) == len(set(ids))


def test_each_rule_says_one_sentence_and_names_a_manual() -> None:
    for rules in RULES.values():
        for rule in rules:
            assert rule.sentence.endswith("."), rule.id
            assert rule.manual.startswith("https://"), rule.id
            assert rule.kind in ("now", "happened"), rule.id


def test_causes_are_ones_that_can_be_recognised() -> None:
    known = {cause.id for cause in CAUSES}
    for rules in RULES.values():
        for rule in rules:
            assert set(rule.causes) <= known, rule.id


def test_each_cause_lies_behind_a_rule() -> None:
    reached = {id for rules in RULES.values() for rule in rules for id in rule.causes}
    assert reached == {cause.id for cause in CAUSES}


def test_what_is_read_ahead_is_there_to_be_read() -> None:
    assert all(hasattr(Observation, name) for name in KNOWN)
    for slug, rules in RULES.items():
        assert set(rules.needs) <= KNOWN, slug


def raises(error: Exception) -> Finding:
    raise error


@pytest.mark.parametrize(
    ("look", "state", "stands"),
    [
        (lambda _: good(), State.PASSES, True),
        (lambda _: bad("e", "c", "do"), State.FAILS, False),
        (lambda _: not_here("no firewall"), State.NOT_HERE, None),
        (lambda _: raises(HandsonError("gone")), State.FAILS, False),
        (lambda _: raises(NotHere("no firewall")), State.NOT_HERE, None),
    ],
)
def test_a_rule_passes_fails_or_does_not_apply(
    look: checks.Look, state: State, stands: bool | None
) -> None:
    # The causes would be asked about an observation that is none.
    causes = () if state is State.FAILS else ("port-closed",)
    rule, nowhere = Rule("r", "It is.", "https://m", "now", look, causes), None
    result = rule.apply(nowhere)  # type: ignore[arg-type]
    assert result.state is state
    assert holds(rule, nowhere) is stands  # type: ignore[arg-type]
    assert result.ok is (state is State.PASSES)


def test_a_step_stands_when_all_stands_that_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    from handson.course import progress

    class Quiet:
        def read(self, command: str) -> str:
            return ""

        def read_ahead(self, needs: Any) -> None:
            pass

    class Walk:
        hosts: Any = type("Hosts", (), {"server": Quiet(), "client": Quiet()})

        def observe(self, slug: str) -> Any:
            return Quiet()

    def rules(*looks: checks.Look) -> Any:
        found = checks.Rules()
        for number, look in enumerate(looks):
            found.now(f"r{number}", "It is.", "https://m")(look)
        return type("Step", (), {"rules": found})

    known = {
        "some": rules(lambda _: good(), lambda _: not_here("")),
        "none": rules(lambda _: not_here("")),
        "bad": rules(lambda _: not_here(""), lambda _: bad("", "", "")),
    }
    monkeypatch.setattr(outline, "step", known.__getitem__)
    found = progress.look_at(Walk(), list(known))  # type: ignore[arg-type]
    assert found == {"some": True, "none": True, "bad": False}
