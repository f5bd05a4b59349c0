"""What Postfix itself says is wrong: its newest complaint that belongs to a try that failed."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from handson.diagnosis.cause import POSTCONF, RESTART, Diagnosis
from handson.i18n import _
from handson.mail.log import Entry, moment
from handson.mail.log_refusals import Complaint, complaint

if TYPE_CHECKING:
    from handson.mail.observation import Observation
    from handson.mail.smtp import Reply

ID = "postfix-complains"
# A service that died at its start is started anew after a minute at most (master(8)).
NOW = timedelta(seconds=100)
RANKS = ("panic", "fatal", "error", "warning")
# What Postfix says of a client's address or of one login is no fault of its own.
NO_FAULT = re.compile(r"does not resolve to address|authentication failed|Illegal address syntax")
# What libsasl2 says through smtpd of one login; the client is not named.
OF_A_LOGIN = re.compile(r"warning: SASL authentication (?:failure|problem):")
# master's words about a process that ended, which has said more; and a command's about master.
ECHO = re.compile(
    r"process .* (exit status|killed by signal)|bad command startup|throttling"
    r"|mail system is (?:not|already) running"
)
# Names that stand in lists of restrictions (postconf(5)), to find the one that was meant.
RESTRICTIONS = (
    *("permit", "reject", "defer", "defer_if_permit", "defer_if_reject", "warn_if_reject"),
    *("permit_mynetworks", "permit_sasl_authenticated", "permit_auth_destination"),
    *("permit_inet_interfaces", "permit_tls_clientcerts", "permit_mx_backup"),
    *("reject_unauth_destination", "defer_unauth_destination", "reject_unauth_pipelining"),
    *("reject_sender_login_mismatch", "reject_authenticated_sender_login_mismatch"),
    *("reject_unauthenticated_sender_login_mismatch", "reject_known_sender_login_mismatch"),
    *("reject_non_fqdn_sender", "reject_non_fqdn_recipient", "reject_non_fqdn_helo_hostname"),
    *("reject_unknown_sender_domain", "reject_unknown_recipient_domain"),
    *("reject_unknown_client_hostname", "reject_unknown_helo_hostname"),
    *("reject_invalid_helo_hostname", "reject_unlisted_recipient", "reject_unverified_recipient"),
    *("reject_rbl_client", "check_client_access", "check_sender_access", "check_recipient_access"),
    *("check_helo_access", "check_sasl_access", "check_policy_service"),
)


def is_own_fault(answer: Reply) -> bool:
    """Return whether a server's answer blames the server itself: status x.3.y (RFC 3463)."""
    return bool(re.match(r"[45]\.3\.", answer.text))


@dataclass(frozen=True)
class Said:
    """A complaint, and what else the same process has complained of, as lines of the log."""

    complaint: Complaint
    lines: tuple[str, ...]


def newest(observed: Observation, seen: str = "") -> Said | None:
    """Return Postfix's gravest complaint of the time of this try, the newest of its kind.

    `seen` is how the try ended: what is logged of a login tells nothing of another refusal.
    """
    found: list[tuple[int, int, Complaint, str]] = []
    entries = _of_now(observed.recent)
    logins = [entry for entry in entries if OF_A_LOGIN.search(entry.text)]
    # Of several logins, this try's is the newest.
    other_logins = logins[:-1] if "authentication" in seen else logins
    client = f"[{observed.settings.client_ip}]"
    spoke = {entry.program for entry in entries if client in entry.text}
    for place, entry in enumerate(entries):
        said = complaint(entry)
        if said is None or NO_FAULT.search(said.text) or not _is_ours(observed, said):
            continue
        if any(entry is one for one in other_logins):
            continue
        # What other processes warn of need not be about this client; master's are about them.
        if said.level == "warning" and entry.program not in spoke and said.service != "master":
            continue
        line = f"{entry.clock} {entry.program}: {entry.text}"
        found.append((_rank(entry, said), place, said, line))
    if not found:
        return None
    _best, _place, said, _line = min(found, key=lambda one: (one[0], -one[1]))
    same = [one for one in found if one[2].pid == said.pid and one[2].service == said.service]
    # The newest line of each kind: some count bytes or name a queue id.
    kinds = {re.sub(r"\d+", "", one[3]): one[3] for one in same}
    return Said(said, tuple(kinds.values())[-3:])


