"""Causes recognised from recorded state and log, for what the lab cannot show too."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from recorded import Recorded

from handson.cloud.security_groups import GroupRule
from handson.course import checks
from handson.course.checks import Finding
from handson.diagnosis import own_words
from handson.diagnosis.chain import CAUSES, cause, diagnose, reach
from handson.errors import HandsonError, HostUnreachable
from handson.hosts.systems import AMAZON_LINUX_2023, DEBIAN_12, SYSTEMS, System
from handson.mail.mailrc import Mailrc
from handson.mail.observation import Observation
from handson.mail.smtp import Dialogue, Reply
from handson.settings import Settings

SETTINGS = Settings(date="20250101")
LOGIN = SETTINGS.login
SUBMISSION = (
    "submission inet n - n - - smtpd -o smtpd_client_restrictions=permit_sasl_authenticated,reject"
)
CONF = "pwcheck_method: auxprop\nmech_list: PLAIN"
BERKELEY = "00000000010000000000000061150600"
GDBM = "ce9a5713000000000000000000000000"
FAILED = Reply(535, "5.7.8 Error: authentication failed: authentication failure")
GENERIC = Reply(454, "4.7.0 Temporary authentication failure: generic failure")
GOOD = Reply(235, "2.7.0 Authentication successful")
HEAD = "2026-11-24T03:09:00.1+00:00 ip-10-87-2-44 "
START = HEAD + "postfix/master[9]: daemon started -- version 3.7.2, configuration /etc/postfix"
CONNECT = HEAD + "postfix/smtpd[11]: connect from unknown[10.87.3.20]"


class Server(Recorded):
    """A recorded server: what the survey printed, and the log."""

    def __init__(
        self, system: System, sections: dict[str, str], log: list[str], clock: str
    ) -> None:
        survey = "".join(f"\n== {name}\n{text}\n" for name, text in sections.items())
        lines = "\n".join([START, CONNECT, *(HEAD + line for line in log)])
        answers: dict[str, Any] = {
            "sudo -n sh -s": survey,
            "date --iso-8601=seconds": f"{clock}\n",
            "sudo -n sh -c 'test -e /etc/postfix/virtual'": (0, ""),
            "sudo -n sh -c 'test -e /x'": (1, ""),
        }
        super().__init__(answers)
        self.log = lines
        self.system = system
        self.words: dict[str, Any] = {
            **system.names(),
            "domain": SETTINGS.domain,
            "user": SETTINGS.user,
            "login": LOGIN,
            "server_ip": SETTINGS.server_ip,
        }

    def bulk(self, command: str, **values: object) -> tuple[int, str]:
        assert values["file"] == self.system.log_file  # nothing but the log is read so
        return 0, self.log


REJECTED = Reply(554, "5.7.1 <unknown[10.87.3.20]>: Client host rejected: Access denied")
RULES = {
    "server": [GroupRule("inbound", "tcp", "587", SETTINGS.vpc_cidr, "")],
    "client": [GroupRule("outbound", "all", "all", "0.0.0.0/0", "")],
}


def dialogue(auth: Reply | None = GOOD, rcpt: Reply | None = None, ehlo: str = "") -> Dialogue:
    return Dialogue(
        SETTINGS.server_ip,
        587,
        SETTINGS.sender,
        SETTINGS.recipient,
        LOGIN,
        "handson.invalid",
        "open",
        banner=Reply(220, "mail.example.com ESMTP"),
        ehlo=Reply(250, "mail.example.com\n" + (ehlo or "AUTH PLAIN")),
        auth=auth,
        rcpt=rcpt or (Reply(250, "2.1.5 Ok") if auth == GOOD else None),
    )


def silence(connected: str) -> Dialogue:
    return replace(dialogue(None), connected=connected, banner=None, ehlo=None, error="no answer")


def observed(
    system: System = AMAZON_LINUX_2023,
    log: list[str] | None = None,
    found: Dialogue | None = None,
    mailrc: Mailrc | None = None,
    anonymous: Dialogue | None = None,
    strangers: Dialogue | None = None,
    rules: dict[str, list[GroupRule]] | None = None,
    relay: Dialogue | None = None,
    clock: str = "2026-11-24T03:09:30+00:00",
    **sections: str,
) -> Observation:
    """Return an observation in which everything is right, but for what is given."""
    right = {
        "services": SUBMISSION,
        "explicit": "inet_interfaces = all",
        "defaults": "smtpd_sasl_auth_enable = yes\nmyhostname = mail.example.com",
        "running": "yes",
        "sockets": "LISTEN 0 100 0.0.0.0:587 0.0.0.0:*\nLISTEN 0 100 0.0.0.0:25 0.0.0.0:*",
        "addresses": "127.0.0.1\n10.87.2.44",
        "conf": CONF,
        "places": system.smtpd_conf,
        "plugins": "/usr/lib64/sasl2/libplain.so",
        "database": "root:postfix 640 12288",
        "magic": GDBM if system.sasldb_format == "GDBM" else BERKELEY,
        "reads": "yes",
        "users": f"{LOGIN}: userPassword",
        "logs": "/var/log/maillog",
        "writers": "rsyslog",
    }
    server = Server(system, {**right, **sections}, log or [], clock)
    hosts: Any = SimpleNamespace(server=server, client=None)
    known = {**RULES, **(rules or {})}
    cloud: Any = SimpleNamespace(
        rules=lambda group: known[group],
        names=SimpleNamespace(server_group="server", client_group="client"),
    )
    made = Observation(SETTINGS, hosts, cloud, None)
    made.__dict__["submission"] = found or dialogue()
    made._dialogues[587, True] = made.submission
    refused = dialogue(None, rcpt=REJECTED)
    made._dialogues[587, False] = anonymous or refused
    made._dialogues[25, False] = relay or refused
    if strangers:
        made.__dict__["strangers"] = strangers
    made.__dict__["mailrc"] = mailrc or Mailrc()
    return made


STOPPING = "postfix/master[9]: terminating on signal 15"
GIVEN_UP = (
    "postfix[10]: fatal: file /etc/postfix/main.cf: parameter myhostname: "
    "bad parameter value: bad_host..name"
)


@pytest.mark.parametrize(
    ("log", "is_stopped"),
    [([STOPPING], True), ([GIVEN_UP, STOPPING], True), ([STOPPING, GIVEN_UP], False)],
)
def test_a_start_that_postfix_gave_up_is_told_in_its_own_words(
    log: list[str], is_stopped: bool
) -> None:
    made = observed(log=log, found=silence("refused"), running="", sockets="")
    assert ("postfix-stopped" in names(made)) is is_stopped
    said = own_words.newest(made, "refused")
    assert is_stopped or (said and said.complaint.parameters == ("myhostname",))


def names(made: Observation) -> list[str]:
    return [one.id for one in diagnose(made)]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.id)
def test_nothing_wrong(system: System) -> None:
    assert diagnose(observed(system)) == []


# --- the rows of Amazon Linux and EC2 ---


def test_database_missing_on_amazon_linux_2023() -> None:
    line = (
        "postfix/smtpd[11]: warning: SASL authentication problem: Could not open /etc/sasl2/sasldb2"
    )
    opening = "postfix/smtpd[11]: warning: SASL error opening password file. "
    made = observed(found=dialogue(GENERIC), log=[line, opening], database="", magic="", users="")
    [found] = diagnose(made)
    assert found.id == "sasldb-missing"
    assert "SASL error opening password file" in found.evidence
    assert "saslpasswd2 -c -f /etc/sasl2/sasldb2 -u example.com smtp-auth" in found.cure


def test_database_at_the_path_of_another_system() -> None:
    made = observed(found=dialogue(FAILED), database="", magic="", users="")
    assert diagnose(made)[0].evidence == "/etc/sasl2/sasldb2 is not there"


SASL_SAYS = "postfix/smtpd[11]: warning: SASL authentication problem: "
NOT_OPENED = f"{SASL_SAYS}Could not open /etc/sasl2/sasldb2: gdbm_errno=3"
NOT_FETCHED = f"{SASL_SAYS}Couldn't fetch entry from /etc/sasl2/sasldb2: gdbm_errno=0"


def test_gdbm_gives_one_number_to_a_file_that_cannot_be_read_and_to_one_that_is_not_there() -> None:
    [found] = diagnose(observed(found=dialogue(GENERIC), log=[NOT_OPENED], reads=""))
    assert found.id == "sasldb-permission"
    assert found.evidence.startswith("/etc/sasl2/sasldb2 root:postfix 640")
    assert "gdbm_errno=3" in found.evidence
    absent: dict[str, str] = {"database": "", "magic": "", "users": ""}
    [found] = diagnose(observed(found=dialogue(GENERIC), log=[NOT_OPENED], **absent))
    assert found.id == "sasldb-missing"
    assert found.evidence.startswith("/etc/sasl2/sasldb2 is not there\n")
    assert "gdbm_errno=3" in found.evidence
    # A file that is there and can be read now: the line alone is no evidence of either.
    assert names(observed(log=[NOT_OPENED])) == []


def test_an_entry_that_gdbm_does_not_fetch() -> None:
    [found] = diagnose(observed(found=dialogue(GENERIC), log=[NOT_FETCHED]))
    assert found.id == "sasldb-not-fetched"
    assert "454 4.7.0" in found.evidence and "gdbm_errno=0" in found.evidence
    assert "[server]$ sudo dnf install -y cyrus-sasl cyrus-sasl-lib" in found.cure
    assert names(observed(log=[NOT_FETCHED])) == [], "the login succeeds: it is over"
    for log in ([], [NOT_FETCHED.replace("errno=0", "errno=15")]):
        assert "sasldb-not-fetched" not in names(observed(found=dialogue(GENERIC), log=log))
    # With what can be seen to be wrong with the file, it is that.
    assert names(observed(found=dialogue(GENERIC), log=[NOT_FETCHED], reads="")) == [
        "sasldb-permission"
    ]
    assert not cause("sasldb-not-fetched").arises(DEBIAN_12)


def test_database_brought_along_from_amazon_linux_2() -> None:
    [found] = diagnose(observed(found=dialogue(GENERIC), magic=BERKELEY))
    assert found.id == "sasldb-corrupt"
    assert found.evidence == "/etc/sasl2/sasldb2 is no database of GDBM"


def test_smtpd_conf_as_amazon_linux_ships_it() -> None:
    line = (
        "postfix/smtpd[11]: warning: SASL authentication failure: "
        "cannot connect to saslauthd server: No such file or directory"
    )
    conf = "pwcheck_method: saslauthd\nmech_list: plain login"
    [found] = diagnose(observed(found=dialogue(GENERIC), log=[line], conf=conf))
    assert found.id == "saslauthd-absent"
    assert "No such file or directory" in found.evidence
    assert "/etc/sasl2/smtpd.conf" in found.cure


def test_saslauthd_that_answers_from_other_accounts() -> None:
    conf = "pwcheck_method: saslauthd\nmech_list: plain login"
    [found] = diagnose(observed(found=dialogue(FAILED), conf=conf))
    assert found.id == "saslauthd-absent"
    assert "MECHANISMS" in found.evidence


def test_plug_in_missing_on_amazon_linux() -> None:
    line = "postfix/smtpd[11]: fatal: no SASL authentication mechanisms"
    [found] = diagnose(observed(found=silence("open"), log=[line], plugins=""))
    assert found.id == "no-mechanisms"
    assert "fatal: no SASL" in found.evidence
    assert found.cure.splitlines() == [
        "[server]$ sudo dnf install -y cyrus-sasl-plain",
        "[server]$ sudo systemctl restart postfix",
    ]


def test_port_25_blocked() -> None:
    queue = "postfix/{}: 66857C01110: {}"
    log = [
        queue.format("smtpd[11]", "client=unknown[10.87.3.20], sasl_method=PLAIN, sasl_username=u"),
        queue.format("cleanup[12]", "message-id=<1@example.com>"),
        queue.format("qmgr[13]", "from=<hello@example.com>, size=609, nrcpt=1 (queue active)"),
        queue.format(
            "smtp[14]",
            "to=<friend@example.net>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, "
            "status=deferred (connect to mx.example.net[198.51.100.26]:25: Connection timed out)",
        ),
    ]
    [found] = diagnose(observed(log=log))
    assert found.id == "port-25-blocked"
    assert "Connection timed out" in found.evidence
    other = [line.replace("Connection timed out", "Connection refused") for line in log]
    assert names(observed(log=other)) == ["not-delivered"]
    [found] = diagnose(observed(log=other))
    assert "Connection refused" in found.evidence


def test_no_maillog() -> None:
    assert names(observed(DEBIAN_12, logs="", writers="")) == ["no-maillog"]
    assert names(observed(DEBIAN_12, logs="", writers="rsyslog")) == []  # rotated just now
    # Amazon Linux 2023 writes no file; as long as the journal has the log, all is well.
    assert names(observed(logs="")) == []
    silent = observed(logs="", writers="")
    silent.server.log = ""  # type: ignore[attr-defined]
    assert names(silent) == ["no-maillog"]


def test_public_address_of_ec2() -> None:
    made = observed(
        found=silence("refused"),
        explicit="inet_interfaces = 203.0.113.10",
        running="",
        sockets="",
    )
    assert names(made) == ["inet-interface-unknown"]
    assert "10.87.2.44" in diagnose(made)[0].evidence


def test_chroot_is_of_debian() -> None:
    caged = SUBMISSION.replace("n - n", "n - y")
    made = observed(DEBIAN_12, found=dialogue(FAILED), services=caged)
    assert names(made) == ["chrooted-smtpd"]
    assert "chroot y" in diagnose(made)[0].evidence


# --- one symptom, several causes ---


@pytest.mark.parametrize(
    ("users", "sections", "told"),
    [
        (f"{LOGIN}: userPassword", {}, "the password is another one"),
        ("other@example.com: userPassword", {}, f"no user {LOGIN}"),
        ("", {}, f"no user {LOGIN}"),
        ("smtp-auth@mail.example.com: userPassword", {}, "no realm example.com for smtp-auth"),
    ],
)
def test_which_of_name_realm_and_password(users: str, sections: dict[str, str], told: str) -> None:
    [found] = diagnose(observed(found=dialogue(FAILED), users=users, **sections))
    assert found.id == "wrong-password"
    assert told in found.evidence


def test_bare_name_in_the_mail_program() -> None:
    mailrc = Mailrc("0600", user="smtp-auth", source="~/.mailrc", dialogue=dialogue(FAILED))
    [found] = diagnose(observed(mailrc=mailrc))
    assert found.id == "mailrc-login"
    assert "“smtp-auth” is looked up as smtp-auth@mail.example.com" in found.evidence


def test_bare_name_where_the_realm_is_added() -> None:
    mailrc = Mailrc("0600", user="smtp-auth", source="~/.mailrc", dialogue=dialogue(FAILED))
    made = observed(mailrc=mailrc, explicit="smtpd_sasl_local_domain = example.com")
    assert "the password is another one" in diagnose(made)[0].evidence


def test_state_goes_before_the_password() -> None:
    assert names(observed(found=dialogue(GENERIC), reads="")) == ["sasldb-permission"]
    assert names(observed(found=dialogue(FAILED), database="", magic="")) == ["sasldb-missing"]


def test_two_at_once_the_earlier_link_first() -> None:
    made = observed(
        found=dialogue(GENERIC), reads="", explicit="alias_maps = sdbm:/x", types="hash"
    )
    assert names(made) == ["sasldb-permission", "map-type"]
    assert [one.id for one in diagnose(made, limit=1)] == ["sasldb-permission"]
    assert [one.id for one in diagnose(made, ["map-type", "relay-denied"])] == ["map-type"]


def test_options_that_join_the_service_above() -> None:
    made = observed(
        found=silence("refused"),
        services="smtp inet n - y - - smtpd -o smtpd_client_restrictions=permit",
        master="19:#submission inet n - y - - smtpd\n138:#submission inet n - n - - smtpd",
        sockets="LISTEN 0 100 0.0.0.0:25 0.0.0.0:*",
    )
    [found] = diagnose(made)
    assert found.id == "submission-off"
    assert found.evidence.startswith("/etc/postfix/master.cf:138:")


@pytest.mark.parametrize(
    "value", ["smtpd_milters = inet:localhost:8891", "mailbox_transport = lmtp:unix:private/x"]
)
def test_what_is_no_table(value: str) -> None:
    assert names(observed(explicit=value, types="hash\nbtree")) == []


# --- the log ---

HELO = "from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<{}>"
REJECT = (
    "postfix/smtpd[11]: NOQUEUE: reject: RCPT from unknown[10.87.3.20]: 554 5.7.1 "
    "<unknown[10.87.3.20]>: Client host rejected: Access denied; " + HELO
)
BAD = (
    "postfix/smtpd[11]: warning: unknown[10.87.3.20]: SASL PLAIN authentication failed: "
    "bad protocol / cancel"
)
SENT = [
    "postfix/smtpd[12]: 66857C01110: client=unknown[10.87.3.20], sasl_method=PLAIN, "
    "sasl_username=u@example.com",
    "postfix/cleanup[13]: 66857C01110: message-id=<1@example.com>",
]
PROBED = [SENT[0].replace("66857C01110", "66857C01111")]
RELOADED = "postfix/master[9]: reload -- version 3.7.2, configuration /etc/postfix"


def test_mail_program_that_did_not_log_in() -> None:
    assert names(observed(log=[REJECT.format("client")])) == ["client-rejected"]


@pytest.mark.parametrize("helo", ["handson.invalid", "m07.handson.invalid"])
def test_our_own_dialogues_are_no_mail_program(helo: str) -> None:
    assert names(observed(log=[REJECT.format(helo)])) == []


def test_bad_base64_until_a_mail_gets_through() -> None:
    assert names(observed(log=[BAD])) == ["bad-base64"]
    assert names(observed(log=[BAD, *PROBED])) == ["bad-base64"]
    assert names(observed(log=[BAD, *SENT])) == []
    assert names(observed(log=[*SENT, BAD])) == ["bad-base64"]


def test_lines_from_before_the_last_reload_do_not_count() -> None:
    assert names(observed(log=[BAD, REJECT.format("client"), RELOADED, CONNECT[len(HEAD) :]])) == []


# --- each cause by the least that shows it ---

SASLAUTHD = "pwcheck_method: saslauthd\nmech_list: PLAIN"
NO_DAEMON = "postfix/smtpd[11]: warning: cannot connect to saslauthd server: "
NO_MECHANISM = Reply(535, "5.7.8 Error: authentication failed: no mechanism available")
UNKNOWN_VERIFIER = "postfix/smtpd[11]: warning: unknown password verifier(s) auxpropp"
LOOPBACK = "LISTEN 0 100 127.0.0.1:587 0.0.0.0:*\nLISTEN 0 100 127.0.0.1:25 0.0.0.0:*"
DENIED = Reply(454, "4.7.1 <friend@example.net>: Relay access denied")
ENCRYPT = "smtpd_tls_security_level = encrypt"
MUST_STARTTLS = Reply(530, "5.7.0 Must issue a STARTTLS command first")
QUEUED = "postfix/{}: 66857C01110: {}"
TIMED_OUT = [
    QUEUED.format("smtpd[11]", "client=unknown[10.87.3.20], sasl_method=PLAIN, sasl_username=u"),
    QUEUED.format("cleanup[12]", "message-id=<1@example.com>"),
    QUEUED.format(
        "smtp[14]",
        "to=<friend@example.net>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, "
        "status=deferred (connect to mx.example.net[198.51.100.26]:25: Connection timed out)",
    ),
]


FATAL = "postfix/smtpd[12]: fatal: bad boolean configuration: smtpd_sasl_auth_enable = yess"
WRAPPED = " -o smtpd_tls_wrappermode=yes"
THROTTLED = (
    "postfix/master[9]: warning: /usr/lib/postfix/sbin/smtpd: bad command startup -- throttling"
)


def mail_program(auth: Reply | None = GOOD, **settings: Any) -> Mailrc:
    """Return the settings of a mail program that logs in, but for what is given."""
    right = {"mode": "0600", "user": LOGIN, "source": "~/.mailrc", "mechanism": "PLAIN"}
    return Mailrc(**{**right, "dialogue": dialogue(auth), **settings})


# The id of a cause, and in what the observation differs from one in which everything is right.
ROWS: dict[str, dict[str, Any]] = {
    "port-closed": {"found": silence("timed out"), "rules": {"server": []}},
    "egress-closed": {"found": silence("timed out"), "rules": {"client": []}},
    "ipv6-only": {
        "found": silence("refused"),
        "explicit": "inet_protocols = ipv6",
        "sockets": "",
    },
    "postfix-stopped": {"found": silence("refused"), "running": "", "sockets": ""},
    "line-swallowed": {"main": "7: smtpd_sasl_auth_enable = yes"},
    "mech-list-comma": {
        "found": dialogue(NO_MECHANISM, ehlo="AUTH LOGIN"),
        "conf": "pwcheck_method: auxprop\nmech_list: PLAIN, LOGIN",
    },
    "auth-waits-for-tls": {
        "found": dialogue(None, ehlo="SIZE 10240000"),
        "explicit": "smtpd_tls_auth_only = yes",
    },
    "refused-at-greeting": {
        "found": replace(silence("open"), banner=REJECTED, error=""),
        "explicit": "smtpd_delay_reject = no",
    },
    "not-reloaded": {
        "found": silence("refused"),
        "sockets": "LISTEN 0 100 0.0.0.0:25 0.0.0.0:*",
        "changed": "/etc/postfix/master.cf 1795489800",
    },
    "wrapper-mode": {"found": silence("open"), "services": SUBMISSION + WRAPPED},
    "not-delivered": {
        "log": [line.replace("Connection timed out", "Connection refused") for line in TIMED_OUT]
    },
    "master-throttles": {"found": silence("open"), "log": [THROTTLED, RELOADED]},
    "relays-without-login": {"anonymous": dialogue(None, rcpt=Reply(250, "2.1.5 Ok"))},
    "open-relay": {"strangers": dialogue(None, rcpt=Reply(250, "2.1.5 Ok"))},
    "inet-interface-unknown": {
        "found": silence("refused"),
        "explicit": "inet_interfaces = 203.0.113.10",
        "running": "",
        "sockets": "",
    },
    "loopback-only": {
        "found": silence("refused"),
        "explicit": "inet_interfaces = loopback-only",
        "sockets": LOOPBACK,
    },
    "option-in-column-1": {
        "found": silence("refused"),
        "services": "postconf: fatal: file /etc/postfix/master.cf: line 20: bad field count",
        "master": "20:-o smtpd_client_restrictions=permit_sasl_authenticated,reject",
    },
    "submission-off": {
        "found": silence("refused"),
        "services": "smtp inet n - n - - smtpd",
        "master": "19:#submission inet n - n - - smtpd",
    },
    "smtpd-conf-syntax": {
        "found": silence("open"),
        "conf": "pwcheck_method = auxprop\nmech_list: PLAIN",
    },
    "no-mechanisms": {"found": silence("open"), "plugins": ""},
    "noplaintext": {
        "found": silence("open"),
        "explicit": "smtpd_sasl_security_options = noanonymous, noplaintext",
    },
    "auth-not-offered": {
        "found": dialogue(None, ehlo="SIZE 10240000"),
        "explicit": "smtpd_sasl_auth_enable = no",
    },
    "smtpd-conf-ignored": {"places": "/etc/postfix/sasl/smtpd.conf"},
    "tls-unavailable": {"found": dialogue(None, ehlo="SIZE 10240000"), "explicit": ENCRYPT},
    "space-in-option": {
        "found": silence("open"),
        "services": SUBMISSION.replace(",reject", ", reject"),
    },
    "chrooted-smtpd": {
        "system": DEBIAN_12,
        "found": dialogue(FAILED),
        "services": SUBMISSION.replace("n - n", "n - y"),
    },
    "unknown-verifier": {"found": dialogue(NO_MECHANISM), "log": [UNKNOWN_VERIFIER]},
    "saslauthd-denied": {
        "found": dialogue(GENERIC),
        "conf": SASLAUTHD,
        "log": [NO_DAEMON + "Permission denied"],
        "saslauthd": "/run/saslauthd root:sasl 710",
    },
    "saslauthd-absent": {
        "found": dialogue(GENERIC),
        "conf": SASLAUTHD,
        "log": [NO_DAEMON + "No such file or directory"],
    },
    "sasldb-missing": {"found": dialogue(FAILED), "database": "", "magic": "", "users": ""},
    "sasldb-corrupt": {"found": dialogue(GENERIC), "magic": BERKELEY},
    "sasldb-permission": {"found": dialogue(GENERIC), "reads": ""},
    "sasldb-not-fetched": {"found": dialogue(GENERIC), "log": [NOT_FETCHED]},
    "wrong-password": {"found": dialogue(FAILED)},
    "mailrc-login": {"mailrc": mail_program(FAILED)},
    # In a chroot, say: the password in the settings is right all the same.
    "mailrc-port": {"mailrc": mail_program(FAILED, has_target=True, address="10.87.2.44", port=25)},
    "map-type": {"explicit": "virtual_alias_maps = sdbm:/etc/postfix/virtual", "types": "hash"},
    "relay-denied-authenticated": {
        "found": dialogue(rcpt=DENIED),
        "explicit": "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
    },
    "client-trusted": {
        "relay": dialogue(None, rcpt=Reply(250, "2.1.5 Ok")),
        "explicit": "mynetworks = /etc/postfix/mynets",
        "networks": "10.87.3.20",
    },
    "name-not-found": {
        "log": [
            line.replace(
                "connect to mx.example.net[198.51.100.26]:25: Connection timed out",
                "Host or domain name not found. Name service error for name=example.net "
                "type=MX: Host not found, try again",
            )
            for line in TIMED_OUT
        ],
        "resolvers": "10.95.0.99",
    },
    "client-rejected": {"log": [REJECT.format("client")]},
    "relay-denied": {
        "log": [REJECT.replace("Client host rejected: Access", "Relay access").format("client")]
    },
    "v15-credentials": {"mailrc": mail_program(user="", is_v15=True, old_names=["smtp-auth"])},
    "login-mechanism": {"mailrc": mail_program(NO_MECHANISM, mechanism="LOGIN")},
    "bad-base64": {"log": [BAD]},
    "starttls-required": {
        "explicit": ENCRYPT,
        "certificate": "/etc/postfix/submission.crt",
        "mailrc": mail_program(dialogue=replace(dialogue(None), mail=MUST_STARTTLS)),
    },
    "tls-untrusted": {
        "mailrc": mail_program(
            uses_tls=True,
            dialogue=replace(
                dialogue(None),
                starttls=Reply(220, "2.0.0 Ready to start TLS"),
                error="certificate verify failed: self-signed certificate",
            ),
        )
    },
    "port-25-blocked": {"log": TIMED_OUT},
    "log-not-written": {"clock": "2026-11-24T03:19:30+00:00"},
    "no-maillog": {"system": DEBIAN_12, "logs": "", "writers": ""},
}


def test_each_cause_has_a_row() -> None:
    assert set(ROWS) == {one.id for one in CAUSES}


@pytest.mark.parametrize("id", ROWS)
def test_each_row_shows_its_cause_and_no_other(id: str) -> None:
    assert names(observed(**ROWS[id])) == [id]


# --- causes and rules ---


def test_every_row_of_the_table_once() -> None:
    assert len({one.id for one in CAUSES}) == len(CAUSES)
    assert [one.link for one in CAUSES] == sorted(one.link for one in CAUSES)
    for one in CAUSES:
        assert one.seen and one.cause and one.cure_for(observed())
        assert one.manual.startswith("https://")


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.id)
def test_cures_name_what_this_system_has(system: System) -> None:
    made = observed(system)
    for one in CAUSES:
        assert "{" not in one.cure_for(made)
    assert system.smtpd_conf in cause("smtpd-conf-ignored").cure_for(made)
    assert f"chmod 0640 {system.sasldb}" in cause("sasldb-permission").cure_for(made)


def test_cure_names_the_service_as_it_is_called() -> None:
    made = observed(DEBIAN_12, services=SUBMISSION.replace("submission", "587", 1))
    assert "postconf -F 587/inet/chroot=n" in cause("chrooted-smtpd").cure_for(made)


def test_unknown_cause() -> None:
    with pytest.raises(HandsonError, match="no cause “x”"):
        cause("x")


def rule(*causes: str, ok: bool = False) -> checks.Rule:
    return checks.Rule(
        "r", "It is.", "https://m", "now", lambda _: Finding(ok, "e", "c", "do"), causes
    )


def test_rule_asks_the_diagnosis() -> None:
    made = observed(found=dialogue(GENERIC), reads="")
    result = rule("sasldb-missing", "sasldb-permission").apply(made)
    assert (result.cause_id, result.ok) == ("sasldb-permission", False)
    assert "root:postfix 640" in result.evidence
    assert "chmod 0640" in result.cure


def test_rule_keeps_its_own_words_where_nothing_is_recognised() -> None:
    result = rule("sasldb-missing").apply(observed(reads=""))
    assert (result.cause_id, result.evidence, result.cause, result.cure) == ("", "e", "c", "do")


def test_rule_that_holds_asks_nobody() -> None:
    assert rule("sasldb-permission", ok=True).apply(observed(reads="")).cause_id == ""


def test_host_that_does_not_answer_is_no_cause() -> None:
    made = observed(reads="")

    def gone(*_words: object, **_values: object) -> tuple[int, str]:
        raise HostUnreachable("The host is gone.", "Wait.")

    made.server.probe = gone  # type: ignore[method-assign]
    assert diagnose(made) == []
    assert rule("sasldb-permission").apply(made).evidence == "e"


def test_nothing_is_recognised_where_a_host_is_away() -> None:
    made = observed()
    made.hosts.target = SimpleNamespace(  # type: ignore[assignment]
        away=lambda: ["mailbox (exited)", "pc (missing)"], how_to_start="`handson up`"
    )
    with pytest.raises(HostUnreachable) as caught:
        reach(made)
    assert caught.value.what == "Not all hosts run: mailbox (exited), pc (missing)."
    assert caught.value.cure == "`handson up`"


# --- cures from what was found ---


def commands(id: str, made: Observation) -> list[str]:
    """Return the commands that a cure prints; it says nothing that is not one cause's."""
    cure = cause(id).cure_for(made)
    return [line for line in cure.splitlines() if re.match(r"\[(server|client)\]\$ ", line)]


