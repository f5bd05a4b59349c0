"""Misconfigurations from public reports: named rightly, or “not known” in the server's own words.

Each was made by people who do this very job. What must never happen is a cause that is not so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from changing import MAIN, Change, changed, in_mailrc, on_server
from curing import carry_out
from finished import Finished
from waiting import wait_until

from handson.course import checks, outline
from handson.diagnosis import own_words
from handson.diagnosis.fault import LOGIN, MAIL_FILES, RESTART_SH, Part
from handson.diagnosis.verdict import UNKNOWN, judge
from handson.mail import smtp

pytestmark = pytest.mark.slow(minutes=12)

WORDS = {UNKNOWN, own_words.ID}


@dataclass(frozen=True)
class Report:
    """What was done, which causes are right, and what the evidence has to show."""

    change: Change
    causes: frozenset[str]
    shows: str
    cure: str = ""
    is_checked: bool = True


def report(
    change: Change, shows: str, *causes: str, cure: str = "", is_checked: bool = True
) -> Report:
    """`cure` is what the cure has to say; what is not `is_checked`, no check of 05 or 06 sees."""
    return Report(change, frozenset(causes or WORDS), shows, cure, is_checked)


def main(settings: str, after: str = RESTART_SH) -> Change:
    return on_server(f"postconf -e {settings}", after=after)


def lines(edit: str) -> Change:
    return on_server(f"sed -i -E {edit} /etc/postfix/main.cf", after=RESTART_SH)


@contextmanager
def egress(finished: Finished) -> Iterator[None]:
    """The client's own security group lets out ssh, SMTP and HTTPS only."""
    cloud = finished.step.cloud
    group = cloud._groups.find(cloud.names.client_group)

    def narrow(port: int) -> dict[str, Any]:
        everywhere = [{"CidrIp": "0.0.0.0/0"}]
        return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": everywhere}

    few, all_ = [narrow(port) for port in (22, 25, 443)], group["IpPermissionsEgress"]

    def swap(new: list[dict[str, Any]], old: list[dict[str, Any]]) -> None:
        for operation, rules in (("authorize", new), ("revoke", old)):
            cloud._aws.call(
                "ec2",
                f"{operation}_security_group_egress",
                GroupId=group["GroupId"],
                IpPermissions=rules,
            )

    swap(few, all_)
    try:
        yield
    finally:
        swap(all_, few)


@contextmanager
def dead_resolver(finished: Finished) -> Iterator[None]:
    """No name server answers, and a message waits for one."""
    server, settings = finished.step.server, finished.step.settings
    resolvers = server.read("cat /etc/resolv.conf")

    def set_resolvers(text: str) -> None:
        server.probe("sudo tee /etc/resolv.conf", stdin=text)
        server.read("sudo systemctl restart postfix")

    set_resolvers("nameserver 192.0.2.53\noptions timeout:1 attempts:1\n")
    try:
        server.probe(
            "/usr/sbin/sendmail -f {sender} {recipient}",
            stdin="Subject: waits\n\nwaits\n",
            sender=settings.sender,
            recipient=settings.recipient,
        )
        wait_until(lambda: "Name service error" in server.read("{log} | tail -n 20"))
        yield
    finally:
        set_resolvers(resolvers)
        server.read("sudo postqueue -f")
        wait_until(lambda: "Mail queue is empty" in server.read("mailq"))


@contextmanager
def corrected_and_reloaded(finished: Finished) -> Iterator[None]:
    """A value that made smtpd end was corrected, and Postfix reloaded instead of restarted."""
    with main("smtpd_sasl_auth_enable=yess")(finished):
        step = finished.step
        assert step.observe().submission.banner is None
        wait_until(lambda: "throttling" in step.server.read("{log} | tail -n 20"))
        step.server.read("sudo postconf -e smtpd_sasl_auth_enable=yes")
        step.server.read("sudo postfix reload")
        yield


def _aged(finished: Finished, command: str) -> None:
    """Change something after all smtpd have run for some seconds: a file's time has no parts."""
    server = finished.step.server
    ages = "ps -C smtpd,master -o etimes="
    wait_until(lambda: min(map(int, server.read(ages).split())) > 2)
    server.read("sudo sh -c {change}", change=command)