def _rank(entry: Entry, said: Complaint) -> int:
    """Return how little a complaint tells: a refusal's words are those of another line."""
    if ECHO.search(said.text):
        return len(RANKS) + 2
    if not entry.text.startswith(RANKS):
        return len(RANKS) + 1
    return RANKS.index(said.level) if said.level in RANKS else len(RANKS)


def _of_now(entries: list[Entry]) -> list[Entry]:
    if not entries:
        return []
    like = datetime.now(UTC)
    last = moment(entries[-1], like)
    return [one for one in entries if last - moment(one, like) <= NOW]


def _is_ours(observed: Observation, said: Complaint) -> bool:
    return not said.client or f"[{observed.settings.client_ip}]" in said.client


def diagnosis(observed: Observation, seen: str) -> Diagnosis | None:
    """Return what Postfix complains of, explained as far as it can be; `seen` is the try."""
    said = newest(observed, seen)
    if said is None:
        return None
    cause, cure = explain(said.complaint, observed.server.fill("{log} | tail -n 40"))
    name = said.complaint.parameter
    manual = f"{POSTCONF}#{name}" if name else POSTCONF
    return Diagnosis(ID, "\n".join([seen, *said.lines]), cause, cure, manual)


def explain(said: Complaint, log: str) -> tuple[str, str]:
    """Return in words what a complaint comes to, and what to do; `log` shows more of the log.

    >>> explain(Complaint("", "smtpd", 1, "fatal", "bad boolean configuration: x = yess"), "")[0]
    'Postfix cannot use the value of x: “yess”.'
    """
    text = said.text
    if found := re.search(r"bad \w+(?: \w+)? configuration: (\w+) = (.*)", text):
        name, value = found[1], found[2].strip()
        if "#" in value:
            return (
                _("The comment behind the value of {name} counts as a part of it.").format(
                    name=name
                ),
                _("Give the comment a line of its own in /etc/postfix/main.cf; {restart}").format(
                    restart=RESTART
                ),
            )
        return (
            _("Postfix cannot use the value of {name}: “{value}”.").format(name=name, value=value),
            _("sudo postconf -e {name}=VALUE with a right value; {restart}").format(
                name=name, restart=RESTART
            ),
        )
    if found := re.search(r"unknown smtpd restriction: \"([^\"]*)\"", text):
        near = difflib.get_close_matches(found[1], RESTRICTIONS, 1)
        hint = _(" Is {near} meant?").format(near=near[0]) if near else ""
        return (
            _("Postfix knows no restriction “{name}”.").format(name=found[1]) + hint,
            _(
                "Find it: postconf -n | grep {name}; sudo postconf -P shows the options of "
                "services. Correct it with postconf -e; sudo postfix reload"
            ).format(name=found[1]),
        )
    if "specify at least one working instance of" in text:
        return (
            _("smtpd ends at its start: no list refuses to relay, and it will be no open relay."),
            _(
                "sudo postconf -e 'smtpd_relay_restrictions = permit_mynetworks, "
                "permit_sasl_authenticated, defer_unauth_destination'; {restart}"
            ).format(restart=RESTART),
        )
    place = f"{said.file}:{said.line}" if said.line else said.file
    if place and not said.parameters:
        return (
            _("Postfix names {place}.").format(place=place),
            _("Look at that place, correct it; then {restart}").format(restart=RESTART),
        )
    if said.parameters:
        names = ", ".join(said.parameters)
        return (
            _("Postfix names {names}.").format(names=names),
            _("Look at it: postconf {names}; correct it with sudo postconf -e; {restart}").format(
                names=" ".join(said.parameters), restart=RESTART
            ),
        )
    return (
        _("Postfix says so itself; what brought it about is not known."),
        _("Read on around that line: {command}").format(command=log),
    )