RELOADS, RESTARTS = "[server]$ sudo postfix reload", "[server]$ sudo systemctl restart postfix"
RELAY_LIST = "smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination"


def test_each_list_that_refuses_is_edited_and_no_other() -> None:
    denied = dialogue(rcpt=Reply(554, "5.7.1 <friend@example.net>: Relay access denied"))
    trusting = "smtpd_recipient_restrictions = permit_sasl_authenticated, reject"
    made = observed(found=denied, explicit=f"{RELAY_LIST}\n{trusting}")
    assert commands("relay-denied-authenticated", made) == [
        "[server]$ sudo postconf -e 'smtpd_relay_restrictions=permit_mynetworks, "
        "permit_sasl_authenticated, reject_unauth_destination'",
        RELOADS,
    ]
    late = "smtpd_recipient_restrictions = defer_unauth_destination, permit_sasl_authenticated"
    both = commands(
        "relay-denied-authenticated", observed(found=denied, explicit=f"{RELAY_LIST}\n{late}")
    )
    assert len(both) == 3
    assert "=permit_sasl_authenticated, defer_unauth_destination'" in both[0]


def test_a_list_that_would_refuse_in_other_words_is_not_named() -> None:
    by_table = dialogue(
        rcpt=Reply(554, "5.7.1 <a@b.example>: Recipient address rejected: Access denied")
    )
    assert names(observed(found=by_table, explicit=RELAY_LIST)) == []


