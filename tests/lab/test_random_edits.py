"""Random edits on a finished course: what is said is so, whatever was done.

Each draw makes one edit or two, and tries from outside tell what is true then. The diagnosis and
the checks have to agree: the true cause, or “not known” in the server's own words; no cause that
a passing check refutes, no rule that passes while the learner's own mail is refused.
`HANDSON_SEED` repeats a run, `HANDSON_DRAW` (one number or several, as a failure prints them) only
these draws.
"""

from __future__ import annotations

import os
import random
import time

import pytest
from finished import Finished
from outside import GOOD, judge
from random_edits import Draw, keep, made
from saying import contradictions
from waiting import LONG

from handson.course import checks, outline
from handson.diagnosis import verdict

# Read here: the tests take such variables out of the way before they begin.
SEED = os.environ.get("HANDSON_SEED") or str(random.SystemRandom().randrange(10**6))
CHOSEN = os.environ.get("HANDSON_DRAW", "").replace(",", " ").split()
DRAWS = CHOSEN or [f"{SEED}-{number}" for number in range(500 if LONG else 6)]
SLUGS = [one.slug for one in outline.steps() if "02" <= one.slug < "08"]
# Beside what the edits bring about by themselves: a server that does not answer is waited for.
SECONDS = 30

pytestmark = pytest.mark.slow(minutes=4)


def look(finished: Finished, draw: Draw) -> list[str]:
    """Make the edits, and return what is said then that is not so."""
    print(draw)
    with made(finished, draw):
        truth = judge(finished)
        started = time.monotonic()
        observed = finished.observe()
        found = verdict.judge(observed)
        reports = {slug: checks.run(outline.step(slug).rules, observed) for slug in SLUGS}
        seconds = time.monotonic() - started
    wrong = contradictions(draw, truth, found, reports)
    if seconds > SECONDS:
        wrong.append(f"the checks took {seconds:.1f} s")
    return wrong and [str(draw), str(truth), str(found), *wrong]


def test_what_is_said_is_so(finished: Finished) -> None:
    good = keep(finished)
    assert judge(finished) == GOOD
    wrong = [text for number in DRAWS for text in look(finished, good.draw(number))]
    assert not wrong, "\n".join(wrong)
    assert judge(finished) == GOOD
    assert not finished.failing()
