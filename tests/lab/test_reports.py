"""Misconfigurations from public reports: named rightly, or “not known” in the server's own words.

Each was made by people who do this very job. What must never happen is a cause that is not so.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from changing import Change, changed, in_mailrc, on_server
from finished import Finished

from handson.course import checks, outline
from handson.diagnosis import own_words
from handson.diagnosis.fault import LOGIN, RESTART, Part
from handson.diagnosis.verdict import UNKNOWN, judge

WORDS = {UNKNOWN, own_words.ID}


@dataclass(frozen=True)
class Report:
    """What was done, which causes are right, and what the evidence has to show."""

    change: Change
    causes: frozenset[str]
    shows: str


def report(change: Change, shows: str, *causes: str) -> Report:
    return Report(change, frozenset(causes or WORDS), shows)


def main(settings: str, after: str = RESTART) -> Change:
    return on_server(f"postconf -e {settings}", after=after)


def lines(edit: str) -> Change:
    return on_server(f"sed -i -E {edit} /etc/postfix/main.cf", after=RESTART)


RELAY = "permit_mynetworks, permit_sasl_authenticated"
REPORTS = {
    "no message is small enough": report(main("message_size_limit=400"), "552 5.3.4"),
    "wrong realm": report(
        on_server(
            'rm "$database"; printf secret | saslpasswd2 -p -c -f "$database" "$user"\n'
            'chown root:postfix "$database"; chmod 640 "$database"',
            "$database",
        ),
        "holds",
        "wrong-password",
    ),
    "saslauthd is asked": report(
        on_server(
            'sed -i "s/^pwcheck_method:.*/pwcheck_method: saslauthd/" "$conf"',
            "$conf",
            after=RESTART,
        ),
        "saslauthd",
        "saslauthd-absent",
        "saslauthd-denied",
    ),
    "no list refuses": report(
        main(f"'smtpd_relay_restrictions=' 'smtpd_recipient_restrictions={RELAY}'"),
        "at least one working instance",
        own_words.ID,
    ),
    "a restriction that is none": report(
        main(
            "'smtpd_recipient_restrictions=permit_mynetworks, permit_sasl_auth, "
            "reject_unauth_destination'"
        ),
        "permit_sasl_auth",
        own_words.ID,
    ),
    "Dovecot is asked": report(
        main("smtpd_sasl_type=dovecot smtpd_sasl_path=private/auth"),
        "private/auth",
        own_words.ID,
    ),
    "a name that is no full one": report(
        main(
            "smtpd_helo_required=yes "
            "'smtpd_helo_restrictions=permit_mynetworks, reject_non_fqdn_helo_hostname'"
        ),
        "need fully-qualified hostname",
        UNKNOWN,
    ),
    "senders without a map": report(
        main("smtpd_sender_restrictions=reject_sender_login_mismatch"), "553 5.7.1"
    ),
    "TLS on a port of STARTTLS": report(
        in_mailrc(LOGIN + "set smtp=smtps://{server_ip}:587\n"), "", UNKNOWN
    ),
    "a comment behind a value": report(
        lines("'s/^smtpd_sasl_auth_enable.*/smtpd_sasl_auth_enable = yes   # SMTP AUTH/'"),
        "# SMTP AUTH",
        own_words.ID,
    ),
    "a line that continues another": report(
        lines("'s/^smtpd_sasl_auth_enable/ smtpd_sasl_auth_enable/'"),
        "main.cf:",
        "line-swallowed",
    ),
    "a value misspelt": report(main("smtpd_sasl_auth_enable=yess"), "yess", own_words.ID),
    "no list on the port and a wide mynetworks": report(
        on_server(
            'postconf -PX "$service/smtpd_client_restrictions"\n'
            "postconf -e 'mynetworks=127.0.0.0/8, 10.0.0.0/8'"
        ),
        "10.0.0.0/8",
        "relays-without-login",
        "client-trusted",
    ),
    "Postfix is stopped": report(
        lambda finished: changed(
            finished, server=Part((), "systemctl stop postfix\n", after=RESTART)
        ),
        "master",
        "postfix-stopped",
    ),
    "TLS first, and no certificate": report(
        main("smtpd_tls_auth_only=yes smtpd_tls_security_level=none"),
        "smtpd_tls_auth_only = yes",
        "auth-waits-for-tls",
    ),
    "the relay list refuses": report(
        main("'smtpd_relay_restrictions=permit_mynetworks, reject_unauth_destination'"),
        "smtpd_relay_restrictions",
        "relay-denied-authenticated",
    ),
    "settings in an account": report(
        in_mailrc("account relay {{\n" + LOGIN + "}}\n"),
        "Client host rejected",
        "client-rejected",
    ),
    "no room in the queue": report(main("queue_minfree=900000000000000"), "452 4.3.1"),
    "a comma between mechanisms": report(
        on_server(
            'sed -i "s/^mech_list:.*/mech_list: PLAIN, LOGIN/" "$conf"', "$conf", after=RESTART
        ),
        "PLAIN, LOGIN",
        "mech-list-comma",
    ),
    "IPv6 only": report(main("inet_protocols=ipv6"), "inet_protocols", "ipv6-only"),
    "refused at the greeting": report(main("smtpd_delay_reject=no"), "Client host rejected"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_what_is_said_is_so(finished: Finished, name: str) -> None:
    """The cause is a right one, the checks tell no other, and none passes that must not."""
    expected = REPORTS[name]
    with expected.change(finished):
        scene = finished.step.scene()
        found = judge(scene)
        assert found.cause and found.cause.id in expected.causes, found
        assert expected.shows in found.cause.evidence, found.cause.evidence
        told = {
            result.cause_id
            for slug in ("05_master_cf", "06_mailx_test")
            for result in checks.run(outline.step(slug).rules, scene)
            if not result.ok and result.cause_id
        }
        assert found.cause.id in told and told <= expected.causes
    assert judge(finished.step.scene()).is_well
