"""Whole settings, drawn at and beyond the borders of each field: refused at once, or all passes.

`HANDSON_SEED` repeats a run, `HANDSON_DRAW` (numbers as a failure prints them) only those draws.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from solving import learner, solve
from waiting import LONG, own

from handson.course.begin import begin
from handson.course.outline import steps
from handson.errors import InvalidInput

pytestmark = pytest.mark.slow(minutes=3)

# Read here: the tests take such variables out of the way before they begin.
SEED = os.environ.get("HANDSON_SEED") or str(random.SystemRandom().randrange(10**6))
CHOSEN = os.environ.get("HANDSON_DRAW", "").replace(",", " ").split()
DRAWS = CHOSEN or [f"{SEED}-{number}" for number in range(40 if LONG else 1)]
SLUGS = [step.slug for step in steps()[1:10]]

LOCAL = "l" * 64
# 254 characters with the longest name before it.
FAR = ".".join(["d" * 60, "d" * 60, "d" * 60, "example"])[-189:].lstrip(".")
# What can be chosen, and what cannot.
FIELDS: dict[str, tuple[list[str], list[str]]] = {
    "DOMAIN": (
        [
            "example.org",
            "a.jp",
            f"{'x' * 51}.example",
            "bücher.example",
            "例え。jp．",
            "a.b.c.d.e.fm",
        ],
        [f"{'x' * 52}.example", "localhost", "-a.com", "example.com; rm -rf /", "10.0.0.1"],
    ),
    "USER": (
        ["a", "0", "x" * 32, "joe.doe_2", "A.b-C", "root", "null", "postfix", "cmusaslsecretPLAIN"],
        ["x" * 33, "a b", "a@b", "名前", "-a", "$(id)"],
    ),
    "SENDER": (
        ["a@b.co", f"{LOCAL}@{FAR}", "a.b+c@bücher.example", "_@example.org", "0-@example.com"],
        [f"{LOCAL}l@a.jp", "a=b@example.com", "-a@example.com", "a@localhost", "a..b@example.com"],
    ),
    "RECIPIENT": (
        ["a@b.co", f"{LOCAL}@{FAR}", "x.y+z@例.jp", "root@example.net", "0@xn--bcher-kva.ch"],
        [f"a@{'d' * 64}.jp", "friend", "@example.net", "a b@example.net", "<a@example.net>"],
    ),
    "PASSWORD": (
        ["abcdefgh", "x" * 64, "!%&()*+,./:;<=>?@[]^_{|}~-", "--------", "12345678", "%25%40=:@/"],
        ["short", "x" * 65, "pass word", "quote'quote", "$HOME$HOME", "back\\slash", "umläute!"],
    ),
    "VPC_CIDR": (
        ["10.0.0.0/16", "172.20.0.0/20", "192.168.240.0/20", "10.255.0.0/18", "8.8.0.0/16"],
        ["10.0.0.0/15", "10.0.0.0/21", "10.0.0.1/16", "fd00::/64", "127.0.0.0/16"],
    ),
    "DATE": (
        ["20240229", "00010101", "99991231", "20261231"],
        ["20230229", "0", "1234567890123456", "2024-02-29", "20241301"],
    ),
    "OWN_IP": (["203.0.113.5", "0.0.0.0", "10.0.0.1"], ["256.1.1.1", "::1", "1.2.3", "me"]),
    "SUBMISSION_SOURCE": (["vpc", "anywhere"], ["all", "0.0.0.0/0"]),
    "REGION": (
        ["us-east-1", "eu-central-1", "us-gov-west-1", "xx-nowhere-9"],
        ["mars", "us-east", "US EAST 1"],
    ),
    "SYSTEM": (["al2023"], ["debian", "AL2023", "al2"]),
}


def draw(number: str) -> tuple[dict[str, str], bool]:
    """Return what is chosen, and whether all of it can be."""
    chosen = random.Random(number)
    # One of three draws has something that cannot be.
    wrong = chosen.choice(sorted(FIELDS)) if chosen.random() < 1 / 3 else ""
    found = {}
    for name, (good, bad) in FIELDS.items():
        if name == wrong:
            found[name] = chosen.choice(bad)
        elif chosen.random() < 0.7:
            found[name] = chosen.choice(good)
    return found, not wrong


@pytest.fixture
def lab_name() -> Iterator[str]:
    yield own("choices")


@pytest.mark.parametrize("number", DRAWS)
def test_refused_at_once_or_the_course_passes(number: str, lab_name: str, tmp_path: Path) -> None:
    choices, can_be = draw(number)
    print(f"HANDSON_DRAW={number}", choices)
    with learner(lab_name, tmp_path / "home", **choices):
        try:
            solve("00_start")
        except InvalidInput as refusal:
            assert len(str(refusal).splitlines()) == 2
            for name in choices:
                os.environ.pop(f"HANDSON_{name}")
            assert begin("00_start").cloud.stacks() == []
            assert not can_be, str(refusal)
            return
        assert can_be
        for slug in SLUGS:
            solve(slug)