@pytest.mark.parametrize("name", ["client", "helo", "sender"])
def test_the_refusal_names_the_list_that_refused(name: str) -> None:
    word = {"client": "Client host", "helo": "Helo command", "sender": "Sender address"}[name]
    refused = dialogue(rcpt=Reply(554, f"5.7.1 <x>: {word} rejected: Access denied"))
    explicit = f"smtpd_{name}_restrictions = reject\n{RELAY_LIST}"
    made = observed(found=refused, explicit=explicit, services="submission inet n - n - - smtpd")
    [found] = diagnose(made)
    assert found.id == "relay-denied-authenticated"
    assert f"smtpd_{name}_restrictions=permit_sasl_authenticated, reject" in found.cure
    assert "smtpd_relay_restrictions" not in found.evidence + found.cure


def test_a_refusal_that_no_list_explains_has_no_cause() -> None:
    assert names(observed(found=dialogue(rcpt=DENIED))) == []


def test_a_parameter_is_set_where_the_service_reads_it() -> None:
    own = SUBMISSION + " -o smtpd_sasl_auth_enable=no"
    made = observed(found=dialogue(None, ehlo="SIZE 10240000"), services=own)
    assert names(made) == ["auth-not-offered"]
    assert commands("auth-not-offered", made) == [
        "[server]$ sudo postconf -P submission/inet/smtpd_sasl_auth_enable=yes",
        RESTARTS,
    ]


