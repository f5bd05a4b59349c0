"""The rules of the hardening, from what the tries would have brought, and its own operations."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from trying import CLIENT, dialogue

from handson.cloud.security_groups import GroupRule
from handson.course.checks import Finding
from handson.course.steps import harden
from handson.mail.hardening import Hardening, answer_to, take
from handson.mail.postfix import read_services
from handson.mail.smtp import Dialogue, Reply
from handson.secret import Secret
from handson.settings import Settings

SETTINGS = Settings(domain="example.com")
OWN, OTHER = SETTINGS.sender, "somebody-else@example.com"
OK, GONE = Reply(250, "2.1.0 Ok"), Reply(502, "5.5.1 VRFY command is disabled")
NOT_OWNED = Reply(553, "5.7.1 not owned by user")
NO_NULL = Reply(554, "5.7.1 <>: Sender address rejected")
TOO_MUCH = Reply(450, "4.7.1 Error: too much mail from 10.87.3.20")
SYNCHRONIZATION = Reply(554, "5.5.0 Error: SMTP protocol synchronization")

PLAIN = dialogue(CLIENT, 587, "none", "outside", "refused 554")
OVER_TLS = replace(dialogue(CLIENT, 587, "right", "outside", "relays"), tls="TLSv1.3")
WEAK = replace(PLAIN, tls="TLSv1.1")
ALERT = replace(PLAIN, error="TLSV1_ALERT_PROTOCOL_VERSION")
SILENT = dialogue(CLIENT, 587, "none", "outside", "no answer")


def said(*commands: tuple[str, Reply], port: int = 587) -> Dialogue:
    held = tuple((text, (reply,)) for text, reply in commands)
    return replace(PLAIN, port=port, mail=None, rcpt=None, said=held)


def senders(own: Reply = OK, other: Reply = NOT_OWNED, null: Reply = NO_NULL) -> Dialogue:
    """Return the dialogue in which a login names three senders; the recipient is answered."""
    commands = []
    for sender, reply in ((OWN, own), (OTHER, other), ("", null)):
        commands += [(f"MAIL FROM:<{sender}>", OK), ("RCPT TO:<a@b.example>", reply)]
        commands.append(("RSET", OK))
    return said(*commands)


def observed(**other: Any) -> Any:
    right = {
        "old_tls": (ALERT, ALERT),
        "no_certificate": (ALERT, ALERT),
        "senders": (senders(), senders()),
        "spoof": replace(PLAIN, rcpt=NO_NULL),
        "vrfy": said(("VRFY root", GONE)),
        "pipelining": said(("EHLO x\r\nNOOP\r\nQUIT", SYNCHRONIZATION)),
    }
    found = {name: other.pop(name, one) for name, one in right.items()}
    limits = "-o smtpd_recipient_limit=100"
    for name in ("auth", "message", "recipient"):
        limits += f" -o smtpd_client_{name}_rate_limit=20"
    services = "\n".join(
        f"{name} inet n - n - - smtpd {limits}" for name in ("submission", "smtps")
    )
    known = {
        "services": services,
        "smtpd_forbid_bare_newline": "normalize",
        "rule": "10.87.3.20/32",
        "mynetworks": ["127.0.0.0/8", "[::1]/128"],
        "certificate": "X509v3 Subject Alternative Name:\n DNS:mail.example.com\n CA:FALSE",
    } | other

    def read(command: str, names: tuple[str, ...]) -> str:
        return "\n".join(f"{name} = 0" for name in names)

    return SimpleNamespace(
        settings=SETTINGS,
        hardening=Hardening(**found),
        certificate="PEM",
        server=SimpleNamespace(probe=lambda command, stdin: (0, known["certificate"]), read=read),
        cloud=SimpleNamespace(
            rules=lambda: [GroupRule("inbound", "tcp", "465", known["rule"], "")]
        ),
        survey=SimpleNamespace(
            services=read_services(known["services"]), mynetworks=known["mynetworks"]
        ),
        postfix=SimpleNamespace(parameter=lambda name: known[name]),
        submission=known.get("submission", OVER_TLS),
        submissions=known.get("submissions", OVER_TLS),
        relay_login=known.get(
            "relay_login", dialogue(CLIENT, 25, "right", "outside", "no AUTH offered")
        ),
    )


def look(id: str, at: Any) -> Finding:
    return next(rule for rule in harden.RULES if rule.id == id).find(at)


IDS = [
    "relays-over-tls",
    "implicit-tls",
    "no-weak-tls",
    "certificate-names-server",
    "auth-on-submission-only",
    "submission-not-for-everybody",
    "trusts-loopback-only",
    "sender-bound-to-login",
    "own-domain-needs-login",
    "one-message-for-one",
    "use-limited",
]


@pytest.mark.parametrize("id", IDS)
def test_a_rule_holds_with_evidence(id: str) -> None:
    found = look(id, observed())
    assert found.ok and found.evidence


IN_CLEAR = replace(OVER_TLS, tls="")
ONE_SERVICE = "submission inet n - n - - smtpd"
ACCEPTED = dialogue(CLIENT, 25, "none", "own", "accepts")


@pytest.mark.parametrize(
    ("id", "other", "evidence"),
    [
        ("relays-over-tls", {"submission": IN_CLEAR}, "would take"),
        ("implicit-tls", {"submissions": SILENT}, "does not answer"),
        ("no-weak-tls", {"old_tls": (ALERT, WEAK)}, "587: TLSv1.1"),
        ("no-weak-tls", {"no_certificate": (WEAK, ALERT)}, "587: TLSv1.1"),
        # Not tried is not refused.
        ("no-weak-tls", {"old_tls": (ALERT, SILENT)}, "does not answer"),
        ("certificate-names-server", {"certificate": ""}, "no certificate"),
        ("certificate-names-server", {"certificate": "CA:FALSE"}, "CA:FALSE"),
        ("certificate-names-server", {"certificate": "DNS:a, CA:TRUE"}, "CA:TRUE"),
        (
            "auth-on-submission-only",
            {"relay_login": dialogue(CLIENT, 25, "right", "outside", "login fails")},
            "AUTH PLAIN",
        ),
        ("submission-not-for-everybody", {"rule": "10.0.0.0/8"}, "465 ← 10.0.0.0/8"),
        ("sender-bound-to-login", {"senders": (senders(), senders(other=OK))}, "250"),
        ("sender-bound-to-login", {"senders": (senders(null=OK), senders())}, "<>: 250"),
        ("sender-bound-to-login", {"senders": (senders(own=NOT_OWNED), senders())}, "553"),
        ("sender-bound-to-login", {"senders": (senders(), SILENT)}, "does not answer"),
        ("own-domain-needs-login", {"spoof": ACCEPTED}, "would take"),
        ("own-domain-needs-login", {"spoof": SILENT}, "does not answer"),
        ("one-message-for-one", {"vrfy": said(("VRFY root", OK))}, "refused nothing"),
        ("one-message-for-one", {"pipelining": said(("EHLO x", OK))}, "refused nothing"),
        ("one-message-for-one", {"smtpd_forbid_bare_newline": "no"}, "bare_newline = no"),
        ("one-message-for-one", {"smtpd_forbid_bare_newline": "note"}, "bare_newline = note"),
        ("one-message-for-one", {"smtpd_forbid_bare_newline": "warning: unknown"}, "unknown"),
        ("trusts-loopback-only", {"mynetworks": ["127.0.0.0/8", "10.0.0.0/8"]}, "10.0.0.0/8"),
        ("use-limited", {"services": ONE_SERVICE}, "auth_rate_limit = 0"),
        ("use-limited", {"services": ""}, "no service on port 587"),
    ],
)
def test_a_rule_does_not_hold_and_says_what_was_seen(
    id: str, other: dict[str, Any], evidence: str
) -> None:
    found = look(id, observed(**other))
    assert not found.ok and evidence in found.evidence
    assert found.cause and found.cure


@pytest.mark.parametrize(
    "refused", [senders(own=TOO_MUCH), replace(PLAIN, rcpt=None, auth=TOO_MUCH)]
)
def test_a_check_that_meets_the_limits_says_so(refused: Dialogue) -> None:
    found = look("sender-bound-to-login", observed(senders=(refused, refused)))
    assert not found.ok and "wait for a minute" in found.cause


def test_a_sender_that_is_refused_itself_is_answered_there() -> None:
    held = said(("MAIL FROM:<a@b>", TOO_MUCH), ("RCPT TO:<c@d>", Reply(503, "need MAIL")))
    assert answer_to(held, "a@b") == TOO_MUCH
    assert answer_to(held, "e@f") is None


def test_what_is_tried_logs_in_once_on_each_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def ask_all(speaker: Any, jobs: list[Any]) -> list[Dialogue]:
        asked.extend(jobs)
        return [replace(PLAIN, name=str(number)) for number in range(len(jobs))]

    monkeypatch.setattr("handson.mail.hardening.ask_all", ask_all)
    ground: Any = SimpleNamespace(
        settings=SETTINGS,
        hosts=SimpleNamespace(client="client"),
        password=Secret("canary"),
        certificate="PEM",
    )
    found = take(ground)
    assert [job.port for job in asked if job.login] == [587, 465]
    assert all(job.certificate == ("PEM" if job.port != 25 else "") for job in asked)
    assert all(job.message is None and "DATA" not in job.commands for job in asked)
    assert [one.name for one in (*found.senders, found.spoof, found.vrfy, found.pipelining)] == [
        "4", "5", "6", "7", "8"
    ]  # fmt: skip


# -- what only its notebook does ------------------------------------------------------------


def step() -> Any:
    made = harden.Harden.__new__(harden.Harden)
    made.__dict__ |= {"settings": SETTINGS, "client": "client", "server": "server"}
    return made


def test_a_hidden_message_stands_behind_bare_line_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = step(), []
    monkeypatch.setattr("handson.mail.smtp.ask", lambda by, job: asked.append((by, job)) or PLAIN)
    made.smuggle(by="stranger")
    by, job = asked[0]
    assert by == "stranger" and job.port == 25 and not job.login
    *_before, text = job.commands
    assert "\n.\nMAIL FROM:<boss@example.com>\r\n" in text and text.endswith("\r\n.\r\nQUIT")
    assert "\r\n.\r\n" not in text.partition("MAIL FROM")[0]


def test_a_flood_counts_answers_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    too_many = Reply(452, "4.5.3 Error: too many recipients")
    mail, rcpt = f"MAIL FROM:<{OWN}>", f"RCPT TO:<{SETTINGS.recipient}>"
    first = said((mail, OK), (rcpt, OK), (rcpt, OK), (rcpt, too_many))
    second = said((mail, OK), ("RSET", OK), (mail, TOO_MUCH), ("RSET", OK))
    made, asked = step(), []

    def ask_all(by: Any, jobs: list[Any]) -> list[Dialogue]:
        asked.extend(jobs)
        return [first, second]

    monkeypatch.setattr("handson.mail.smtp.ask_all", ask_all)
    monkeypatch.setattr("handson.mail.relay_matrix.probe.read_certificate", lambda server: "PEM")
    monkeypatch.setattr(harden.Harden, "password", Secret("canary"))
    rows = made.flood(recipients=3, messages=2).rows
    assert [row[1:] for row in rows] == [
        [str(OK), "2"],
        [str(too_many), "1"],
        [str(OK), "1"],
        [str(TOO_MUCH), "1"],
    ]
    assert [len(job.commands) for job in asked] == [4, 4]
    assert all("canary" not in str(job) for job in asked)
