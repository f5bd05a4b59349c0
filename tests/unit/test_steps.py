"""Rules of single steps that look into the log, on refusals made for the purpose."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from handson.course import outline
from handson.course.checks import Finding
from handson.mail.log import Refusal

REFUSED = Refusal(
    time="2025-01-01T10:00:00+00:00",
    client="client[10.87.3.20]",
    port_service="smtpd",
    code="554",
    dsn="5.7.1",
    reason="Client host rejected: Access denied",
    sender="hello@example.com",
    recipient="friend@example.net",
    stage="RCPT",
    sasl_username="",
    logged_in=False,
    helo="client",
)
# What 05_master_cf shows: with smtpd_delay_reject=no, nobody gets as far as a login.
AT_THE_GREETING = replace(REFUSED, stage="CONNECT", sender="", recipient="", helo="")
OF_A_CHECK = replace(REFUSED, helo="m03.handson.invalid")


def look(slug: str, id: str, *refusals: Refusal) -> Finding:
    system = SimpleNamespace(log_source="/var/log/mail.log")
    scene: Any = SimpleNamespace(refusals=refusals, server=SimpleNamespace(system=system))
    return next(rule for rule in outline.step(slug).rules if rule.id == id).look(scene)


@pytest.mark.parametrize(
    ("slug", "id"),
    [("06_mailx_test", "refused-without-login"), ("07_log_check", "refusals-found")],
)
def test_only_a_refused_message_of_the_learner_counts(slug: str, id: str) -> None:
    assert look(slug, id, REFUSED).ok
    assert not look(slug, id).ok
    assert not look(slug, id, AT_THE_GREETING, OF_A_CHECK).ok