@pytest.mark.parametrize(
    ("setting", "command"),
    [
        ("smtpd_discard_ehlo_keywords = AUTH, dsn", "smtpd_discard_ehlo_keywords=dsn"),
        ("smtpd_sasl_exceptions_networks = 10.87.0.0/16", "smtpd_sasl_exceptions_networks="),
    ],
)
def test_what_hides_auth_is_named_and_undone(setting: str, command: str) -> None:
    made = observed(found=dialogue(None, ehlo="SIZE 10240000"), explicit=setting)
    assert names(made) == ["auth-not-offered"]
    assert setting.partition(" ")[0] in diagnose(made)[0].evidence
    assert commands("auth-not-offered", made)[0] == f"[server]$ sudo postconf -e {command}"


@pytest.mark.parametrize(
    "setting", ["smtpd_sasl_path = other", "cyrus_sasl_config_path = /etc/elsewhere"]
)
def test_another_configuration_is_read(setting: str) -> None:
    made = observed(found=dialogue(FAILED, ehlo="AUTH PLAIN NTLM"), explicit=setting)
    assert diagnose(made)[0].id == "smtpd-conf-ignored"
    assert diagnose(made)[0].evidence == setting


def test_cure_of_a_realm_names_those_that_there_are() -> None:
    made = observed(found=dialogue(FAILED), users="smtp-auth@mail.example.com: userPassword")
    [found] = diagnose(made)
    assert "looked up, example.com" in found.cure
    assert "log in as smtp-auth@mail.example.com" in found.cure
    assert found.cure.endswith("saslpasswd2 -c -f /etc/sasl2/sasldb2 -u example.com smtp-auth")


