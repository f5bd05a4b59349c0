"""Picture, matrix, checks, header and diagnosis say the same of one server, whatever its state."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from changing import Change, on_server
from finished import Finished
from solving import at_start, solve
from waiting import LONG, own

from handson.course import checks, live_topology, outline, progress
from handson.course.begin import begin
from handson.course.checks import State
from handson.course.outline import steps
from handson.course.step import Step
from handson.diagnosis.cause import Link
from handson.diagnosis.verdict import Verdict, judge
from handson.mail.relay_matrix.expected import CLOSED, NO_ANSWER, RELAYS
from handson.mail.relay_matrix.view import Matrix
from handson.ui.topology import Way

pytestmark = pytest.mark.slow(minutes=7)

NAME = own("truth")
# Read here: the tests take such variables out of the way before they begin.
SEED = int(os.environ.get("HANDSON_SEED") or random.SystemRandom().randrange(10**6))
SOLVED = [info.slug for info in steps()[1:10]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    with at_start(NAME, tmp_path_factory.mktemp("home")) as step:
        yield step


def stage_after(slug: str) -> str:
    if slug == "09_harden":
        return "hardened"
    return "after_login" if slug >= "06" else "start"


@dataclass
class Seen:
    """One server as it is shown in all ways."""

    matrix: Matrix
    ways: dict[int, Way]
    verdict: Verdict
    states: dict[str, str]


def look(step: Step, stage: str) -> Seen:
    """Look at the server in all ways, and hold what they say against each other.

    One observation is enough for most of them: a hardened server counts the logins of a minute.
    """
    matrix, observed = step.relay_matrix(stage), step.observe()
    ways = live_topology.ways(observed)
    picture = live_topology.draw(observed, step.target).text()
    observed.stage = stage
    verdict = judge(observed)

    # The picture and the matrix.
    for port, way in ways.items():
        assert re.search(rf"port {port}: +{re.escape(way.state)}", picture)
        if port not in matrix.ports:
            continue
        cells = [matrix.cell("client", port, login, "outside") for login in ("none", "right")]
        seen = [cell.observed for cell in cells]
        said = f"{port}: {way} {[cell.label for cell in cells]}"
        assert way.is_open == (RELAYS in seen), said
        assert ("without a login" in way.state) == (seen[0] == RELAYS), said
        assert (way.ends == "group") == (seen[0] == NO_ANSWER), said
        assert ("nothing listens" in way.state) == (seen[0] == CLOSED), said
        if port != 25:
            assert (way.tone == "good") == (seen[1] == RELAYS != seen[0]), said
        elif seen[0] == RELAYS:
            assert way.tone == "warn", said

    # The diagnosis: a link before the login is broken where the matrix does not get there.
    right = matrix.cell("client", 587, "right", "outside")
    login = verdict.tries[0]
    assert login.is_well == (right.observed == RELAYS), verdict
    assert (login.broken == Link.PACKET) == (right.observed == NO_ANSWER), verdict
    assert (login.broken == Link.LISTENS) == (right.observed == CLOSED), verdict
    anonymous = matrix.cell("client", 587, "none", "outside")
    assert verdict.tries[1].is_well == (anonymous.observed != RELAYS), verdict
    strangers = matrix.cell("stranger", 25, "none", "outside")
    (stranger,) = (one for one in verdict.tries if "stranger" in one.what)
    assert stranger.is_well == (strangers.observed != RELAYS), verdict
    assert stranger.is_well == (not matrix.open_relays), matrix.text()
    if not login.is_well:
        assert verdict.cause, verdict

    # The checks.
    found = {
        result.id: result.ok
        for slug in ("05_master_cf", "06_mailx_test")
        for result in checks.run(outline.step(slug).rules, observed)
    }
    assert found["relays-with-login"] == (right.observed == RELAYS), found
    assert found["submission-listens"] or right.observed != RELAYS, found
    by_address = matrix.cell("client", 25, "none", "outside").observed == RELAYS
    assert not (found["client-not-trusted"] and by_address), found
    assert not (found["port-25-refuses-client"] and by_address), found

    # The header.
    states = progress.now(step)
    for slug, state in states.items():
        if state == progress.OPEN or slug == "10_teardown":
            continue
        results = checks.run(outline.step(slug).rules, observed)
        is_done = all(r.state is not State.FAILS for r in results if r.kind == "now")
        assert (state == progress.DONE) == is_done, (slug, state, results)
    return Seen(matrix, ways, verdict, states)


def test_at_the_start(start: Step) -> None:
    seen = look(start, "start")
    assert seen.matrix.is_as_expected, seen.matrix.text()
    assert seen.ways[25].state == "relays without a login"
    assert not seen.verdict.is_well


@pytest.mark.parametrize("slug", SOLVED)
def test_at_the_end_of_each_step(start: Step, slug: str) -> None:
    """Each goes on where the one before it ended."""
    solve(slug)
    step = begin(slug)
    try:
        seen = look(step, stage_after(slug))
    finally:
        step.hosts.close()
    assert seen.states[slug] == progress.DONE
    if slug >= "06":
        assert seen.matrix.is_as_expected, seen.matrix.text()
        assert seen.verdict.is_well, seen.verdict
        assert seen.ways[587].tone == "good"


@contextmanager
def closed(finished: Finished) -> Iterator[None]:
    cloud, source = finished.step.cloud, finished.step.settings.vpc_cidr
    assert cloud.close_port(587, source)
    try:
        yield
    finally:
        cloud.open_port(587, source)


NOT_RELAYED = "postconf -e 'smtpd_recipient_restrictions = permit_mynetworks, reject'"
FAULTS: dict[str, Change] = {
    "the port is closed": closed,
    "nothing listens": on_server("postconf -MX submission/inet"),
    "no login is offered": on_server("postconf -P submission/inet/smtpd_sasl_auth_enable=no"),
    "sasldb cannot be read": on_server("chmod 0600 /etc/sasldb2", "/etc/sasldb2"),
    "a chroot": on_server("postconf -F submission/inet/chroot=y"),
    "a login is not enough": on_server(NOT_RELAYED),
    "an open relay": on_server("postconf -e 'mynetworks = 0.0.0.0/0'"),
    "no certificate": on_server("postconf -e smtpd_tls_cert_file=/etc/postfix/none.pem"),
    "port 465 without its service": on_server("postconf -MX smtps/inet"),
}


DRAWN = sorted(FAULTS) if LONG else random.Random(SEED).sample(sorted(FAULTS), 3)


@pytest.mark.parametrize("fault", DRAWN)
def test_under_a_fault_of_the_hardened_server(start: Step, fault: str) -> None:
    print(f"HANDSON_SEED={SEED}")
    step = begin("09_harden")
    try:
        with FAULTS[fault](Finished(step)):
            assert not look(step, "hardened").matrix.is_as_expected
            assert not step.look().passed
        assert step.relay_matrix("hardened").is_as_expected
    finally:
        step.hosts.close()
