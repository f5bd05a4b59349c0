"""What all checks have in common: an id of their own, a manual, and what they need to be read."""

from __future__ import annotations

from handson.course import outline
from handson.course.outline import STEPS
from handson.diagnosis.chain import CAUSES
from handson.mail.observation import LANES, Scene

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
    assert all(hasattr(Scene, name) for name in KNOWN)
    for slug, rules in RULES.items():
        assert set(rules.needs) <= KNOWN, slug