def test_bare_name_is_written_in_full() -> None:
    mailrc = Mailrc("0600", user="smtp-auth", source="~/.mailrc", dialogue=dialogue(FAILED))
    assert commands("mailrc-login", observed(mailrc=mailrc)) == [
        "[client]$ echo 'set smtp-auth-user=smtp-auth@example.com' >> ~/.mailrc"
    ]


def test_only_the_mail_program_has_the_wrong_password() -> None:
    made = observed(mailrc=mail_program(FAILED))
    assert names(made) == ["mailrc-login"]
    assert commands("mailrc-login", made) == []
    assert f"name {LOGIN} and its password into ~/.mailrc" in diagnose(made)[0].cure


def test_table_that_is_not_there_is_dropped() -> None:
    there = observed(explicit="virtual_alias_maps = sdbm:/etc/postfix/virtual", types="hash")
    assert commands("map-type", there) == [
        "[server]$ sudo postmap hash:/etc/postfix/virtual",
        "[server]$ sudo postconf -e virtual_alias_maps=hash:/etc/postfix/virtual",
        RELOADS,
    ]
    gone = observed(explicit="virtual_alias_maps = sdbm:/x", types="hash")
    assert commands("map-type", gone) == ["[server]$ sudo postconf -X virtual_alias_maps", RELOADS]


