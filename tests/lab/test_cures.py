"""Each cure, run exactly as it is printed, ends the fault that it is for."""

from __future__ import annotations

import os
import random

import pytest
from curing import COMMAND, carry_out
from finished import Finished
from waiting import LONG

from handson.diagnosis import faults
from handson.diagnosis.verdict import judge

pytestmark = pytest.mark.slow(minutes=2)

# What a learner has to do elsewhere: in the AWS console, or with the password, which is never
# printed.
IN_WORDS = {"port-closed", "client-rejected", "relay-denied", "bad-base64"}
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
ALL = [one.id for one in faults.FAULTS if one.id not in IN_WORDS]
DRAWN = sorted(random.Random(SEED).sample(ALL, len(ALL) // 3))


@pytest.mark.parametrize("id", ALL if LONG else DRAWN)
def test_cure_works_as_printed(finished: Finished, id: str) -> None:
    print(f"HANDSON_SEED={SEED}")
    step = finished.step
    faults.inject(step.observe(), id)
    try:
        found = judge(finished.observe()).cause
        assert found and found.id == id, found
        assert carry_out(step, found.cure), found.cure
        observed = finished.observe()
        verdict = judge(observed)
        assert verdict.is_well, verdict
        # What happened while nothing wrote the log is not in it: it has to be done again.
        left = [
            one
            for one in finished.failing(observed=observed).values()
            if one.kind == "now" or id != "no-maillog"
        ]
        assert left == []
    finally:
        faults.fix(step.observe())
    assert judge(finished.observe()).is_well


@pytest.mark.parametrize("id", sorted(IN_WORDS))
def test_cure_in_words_has_no_commands(finished: Finished, id: str) -> None:
    cure = faults.how_to_fix(finished.step.observe(), id)
    assert not COMMAND.search(cure)
    assert "{" not in cure