@contextmanager
def switched_on_and_not_reloaded(finished: Finished) -> Iterator[None]:
    with main("smtpd_sasl_auth_enable=no")(finished):
        assert not finished.step.observe().submission.mechanisms
        _aged(finished, "postconf -e smtpd_sasl_auth_enable=yes")
        yield


@contextmanager
def service_and_not_reloaded(finished: Finished) -> Iterator[None]:
    off = 'sed -i "s/^submission /#submission /" /etc/postfix/master.cf'
    with on_server(off, after=RESTART_SH)(finished):
        assert finished.step.observe().submission.connected == "refused"
        _aged(finished, 'sed -i "s/^#submission /submission /" /etc/postfix/master.cf')
        yield


@contextmanager
def dead_relayhost(finished: Finished) -> Iterator[None]:
    """A relayhost at which nothing listens, and a message that waits for it."""
    step, settings = finished.step, finished.step.settings
    with main("'relayhost=[127.0.0.1]:9'")(finished):
        job = smtp.Job(
            settings.server_ip,
            587,
            settings.sender,
            settings.recipient,
            login=settings.login,
            password=step.password,
            message="Subject: waits\n\nwaits\n",
        )
        assert smtp.ask(step.client, job).sent
        wait_until(lambda: "Connection refused" in step.server.read("{log} | tail -n 20"))
        yield
    step.server.read("sudo postqueue -f")
    wait_until(lambda: "Mail queue is empty" in step.server.read("mailq"))


@contextmanager
def another_host(finished: Finished) -> Iterator[None]:
    """A host that has nothing to do with the learner tries port 587 without a login."""
    settings, stranger = finished.step.settings, finished.step.hosts.stranger
    assert stranger
    sender, recipient = settings.sender, settings.recipient
    found = smtp.ask(stranger, smtp.Job(settings.server_ip, 587, sender, recipient))
    assert found.refusal
    yield


@contextmanager
def system_wide(finished: Finished) -> Iterator[None]:
    """The mail program's settings are those of the system, and the user has none."""
    client = finished.step.client
    client.read("sudo cp -a /etc/s-nail.rc /etc/s-nail.rc.kept")
    client.read("sudo sh -c {move}", move=f"cat {MAILRC} >> /etc/s-nail.rc; rm {MAILRC}")
    try:
        yield
    finally:
        # What was added is what the user had.
        part = "tail -c +$(($(stat -c %s /etc/s-nail.rc.kept) + 1)) /etc/s-nail.rc"
        client.read("sh -c {back}", back=f"umask 077; {part} > ~/.mailrc")
        client.read("sudo mv /etc/s-nail.rc.kept /etc/s-nail.rc")


def by_login(finished: Finished) -> AbstractContextManager[None]:
    """AUTH LOGIN by hand, with a name that is not encoded."""
    server = Part(("$conf",), f'{MECHANISMS}"$conf"\n{RESTART_SH}', after=RESTART_SH)
    return changed(finished, server=server, client=Part(("~/by-hand.py",), BY_HAND))


def bare_name(finished: Finished) -> AbstractContextManager[None]:
    server = Part(
        (MAIN,),
        f"postconf -e 'smtpd_sasl_local_domain=$myhostname'\n{RESTART_SH}",
        after=RESTART_SH,
    )
    mailrc = LOGIN.replace("{login}", "smtp-auth")
    return changed(finished, server=server, client=Part(MAIL_FILES, mailrc=mailrc))


