"""Each fault: injected, known by its id, fixed, and nothing is left of it."""

from __future__ import annotations

import random

import pytest
from curing import carry_out
from finished import Finished

from handson.diagnosis import faults
from handson.diagnosis.chain import diagnose
from handson.errors import HandsonError

pytestmark = pytest.mark.slow(minutes=6)

# Every row of the table that can arise in the lab; the others need EC2's own firewall.
IDS = [fault.id for fault in faults.FAULTS]
# A try that was made by hand, with a program of its own, is not what a check looks at.
UNCHECKED = {"bad-base64"}


@pytest.mark.parametrize("id", IDS)
def test_fault_is_injected_known_and_fixed(finished: Finished, id: str) -> None:
    step = finished.step
    faults.inject(step.observe(), id)
    try:
        assert faults.injected(step.observe()) == [id]
        observed = step.observe()
        found = diagnose(observed)
        assert [one.id for one in found[:1]] == [id]
        assert found[0].evidence and found[0].cause and found[0].cure
        assert faults.is_recognised(observed, id)
        failing = finished.failing(observed=observed)
        assert bool(failing) is (id not in UNCHECKED)
        known = {result.cause_id for result in failing.values() if result.cause_id}
        assert known <= {id}, failing
        assert known or id in UNCHECKED
        # What a learner is told holds no words that were left in braces.
        assert "{" not in faults.how_to_fix(observed, id)
    finally:
        faults.fix(step.observe())
    observed = step.observe()
    assert faults.injected(observed) == []
    assert diagnose(observed) == []
    assert finished.failing(observed=observed) == {}


def test_one_fault_at_a_time(finished: Finished) -> None:
    step = finished.step
    faults.inject(step.observe(), "sasldb-permission")
    try:
        for id in ("sasldb-permission", "wrong-password"):
            with pytest.raises(HandsonError, match="A fault is injected already"):
                faults.inject(step.observe(), id)
        assert faults.injected(step.observe()) == ["sasldb-permission"]
    finally:
        faults.fix(step.observe())
    assert finished.failing(("03_sasldb",)) == {}


def test_nothing_to_fix(finished: Finished) -> None:
    with pytest.raises(HandsonError, match="No fault is injected"):
        faults.fix(finished.step.observe())
    with pytest.raises(HandsonError, match="wrong-password is not injected"):
        faults.fix(finished.step.observe(), "wrong-password")


def test_fixing_puts_back_mode_owner_and_time(finished: Finished) -> None:
    step, look = finished.step, "sudo stat -c '%a %U %G %y' /etc/sasldb2 /etc/postfix/main.cf"
    before = step.server.read(look)
    for id in ("sasldb-corrupt", "map-type"):
        faults.inject(step.observe(), id)
        assert step.server.read(look) != before
        faults.fix(step.observe())
        assert step.server.read(look) == before


def test_learner_fixes(finished: Finished) -> None:
    step = finished.step
    faults.inject(step.observe(), "sasldb-permission")
    assert carry_out(step, diagnose(step.observe())[0].cure)
    assert not faults.is_recognised(step.observe(), "sasldb-permission")
    faults.settle(step.observe(), "sasldb-permission")
    assert faults.injected(step.observe()) == []
    assert finished.failing() == {}


def test_injecting_is_not_told_in_the_command_log(finished: Finished) -> None:
    step = finished.step
    log = step.workspace.path / "commands.log"
    before = log.read_text()
    faults.inject(step.observe(), faults.draw(random.Random(7), step.observe()))
    faults.fix(step.observe())
    assert log.read_text() == before
