"""Is what the tutorial leaves open closed now?"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import groupby

from handson.cloud.security_groups import inside
from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.errors import NotHere
from handson.hosts import snapshot
from handson.hosts.host import Host
from handson.hosts.restore import put_back
from handson.i18n import _
from handson.mail import smtp
from handson.mail.capture import OnHost, Wiretap
from handson.mail.hardening import LOGIN_PORTS, NULL_SENDER, answer_to
from handson.mail.observation import Observation
from handson.mail.postfix import LOOPBACK, MAIN_CF, MASTER_CF, RELOAD, find_service, read_parameters
from handson.mail.relay_matrix import probe
from handson.mail.smtp import IMPLICIT_TLS
from handson.secret import Secret, scrub
from handson.ui.view import Note, Table, View

RULES = Rules(
    "relay", "relay_login", "anonymous", "submission", "submissions", "hardening", "survey"
)
POSTCONF = "https://www.postfix.org/postconf.5.html"
# An older Postfix knows no such parameter, and "note" only tells of it in the log.
CLOSES_NEWLINE = ("yes", "normalize", "reject")
# What a limit has to be at most, for a relay of a few clients.
LIMITS = {
    "smtpd_client_auth_rate_limit": 60,
    "smtpd_client_message_rate_limit": 600,
    "smtpd_client_recipient_rate_limit": 3000,
    "smtpd_recipient_limit": 100,
}
TLS = "https://www.postfix.org/TLS_README.html"


class Harden(Step):
    """Close what the tutorial leaves open: TLS, guessing, senders, port 25."""

    slug = "09_harden"
    title = _("Harden")
    purpose = _("Close what the tutorial leaves open: TLS, guessing, senders, port 25.")
    rules = RULES
    snapshots = ("server", "client")

    def guess(self, count: int) -> Table:
        """Have the stranger try so many wrong passwords, and count the server's answers.

        Nobody does where there is no stranger: the client's own logins would be counted.
        """
        columns, stranger = [_("answer"), _("times in a row")], self.stranger
        if stranger is None:
            return Table(columns, [], empty=_("There is no stranger here who could guess."))
        job = self._job(587, (), Secret("not-the-password"))
        answers = [
            dialogue.auth or dialogue.refusal or dialogue.outcome()
            for dialogue in smtp.ask_all(stranger, [job] * count)
        ]
        return Table(columns, _in_a_row(answers))

    def flood(self, recipients: int, messages: int) -> Table:
        """Have the client log in and name so many recipients, then begin so many messages.

        The server's answers are counted; no message is sent.
        """
        mail = f"MAIL FROM:<{self.settings.sender}>"
        rcpt = f"RCPT TO:<{self.settings.recipient}>"
        tries = [
            (_("recipients of one message"), rcpt, [mail, *[rcpt] * recipients]),
            (_("messages"), mail, [mail, "RSET"] * messages),
        ]
        jobs = [self._job(587, tuple(said), self.password) for _what, _counted, said in tries]
        rows = []
        for (what, counted, _said), held in zip(
            tries, smtp.ask_all(self.client, jobs), strict=True
        ):
            answers = [replies[0] for command, replies in held.said if command == counted]
            rows += [[what, *row] for row in _in_a_row(answers or [held.outcome()])]
        return Table([_("what"), _("answer"), _("times in a row")], rows)

    def say(
        self, port: int, *commands: str, login: bool = False, by: Host | None = None
    ) -> smtp.Dialogue:
        """Say SMTP commands to the server after EHLO, from the client or another host.

        With a login, it comes before them.
        """
        job = self._job(port, commands, self.password if login else None)
        return smtp.ask(by or self.client, job)

    def smuggle(self, by: Host | None = None) -> smtp.Dialogue:
        """Send a message with another one hidden behind a dot between two bare line feeds.

        A server that takes LF for CR LF sees two (https://www.postfix.org/smtp-smuggling.html).
        """
        root = f"root@{self.settings.domain}"
        hidden = [
            f"MAIL FROM:<boss@{self.settings.domain}>",
            f"RCPT TO:<{root}>",
            "DATA",
            "Subject: smuggled",
            "",
            "smtp-handson",
            ".",
            "QUIT",
        ]
        text = "Subject: harmless\r\n\r\nsmtp-handson\n.\n" + "\r\n".join(hidden)
        sender = probe.outside_address(self.settings)
        return self.say(25, f"MAIL FROM:<{sender}>", f"RCPT TO:<{root}>", "DATA", text, by=by)

    def _job(self, port: int, commands: tuple[str, ...], password: Secret | None) -> smtp.Job:
        return smtp.Job(
            self.settings.server_ip,
            port,
            self.settings.sender,
            self.settings.recipient,
            login=self.settings.login if password else "",
            password=password,
            certificate=probe.read_certificate(self.server) if password else "",
            commands=commands,
        )

    def wiretap(self, port: int) -> Wiretap:
        """Listen on a port of the server while a `with` block runs; see `Wiretap`."""
        server, tap = self.server, self.target.tap
        instance = self.cloud.instance(self.cloud.names.server) if tap else None
        users = (self.settings.login, self.settings.user)
        return Wiretap(
            port,
            tap or OnHost(lambda script: server.read("sudo sh -c {script}", script=script)),
            instance.id if instance else "",
            lambda text: scrub(text, self.password, users),
        )

    def only_from_vpc(self) -> Note:
        """Let nobody outside the VPC reach port 587."""
        vpc = self.settings.vpc_cidr
        try:
            opened = self.cloud.open_port(587, vpc, _("Submission"))
        except NotHere as error:
            own = _("See that your own firewall lets in at TCP 587 whom you mean to let in.")
            return Note(f"{error.what} {own}", "quiet")
        rules = [r for r in self.cloud.rules() if r.opens(587) and not inside(r.source, vpc)]
        closed = [one.source for one in rules if self.cloud.close_port(587, one.source)]
        text = (
            _("TCP 587 was open to {sources}; only the VPC, {cidr}, may come in now.")
            if closed
            else _("Only the VPC, {cidr}, may come in at TCP 587: nothing was to be closed.")
        )
        if opened and not closed:
            text = _("The VPC, {cidr}, may come in at TCP 587 now, and nobody else.")
        return Note(text.format(cidr=vpc, sources=", ".join(closed)), "good")

    def open_submissions(self) -> Note:
        """Let the client, and nobody else, reach port 465."""
        source = f"{self.settings.client_ip}/32"
        try:
            opened = self.cloud.open_port(IMPLICIT_TLS, source, _("Submission over TLS"))
        except NotHere as error:
            own = _("A firewall of your own has to let the client in at TCP 465.")
            return Note(f"{error.what} {own}", "quiet")
        text = _("TCP 465 was open to the client, {source}, already: nothing was changed.")
        if opened:
            text = _("The client, {source}, may come in at TCP 465 now.")
        return Note(text.format(source=source), "good")

    def close_submissions(self) -> list[View]:
        """Close port 465 again."""
        try:
            rules = self.cloud.rules()
        except NotHere:
            return []
        text = _("TCP 465 is no longer open to {source}.")
        return [
            Note(text.format(source=rule.source), "good")
            for rule in rules
            # A range that holds 465 too is not what the step makes.
            if rule.opens(IMPLICIT_TLS)
            and rule.port == str(IMPLICIT_TLS)
            and self.cloud.close_port(IMPLICIT_TLS, rule.source)
        ]

    def undo(self) -> list[View]:
        """Put main.cf and master.cf back as they were before; certificate and port 465 go."""
        server, client = self.hosts.server, self.hosts.client
        shown: list[View] = []
        if snapshot.has(server, "09_harden"):
            for path in (MAIN_CF, MASTER_CF):
                shown += put_back(server, path, "09_harden")
            certificate = ("/etc/postfix/submission.key", "/etc/postfix/submission.crt")
            if server.probe("sudo ls {files} 2>/dev/null", files=certificate)[1].strip():
                shown.append(server.run("sudo rm -f {files}", files=certificate))
            if shown:
                shown.append(server.run(RELOAD))
            snapshot.forget(server, "09_harden")
        shown += self.close_submissions()
        record = f"{snapshot.FOLDER}/09_harden/mailrc"
        if snapshot.has(client, "09_harden", "mailrc"):
            if client.probe("sudo -n cmp -s {record} ~/.mailrc", record=record)[0] != 0:
                shown.append(client.run("sudo cp -a {record} ~/.mailrc", record=record))
            snapshot.forget(client, "09_harden")
        if client.probe("ls ~/submission.crt")[0] == 0:
            shown.append(client.run("rm ~/submission.crt"))
        name = f"mail.{self.settings.domain}"
        if client.probe("grep -qw {name} /etc/hosts", name=name)[0] == 0:
            # Written in place: a container engine has mounted the file.
            rest = "rest=$(grep -vwF {name} /etc/hosts); printf '%s\\n' \"$rest\""
            shown.append(client.run(f"{rest} | sudo tee /etc/hosts > /dev/null", name=name))
        return shown


def _in_a_row(answers: Iterable[smtp.Reply | str]) -> list[list[str]]:
    """Return each answer with how often it came in a row."""
    return [[answer, str(len(list(same)))] for answer, same in groupby(map(str, answers))]


@RULES.now(
    "no-login-in-clear", _("Without TLS, port 587 offers no login."), f"{TLS}#server_tls_auth"
)
def no_login_in_clear(observed: Observation) -> Finding:
    plain = observed.anonymous
    if plain.is_open and "STARTTLS" in plain.extensions and not plain.mechanisms:
        return good("STARTTLS, no AUTH")
    return bad(
        plain.outcome(),
        _("A password can still be sent in clear, or TLS is not offered at all."),
        "sudo postconf -P submission/inet/smtpd_tls_security_level=encrypt; "
        "sudo postconf -e smtpd_tls_auth_only=yes; sudo postfix reload",
    )


def _late(reply: smtp.Reply | None, otherwise: str) -> str:
    """Return the cause of a refusal: the limits of this step may refuse the check's own tries."""
    if reply and reply.code < 500 and " too m" in f" {reply.text}":
        return _("The limits of this step are met: wait for a minute and check again.")
    return otherwise


@RULES.now("relays-over-tls", _("Over TLS, the login on port 587 works and relays."), TLS)
def relays_over_tls(observed: Observation) -> Finding:
    return _relays(observed.submission, _("STARTTLS or the login after it fails."))


@RULES.now(
    "implicit-tls",
    _("On port 465, where TLS comes first, the login works and relays."),
    "https://www.rfc-editor.org/rfc/rfc8314#section-3.3",
)
def implicit_tls(observed: Observation) -> Finding:
    return _relays(observed.submissions, _("TLS before the first word, or the login, fails."))


def _relays(dialogue: smtp.Dialogue, otherwise: str) -> Finding:
    if dialogue.tls and dialogue.is_logged_in and dialogue.is_accepted:
        return good(f"{dialogue.tls}, {dialogue.auth}")
    return bad(
        dialogue.outcome(),
        _late(dialogue.refusal, otherwise),
        _("Look for “TLS” in the server's mail log."),
    )


@RULES.now(
    "no-weak-tls",
    _("TLS 1.1, and TLS without a certificate, are refused on ports 587 and 465."),
    f"{POSTCONF}#smtpd_tls_mandatory_protocols",
)
def no_weak_tls(observed: Observation) -> Finding:
    tries = observed.hardening.old_tls + observed.hardening.no_certificate
    if weak := observed.hardening.weak_tls:
        return bad(
            ", ".join(f"{one.port}: {one.tls}" for one in weak),
            _("The server takes what it is offered: an old version, or no certificate at all."),
            "sudo postconf -e 'smtpd_tls_mandatory_protocols = >=TLSv1.2' "
            "smtpd_tls_mandatory_exclude_ciphers=aNULL; sudo postfix reload",
        )
    if unheard := [one for one in tries if not one.is_open or "ALERT" not in one.error]:
        return bad(unheard[0].outcome(), _("TLS could not be tried."), "sudo postfix status")
    return good(", ".join(dict.fromkeys(one.error for one in tries)))


@RULES.now(
    "certificate-names-server",
    _("The certificate names a server (subjectAltName) and is no authority's."),
    "https://www.rfc-editor.org/rfc/rfc9525",
)
def certificate_names_server(observed: Observation) -> Finding:
    _status, text = observed.server.probe(
        "openssl x509 -noout -ext subjectAltName,basicConstraints 2>&1", stdin=observed.certificate
    )
    seen = " ".join(text.split())
    if "DNS:" in text and "CA:TRUE" not in text:
        return good(seen)
    return bad(
        seen or _("no certificate"),
        _("A client of today looks for the server's name in subjectAltName only."),
        _("Make another: openssl req … -addext subjectAltName=DNS:NAME"),
    )


@RULES.now(
    "auth-on-submission-only",
    _("Port 25 offers no login."),
    f"{POSTCONF}#smtpd_sasl_auth_enable",
)
def auth_on_submission_only(observed: Observation) -> Finding:
    dialogue = observed.relay_login
    if dialogue.ehlo and not dialogue.mechanisms and not dialogue.is_logged_in:
        return good(str(dialogue.auth or dialogue.outcome()))
    return bad(
        f"AUTH {' '.join(dialogue.mechanisms)}" if dialogue.mechanisms else dialogue.outcome(),
        _("smtpd_sasl_auth_enable in main.cf holds for every service."),
        "sudo postconf -e smtpd_sasl_auth_enable=no; "
        "sudo postconf -P submission/inet/smtpd_sasl_auth_enable=yes; sudo postfix reload",
    )


@RULES.now(
    "submission-not-for-everybody",
    _("The security group lets nobody outside the VPC reach ports 587 and 465."),
    "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
)
def submission_not_for_everybody(observed: Observation) -> Finding:
    vpc = observed.settings.vpc_cidr
    outside = [
        f"{rule.port} ← {rule.source}"
        for rule in observed.cloud.rules()
        if any(rule.opens(port) for port in LOGIN_PORTS) and not inside(rule.source, vpc)
    ]
    if not outside:
        return good(_("no such rule"))
    return bad(
        ", ".join(outside),
        _("Whoever is there can try to log in."),
        _("Delete the rule; for port 587, step.only_from_vpc() does."),
    )


@RULES.now(
    "trusts-loopback-only", _("mynetworks holds nothing but loopback."), f"{POSTCONF}#mynetworks"
)
def trusts_loopback_only(observed: Observation) -> Finding:
    networks = observed.survey.mynetworks
    if all(one.startswith(LOOPBACK) for one in networks):
        return good(f"mynetworks = {' '.join(networks)}")
    return bad(
        f"mynetworks = {' '.join(networks)}",
        _("Each address in it relays without a login."),
        "sudo postconf -e mynetworks=127.0.0.0/8; sudo postfix reload",
    )


@RULES.now(
    "sender-bound-to-login",
    _("A login may name no other's envelope sender, and not the null sender either."),
    f"{POSTCONF}#reject_sender_login_mismatch",
)
def sender_bound_to_login(observed: Observation) -> Finding:
    own, other = observed.settings.sender, f"somebody-else@{observed.settings.domain}"
    seen = []
    for dialogue in observed.hardening.senders:
        right = answer_to(dialogue, own)
        if not right or right.is_refusal:
            refusal = right or dialogue.refusal
            return bad(
                f"{dialogue.port}, <{own}>: {refusal or dialogue.outcome()}",
                _late(refusal, _("The login does not get as far as its own sender.")),
                _("Compare: sudo postconf -M; postconf -n"),
            )
        for sender, code in ((other, 553), (NULL_SENDER, 554)):
            reply = answer_to(dialogue, sender)
            seen.append(f"{dialogue.port}, <{sender}>: {reply}")
            if not reply or reply.code != code:
                is_taken = reply is not None and not reply.is_refusal
                return bad(
                    seen[-1],
                    _("Whoever has a login may use another envelope sender.")
                    if is_taken
                    else _late(reply, _("It was not refused for the sender.")),
                    _(
                        "Set smtpd_sender_login_maps, and for the service "
                        "reject_sender_login_mismatch, with check_sender_access for <>."
                    ),
                )
    return good("\n".join(seen))


@RULES.now(
    "own-domain-needs-login",
    _("Without a login, port 25 takes no message from a sender of the own domain."),
    f"{POSTCONF}#check_sender_access",
)
def own_domain_needs_login(observed: Observation) -> Finding:
    dialogue = observed.hardening.spoof
    refusal = dialogue.refusal
    if refusal and refusal.code >= 500 and dialogue.mail and not dialogue.is_accepted:
        return good(str(refusal))
    return bad(
        dialogue.outcome(),
        _("Whoever reaches port 25 may write in the name of anybody in the domain.")
        if dialogue.is_accepted
        else _("It was not refused for the sender."),
        _("Refuse the domain with check_sender_access in smtpd_sender_restrictions of main.cf."),
    )


@RULES.now(
    "one-message-for-one",
    _("Port 25 names no users (VRFY), and takes one message for one message."),
    "https://www.postfix.org/smtp-smuggling.html",
)
def one_message_for_one(observed: Observation) -> Finding:
    tries = (observed.hardening.vrfy, observed.hardening.pipelining)
    # To try it by a message would leave one in a mailbox wherever it is not refused.
    newline = observed.postfix.parameter("smtpd_forbid_bare_newline")
    seen = [str(one.refusal or one.outcome()) for one in tries]
    seen.append(f"smtpd_forbid_bare_newline = {newline}")
    if all(one.is_open and one.refused for one in tries) and newline in CLOSES_NEWLINE:
        return good("\n".join(seen))
    return bad(
        "\n".join(seen),
        _("VRFY, commands sent too early, or bare line feeds are still taken."),
        "sudo postconf -e disable_vrfy_command=yes smtpd_forbid_bare_newline=normalize "
        "smtpd_forbid_unauth_pipelining=yes; sudo postfix reload",
    )


@RULES.now(
    "use-limited",
    _("Logins, messages and recipients are limited in number on ports 587 and 465."),
    f"{POSTCONF}#smtpd_client_auth_rate_limit",
)
def use_limited(observed: Observation) -> Finding:
    # To try it would use up what the limits leave to the client.
    names = tuple(LIMITS)
    known = read_parameters(observed.server.read("sudo -n postconf {names}", names=names))
    seen = []
    for port in LOGIN_PORTS:
        service = find_service(observed.survey.services, port)
        if service is None:
            return bad(
                _("master.cf has no service on port {port}.").format(port=port),
                _("Nothing listens there, so nothing is limited there."),
                _("Add the service, or run the cells above again."),
            )
        for name, most in LIMITS.items():
            value = service.parameters.get(name, known.get(name, ""))
            seen.append(f"{port}: {name} = {value}")
            if not value.isdigit() or not 0 < int(value) <= most:
                return bad(
                    seen[-1],
                    _("A stolen login, or a program that guesses one, is not slowed down."),
                    "sudo postconf -P "
                    + shlex.quote(f"{service.key}/{name}={most}")
                    + "; sudo postfix reload",
                )
    return good("\n".join(seen))