@pytest.mark.parametrize(
    "log",
    [
        [THROTTLED],
        [RELOADED],
        [THROTTLED, START[len(HEAD) :], RELOADED],
        [THROTTLED, RELOADED, FATAL],
    ],
    ids=["no reload", "nothing ended", "started anew", "smtpd says why"],
)
def test_no_pause_is_seen(log: list[str]) -> None:
    assert names(observed(found=silence("open"), log=log)) == []


def test_port_25_works_while_587_waits() -> None:
    log = [THROTTLED, RELOADED, CONNECT[len(HEAD) :]]
    assert names(observed(found=silence("open"), log=log)) == ["master-throttles"]


def test_pause_of_master_ends() -> None:
    made = observed(found=silence("open"), log=[THROTTLED, RELOADED])
    made.server.log += "\n" + CONNECT.replace("03:09", "03:11")  # type: ignore[attr-defined]
    assert names(made) == []


def test_cure_for_the_mechanism_that_was_tried() -> None:
    assert "AUTH PLAIN" in cause("bad-base64").cure_for(observed(log=[BAD]))
    login = BAD.replace("SASL PLAIN", "SASL LOGIN")
    assert "AUTH LOGIN" in cause("bad-base64").cure_for(observed(log=[login]))


def test_words_in_braces_of_a_value_are_no_words_of_the_course() -> None:
    inline = "smtpd_recipient_restrictions = check_client_access inline:{{x=y}}, reject"
    denied = dialogue(
        rcpt=Reply(554, "5.7.1 <a@b.example>: Recipient address rejected: Access denied")
    )
    [found] = diagnose(observed(found=denied, explicit=inline))
    assert "inline:{{x=y}}, permit_sasl_authenticated, reject" in found.cure


