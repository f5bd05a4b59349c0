"""The checks judge the state, however it came about, and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from changing import Change, changed, in_mailrc, on_server
from finished import SLUGS, Finished

from handson.course import checks, outline
from handson.diagnosis.chain import diagnose
from handson.diagnosis.fault import LOGIN, MAIL_FILES, RESTART_SH, Part
from handson.diagnosis.tls import CERTIFICATE, _tls

pytestmark = pytest.mark.slow(minutes=4)

TUTORIAL = "smtpd_recipient_restrictions=permit_mynetworks, reject_unauth_destination"


@contextmanager
def client_group(finished: Finished) -> Iterator[None]:
    cloud = finished.step.cloud
    [(source, note)] = [(r.source, r.description) for r in cloud.rules() if r.opens(587)]
    group = cloud._groups.find(cloud.names.client_group)["GroupId"]
    cloud.open_port(587, group)
    cloud.close_port(587, source)
    try:
        yield
    finally:
        cloud.open_port(587, source, note)
        cloud.close_port(587, group)


def netrc(finished: Finished) -> AbstractContextManager[None]:
    """The password in ~/.netrc, and a ~/.mailrc that everybody may read."""
    step = finished.step
    secret = step.password.reveal()
    text = f"machine {step.settings.server_ip} login {step.settings.login} password {secret}"
    script = f"printf '%s\\n' {text!r} > ~/.netrc; chmod 600 ~/.netrc; chmod 644 ~/.mailrc"
    mailrc = "set v15-compat mta=smtp://{server_ip}:587 smtp-auth=plain netrc-lookup sendwait\n"
    return changed(finished, client=Part(MAIL_FILES, script, mailrc=mailrc))


def hardened(finished: Finished) -> AbstractContextManager[None]:
    """TLS demanded, and a mail program that asks for it and trusts the certificate."""
    with_tls = _tls("encrypt", CERTIFICATE)
    mailrc = LOGIN + "set smtp-use-starttls tls-verify=ignore\n"
    return changed(finished, server=with_tls, client=Part(MAIL_FILES, mailrc=mailrc))


RIGHT: dict[str, Change] = {
    "own recipient restrictions": on_server(
        f"postconf -e '{TUTORIAL}'\n"
        'postconf -P "$service/smtpd_recipient_restrictions=permit_sasl_authenticated,reject"'
    ),
    "AUTH on submission only": on_server(
        'postconf -e smtpd_sasl_auth_enable=no\npostconf -P "$service/smtpd_sasl_auth_enable=yes"'
    ),
    "no recipient line": on_server("postconf -X smtpd_recipient_restrictions"),
    "named by number": on_server('sed -i "s/^submission /587 /" /etc/postfix/master.cf'),
    "more mechanisms": on_server(
        'sed -i "s/^mech_list:.*/mech_list: PLAIN LOGIN SCRAM-SHA-256/" "$conf"', "$conf"
    ),
    "no pwcheck_method": on_server('sed -i "/^pwcheck_method/d" "$conf"', "$conf"),
    "sasldb elsewhere": on_server(
        'install -d /srv/sasl\nmv "$database" /srv/sasl/users\n'
        'echo "sasldb_path: /srv/sasl/users" >> "$conf"',
        "$conf",
        "$database",
        "/srv/sasl",
    ),
    "another group": on_server(
        'groupadd -f mailsasl\nusermod -aG mailsasl postfix\nchgrp mailsasl "$database"',
        "/etc/group",
        "/etc/gshadow",
        "$database",
        after=RESTART_SH,
    ),
    "the client's group as source": client_group,
    "v15 mailrc": in_mailrc(
        "set v15-compat\nset mta=smtp://{user}%40{domain}:{password}@{server_ip}:587 "
        "smtp-auth=plain sendwait\n"
    ),
    "netrc": netrc,
    "TLS may": lambda finished: changed(finished, server=_tls("may", CERTIFICATE)),
    "TLS encrypt": hardened,
}


@pytest.mark.parametrize("way", RIGHT)
def test_right_another_way(finished: Finished, way: str) -> None:
    with RIGHT[way](finished):
        observed = finished.step.observe()
        assert diagnose(observed) == []
        assert finished.failing(observed=observed) == {}
    assert finished.failing() == {}


def test_untouched_work_does_not_pass(finished: Finished) -> None:
    assert set(finished.untouched) == set(SLUGS)
    for slug, results in finished.untouched.items():
        assert not all(result.ok for result in results), slug


def test_untouched_work_is_explained(finished: Finished) -> None:
    known = {r.id: r.cause_id for results in finished.untouched.values() for r in results}
    assert known["submission-allowed"] == "port-closed"
    assert known["plain-plugin"] == "no-mechanisms"
    assert known["sasldb-readable"] == "sasldb-missing"
    for results in finished.untouched.values():
        for result in results:
            assert result.ok or (result.cause and (result.cure or result.cause_id)), result.id


@pytest.mark.parametrize(
    ("rule", "script"),
    [
        (
            "strangers-refused",
            "postconf -e smtpd_recipient_restrictions=permit smtpd_relay_restrictions=permit",
        ),
        ("client-not-trusted", "postconf -e mynetworks=10.0.0.0/8,192.168.0.0/16,172.16.0.0/12"),
        ("sasl-type-cyrus", "postconf -e smtpd_sasl_type=dovecot smtpd_sasl_path=private/auth"),
    ],
)
def test_wrong_state_fails(finished: Finished, rule: str, script: str) -> None:
    with on_server(script, after=RESTART_SH)(finished):
        assert rule in finished.failing()


def test_sasldb_that_everybody_can_read(finished: Finished) -> None:
    with on_server('chmod 0644 "$database"', "$database")(finished):
        assert set(finished.failing()) == {"sasldb-private"}


def test_mailrc_that_others_can_read(finished: Finished) -> None:
    with changed(finished, client=Part(MAIL_FILES, "chmod 644 ~/.mailrc")):
        assert set(finished.failing()) == {"mailrc-private"}


def test_old_lines_of_the_log_are_not_taken_for_the_present(finished: Finished) -> None:
    step = finished.step
    part = Part(("$database",), 'chmod 0600 "$database"; chown root:root "$database"')
    with changed(finished, server=part):
        assert diagnose(step.observe())[0].id == "sasldb-permission"
    # The line "Permission denied" is in the log still, and Postfix was not reloaded since.
    assert diagnose(step.observe()) == []
    with changed(finished, server=Part(("$database",), 'mv "$database" /root/away; rm /root/away')):
        found = diagnose(step.observe())[0]
    assert found.id == "sasldb-missing"
    assert "Permission denied" not in found.evidence


STATE = r"""
find /etc/postfix /etc/sasldb2 /run/saslauthd -printf '%p %m %u %g %T@\n' | sort
mailq | tail -n 1; pgrep -c master; ls /var/lib/smtp-handson/faults 2>/dev/null
"""


def test_checks_change_nothing(finished: Finished) -> None:
    step = finished.step

    def state() -> list[str]:
        return [
            step.server.read("sudo sh -c {script}", script=STATE),
            step.client.read("find ~ -printf '%p %m %T@\\n' | sort"),
            str(step.cloud.rules()),
        ]

    before = state()
    for slug in SLUGS:
        assert all(result.ok for result in checks.run(outline.step(slug).rules, step.observe()))
    diagnose(step.observe())
    assert state() == before
