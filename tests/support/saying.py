"""What the diagnosis and the checks say, compared with what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outside import Truth
from random_edits import Draw

from handson.course import outline
from handson.course.checks import Result
from handson.diagnosis import own_words
from handson.diagnosis.cause import Diagnosis, Link
from handson.diagnosis.chain import cause
from handson.diagnosis.verdict import UNKNOWN, Verdict

WORDS = (UNKNOWN, own_words.ID)
# What a rule says when it passes, by the name of what has to be true then.
HOLDS = {
    "login-works": "logs_in",
    "relays-with-login": "relays",
    "mail-program-logs-in": "program_sends",
}
HOLDS_NOT = {
    "submission-needs-login": "anonymous_relays",
    "client-not-trusted": "client_relays",
    "port-25-refuses-client": "client_relays",
    "strangers-refused": "stranger_relays",
}
# The links of the chain that are in order when a rule about a try passes: up to this one.
PASSED = {
    "submission-offers-plain": Link.GREETS,
    "login-works": Link.LOGIN,
    "relays-with-login": Link.RESTRICTIONS,
    "mail-program-logs-in": Link.MAIL_PROGRAM,
}
# Causes of what must not work: that something else works does not refute them.
TOO_OPEN = ("relays-without-login", "open-relay", "client-trusted")
# Causes that lie in one place, by the area of the edits that may bring them about.
PLACES = {
    ".mailrc": {
        *("v15-credentials", "login-mechanism", "bad-base64", "client-rejected", "relay-denied"),
        *("starttls-required", "tls-untrusted"),
    },
    "smtpd.conf": {
        *("smtpd-conf-syntax", "smtpd-conf-ignored", "mech-list-comma", "unknown-verifier"),
        *("saslauthd-denied", "saslauthd-absent"),
    },
    "sasldb": {"sasldb-corrupt", "sasldb-permission"},
    "log": {"log-not-written", "no-maillog"},
    "group": {"port-closed", "egress-closed"},
    "package": {"no-mechanisms"},
    "master.cf": {"option-in-column-1", "submission-off", "space-in-option", "chrooted-smtpd"},
    "main.cf": {"line-swallowed", "inet-interface-unknown", "loopback-only", "ipv6-only"},
}
# Where else such a cause may come from: a file elsewhere, a parameter that names another.
ALSO = {
    "client-rejected": {"smtpd.conf"},
    "relay-denied": {"smtpd.conf"},
    "login-mechanism": {"smtpd.conf"},
    "starttls-required": {"main.cf", "master.cf"},
    "tls-untrusted": {"main.cf", "master.cf"},
    "log-not-written": {"main.cf", "master.cf"},
    "no-maillog": {"main.cf", "master.cf"},
    "unknown-verifier": {"package"},
    "chrooted-smtpd": {"main.cf"},
    "inet-interface-unknown": {"master.cf"},
    "loopback-only": {"master.cf"},
    "ipv6-only": {"master.cf"},
}


def contradictions(
    draw: Draw, truth: Truth, found: Verdict, reports: Mapping[str, Sequence[Result]]
) -> list[str]:
    """Return in sentences all that was said and is not so."""
    results = [result for report in reports.values() for result in report]
    passing = {result.id for result in results if result.ok}
    told = [*([found.cause] if found.cause else []), *found.others]
    wrong = [f"{rule} passes, and it is not so" for rule in passing if _is_untrue(rule, truth)]
    if truth.differs and (found.is_well or not found.cause or not found.cause.evidence):
        wrong.append(f"{truth.differs} differ, and nothing is said to be wrong")
    if not truth.differs and found.wrong:
        wrong.append(f"nothing differs, and {found.wrong} is said to be wrong")
    if not truth.differs and any(one.id in WORDS for one in told):
        wrong.append("nothing differs, and a cause that is not known is told")
    wrong += [text for one in told for text in _refuted(one, passing)]
    wrong += [text for one in told for text in _misplaced(one, draw)]
    for slug, report in reports.items():
        causes = {one.cause_id for one in report if not one.ok and one.cause_id}
        if len(causes) > len(draw.edits):
            wrong.append(f"{slug} names {sorted(causes)}")
        rules = {rule.id: rule for rule in outline.step(slug).rules}
        wrong += [
            f"{slug}: {one.id} fails, and no cause is told: {one.evidence} / {one.cause}"
            for one in report
            if one.applies and not one.ok and not one.cause and rules[one.id].is_about_tries
        ]
    return wrong


def _is_untrue(rule: str, truth: Truth) -> bool:
    if rule in HOLDS:
        return not getattr(truth, HOLDS[rule])
    return rule in HOLDS_NOT and bool(getattr(truth, HOLDS_NOT[rule]))


def _refuted(one: Diagnosis, passing: set[str]) -> list[str]:
    if one.id in WORDS or one.id in TOO_OPEN or cause(one.id).is_state:
        return []
    return [
        f"{one.id} is told, and {rule} passes"
        for rule, link in PASSED.items()
        if rule in passing and cause(one.id).link <= link
    ]


def _misplaced(one: Diagnosis, draw: Draw) -> list[str]:
    for area, ids in PLACES.items():
        if one.id in ids and not draw.areas & {area, *ALSO.get(one.id, set())}:
            return [f"{one.id} is told, and only {sorted(draw.areas)} was edited"]
    return []