@pytest.mark.parametrize("found", [dialogue(None, ehlo="SIZE 10240000"), dialogue(rcpt=DENIED)])
@pytest.mark.parametrize(("age", "known"), [("30", ["not-reloaded"]), ("10", [])])
def test_main_cf_that_smtpd_has_not_read(found: Dialogue, age: str, known: list[str]) -> None:
    made = observed(
        found=found,
        ages=f"5\n{age}",
        now="1795489820",
        changed="/etc/postfix/main.cf 1795489800",
    )
    assert names(made) == known


def test_service_that_is_not_there_is_written() -> None:
    made = observed(found=silence("refused"), services="smtp inet n - n - - smtpd", master="")
    assert commands("submission-off", made) == [
        "[server]$ printf '%s\\n' 'submission inet n - n - - smtpd' "
        "'  -o smtpd_client_restrictions=permit_sasl_authenticated,reject' "
        "| sudo tee -a /etc/postfix/master.cf",
        RESTARTS,
    ]


@pytest.mark.parametrize(
    ("sections", "known"),
    [
        ({"explicit": "maillog_file = /var/log/postfix.log"}, ["log-not-written"]),
        ({"explicit": "maillog_file = /var/log/mail.log"}, []),
        ({"writers": "rsyslog"}, []),
        ({"writers": ""}, ["log-not-written"]),
    ],
)
def test_where_the_log_is(sections: dict[str, str], known: list[str]) -> None:
    """The last line of the client is half a minute old."""
    assert names(observed(DEBIAN_12, **{"writers": "rsyslog", **sections})) == known