MAILRC = "~admin/.mailrc"
MECHANISMS = 'sed -i "s/^mech_list:.*/mech_list: PLAIN LOGIN/" '
BY_HAND = """\
cat > ~/by-hand.py <<'PROGRAM'
import smtplib, sys
server = smtplib.SMTP(sys.argv[1], 587)
server.ehlo("by-hand")
server.docmd("AUTH", "LOGIN")
print(server.docmd("smtp-auth@example.com"))
PROGRAM
python3 ~/by-hand.py "$server_ip"
"""
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
            after=RESTART_SH,
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
    "the port of the relay": report(
        in_mailrc(LOGIN + "set smtp=smtp://{server_ip}:25\n"), ":25", "mailrc-port", cure=":587"
    ),
    "STARTTLS where there is none": report(
        in_mailrc(LOGIN + "set smtp=smtp://{server_ip}:587\nset smtp-use-starttls\n"),
        ":587: SMTP server: 502 5.5.1",
        UNKNOWN,
    ),
    "a server that is not there": report(
        in_mailrc(LOGIN + "set smtp=smtp://mail.nowhere.invalid:587\n"),
        "mail.nowhere.invalid:587",
        UNKNOWN,
    ),
    "a name that no host has": report(
        main("myhostname=bad_host..name"), "parameter myhostname", own_words.ID
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
            finished, server=Part((), "systemctl stop postfix\n", after=RESTART_SH)
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
            'sed -i "s/^mech_list:.*/mech_list: PLAIN, LOGIN/" "$conf"',
            "$conf",
            after=RESTART_SH,
        ),
        "PLAIN, LOGIN",
        "mech-list-comma",
    ),
    "IPv6 only": report(main("inet_protocols=ipv6"), "inet_protocols", "ipv6-only"),
    "refused at the greeting": report(
        main("smtpd_delay_reject=no"), "Client host rejected", "refused-at-greeting"
    ),
    "the log is not written": report(
        lambda finished: changed(
            finished,
            server=Part(
                ("/var/log/mail.log",),
                "systemctl stop syslog.socket rsyslog 2> /dev/null; : > /var/log/mail.log\n",
                after="systemctl start rsyslog\n",
            ),
        ),
        "/var/log/mail.log",
        "log-not-written",
        cure="restart rsyslog",
    ),
    "the log is elsewhere": report(
        on_server(
            "postconf -e maillog_file=/var/log/postfix.log",
            "/var/log/postfix.log",
            after=RESTART_SH,
        ),
        "maillog_file = /var/log/postfix.log",
        "log-not-written",
        cure="tail -n 40 /var/log/postfix.log",
        is_checked=False,
    ),
    "a name that is not encoded": report(
        by_login, "SASL LOGIN", "bad-base64", cure="AUTH LOGIN", is_checked=False
    ),
    "a bare name and a realm": report(
        bare_name,
        "looked up as smtp-auth@mail.example.com",
        "mailrc-login",
        cure="smtp-auth-user=smtp-auth@example.com",
    ),
    "mynetworks is a file": report(
        on_server(
            'echo "127.0.0.0/8 10.0.0.0/8" > /etc/postfix/mynets\n'
            "postconf -e mynetworks=/etc/postfix/mynets",
            "/etc/postfix/mynets",
        ),
        "/etc/postfix/mynets",
        "client-trusted",
    ),
    "the client's group keeps it in": report(
        egress, "outbound rules", "egress-closed", cure="outbound rules"
    ),
    "no name server": report(
        dead_resolver, "192.0.2.53", "name-not-found", cure="/etc/resolv.conf", is_checked=False
    ),
    "TLS first, and a level without a certificate": report(
        main("smtpd_tls_auth_only=yes smtpd_tls_security_level=may"),
        "smtpd_tls_auth_only = yes",
        "auth-waits-for-tls",
        cure="smtpd_tls_auth_only=no",
    ),
    "corrected, and only reloaded": report(
        corrected_and_reloaded, "reload --", "master-throttles", cure="systemctl restart postfix"
    ),
}
# A cure that is one of two steps: the next trouble shows behind it.
TWICE = {
    "no list on the port and a wide mynetworks",
    # What is printed for a message that waits only shows it; the reason lies elsewhere.
    "the relayhost does not answer",
    "no name server",
}
REPORTS |= {
    "AUTH was switched on and not reloaded": report(
        switched_on_and_not_reloaded, "main.cf was changed", "not-reloaded"
    ),
    "the service was added and not reloaded": report(
        service_and_not_reloaded, "master.cf was changed", "not-reloaded"
    ),
    "the relayhost does not answer": report(
        dead_relayhost, "Connection refused", "not-delivered", is_checked=False
    ),
    "TLS from the first byte on 587": report(
        on_server('postconf -P "$service/smtpd_tls_wrappermode=yes"', after=RESTART_SH),
        "smtpd_tls_wrappermode = yes",
        "wrapper-mode",
    ),
    "the service listens on loopback": report(
        on_server(
            'sed -i "s/^submission /127.0.0.1:submission /" /etc/postfix/master.cf',
            after=RESTART_SH,
        ),
        "127.0.0.1:submission inet",
        "loopback-only",
    ),
    "another smtpd.conf is named": report(
        main("smtpd_sasl_path=other"), "smtpd_sasl_path = other", "smtpd-conf-ignored"
    ),
    "AUTH is hidden from the network": report(
        main("smtpd_sasl_exceptions_networks=10.0.0.0/8"),
        "smtpd_sasl_exceptions_networks",
        "auth-not-offered",
    ),
    "PLAIN is forbidden beside CRAM-MD5": report(
        on_server(
            'sed -i "s/^mech_list:.*/mech_list: PLAIN CRAM-MD5/" "$conf"\n'
            "postconf -e 'smtpd_sasl_security_options=noanonymous, noplaintext'",
            "$conf",
            after=RESTART_SH,
        ),
        "noplaintext",
        "noplaintext",
    ),
    "saslauthd is asked from a chroot": report(
        on_server(
            'sed -i "s/^pwcheck_method:.*/pwcheck_method: saslauthd/" "$conf"\n'
            'postconf -F "$service/chroot=y"',
            "$conf",
            after=RESTART_SH,
        ),
        "saslauthd",
        "saslauthd-absent",
        cure="/chroot=n",
    ),
    "both lists refuse": report(
        main(
            "'smtpd_relay_restrictions=permit_mynetworks, reject_unauth_destination' "
            "'smtpd_recipient_restrictions=permit_mynetworks, defer_unauth_destination, "
            "permit_sasl_authenticated'"
        ),
        "smtpd_relay_restrictions",
        "relay-denied-authenticated",
        cure="smtpd_recipient_restrictions",
    ),
    "a list of the service refuses": report(
        on_server('postconf -P "$service/smtpd_sender_restrictions=reject"'),
        "smtpd_sender_restrictions = reject",
        "relay-denied-authenticated",
        cure="postconf -P submission/inet/smtpd_sender_restrictions=",
    ),
}
# What is right, in another way than the course's.
RIGHT: dict[str, Change] = {
    "another host without a login": another_host,
    "the log was rotated": lambda finished: changed(
        finished,
        server=Part(
            ("/var/log/mail.log", "/var/log/mail.log.1"),
            "mv /var/log/mail.log /var/log/mail.log.1\nsystemctl restart rsyslog\n",
            after="systemctl start rsyslog\n",
        ),
    ),
    "a login is demanded of the recipient": on_server(
        'postconf -PX "$service/smtpd_client_restrictions"\n'
        'postconf -P "$service/smtpd_relay_restrictions=permit_sasl_authenticated,reject"\n'
        'postconf -P "$service/smtpd_recipient_restrictions=permit_sasl_authenticated,reject"'
    ),
    "classes of restrictions": on_server(
        "postconf -e smtpd_restriction_classes=logins logins=permit_sasl_authenticated "
        "'smtpd_relay_restrictions=permit_mynetworks, logins, reject_unauth_destination' "
        "'smtpd_recipient_restrictions=permit_mynetworks, logins, reject_unauth_destination'"
    ),
    "settings on several lines": in_mailrc("set " + " \\\n".join(LOGIN.split()[1::2]) + "\n"),
    "settings of the whole system": system_wide,
    "refusals that are not for ever": main("soft_bounce=yes"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_what_is_said_is_so(finished: Finished, name: str) -> None:
    """The cause is a right one, the checks tell no other, and none passes that must not."""
    expected = REPORTS[name]
    with expected.change(finished):
        observed = finished.observe()
        found = judge(observed)
        assert found.cause and found.cause.id in expected.causes, found
        assert expected.shows in found.cause.evidence, found.cause.evidence
        assert expected.cure in found.cause.cure, found.cause.cure
        told = {
            result.cause_id
            for slug in ("05_master_cf", "06_mailx_test")
            for result in checks.run(outline.step(slug).rules, observed)
            if not result.ok and result.cause_id
        }
        assert told <= expected.causes, told
        assert (found.cause.id in told) is expected.is_checked, told
        if found.cause.id not in WORDS and carry_out(finished.step, found.cause.cure):
            after = judge(finished.observe())
            assert name in TWICE or after.is_well, after
    assert judge(finished.observe()).is_well


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_left_alone(finished: Finished, name: str) -> None:
    with RIGHT[name](finished):
        observed = finished.observe()
        found = judge(observed)
        assert found.is_well, found
        # A password that the whole system can read is one thing that is not right.
        left = {"mailrc-private"} if "system" in name else set()
        assert set(finished.failing(("05_master_cf", "06_mailx_test"), observed)) == left
