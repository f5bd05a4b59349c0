"""Is what the tutorial leaves open closed now?"""

from __future__ import annotations

from itertools import groupby

from handson.cloud.security_groups import inside
from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.errors import NotHere
from handson.hosts import snapshot
from handson.hosts.restore import put_back
from handson.i18n import _
from handson.mail import smtp
from handson.mail.capture import OnHost, Wiretap
from handson.mail.observation import Scene
from handson.mail.postfix import MAIN_CF, MASTER_CF, RELOAD, find_submission
from handson.mail.relay_matrix import probe
from handson.secret import Secret, scrub
from handson.ui.view import Note, Table, View

RULES = Rules("relay", "anonymous", "submission")
POSTCONF = "https://www.postfix.org/postconf.5.html"
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
        job = smtp.Job(
            self.settings.server_ip,
            587,
            self.settings.sender,
            self.settings.recipient,
            login=self.settings.login,
            password=Secret("not-the-password"),
            certificate=probe.read_certificate(self.server),
        )
        answers = [
            str(dialogue.auth or dialogue.refusal or dialogue.outcome())
            for dialogue in smtp.ask_all(stranger, [job] * count)
        ]
        rows = [[answer, str(len(list(same)))] for answer, same in groupby(answers)]
        return Table(columns, rows)

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

    def undo(self) -> list[View]:
        """Put main.cf and master.cf back as they were before; the certificate goes."""
        server, client = self.hosts.server, self.hosts.client
        shown: list[View] = []
        if snapshot.has(server, "09_harden"):
            for path in (MAIN_CF, MASTER_CF):
                shown += put_back(server, path, "09_harden")
            certificate = ("/etc/postfix/submission.key", "/etc/postfix/submission.crt")
            if server.probe("sudo ls {files}", files=certificate)[1].startswith("/etc"):
                shown.append(server.run("sudo rm -f {files}", files=certificate))
            if shown:
                shown.append(server.run(RELOAD))
            snapshot.forget(server, "09_harden")
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
            rest = "grep -vw {name} /etc/hosts > /tmp/hosts; sudo tee /etc/hosts < /tmp/hosts"
            shown.append(client.run(f"{rest} > /dev/null; rm /tmp/hosts", name=name))
        return shown


@RULES.now(
    "no-login-in-clear", _("Without TLS, port 587 offers no login."), f"{TLS}#server_tls_auth"
)
def no_login_in_clear(scene: Scene) -> Finding:
    plain = scene.anonymous
    if plain.is_open and "STARTTLS" in plain.extensions and not plain.mechanisms:
        return good("STARTTLS, no AUTH")
    return bad(
        plain.outcome(),
        _("A password can still be sent in clear, or TLS is not offered at all."),
        "sudo postconf -P submission/inet/smtpd_tls_security_level=encrypt; "
        "sudo postconf -e smtpd_tls_auth_only=yes; sudo postfix reload",
    )


@RULES.now("relays-over-tls", _("Over TLS, the login works and relays."), TLS)
def relays_over_tls(scene: Scene) -> Finding:
    dialogue = scene.submission
    if dialogue.starttls and dialogue.is_logged_in and dialogue.is_accepted:
        return good(f"STARTTLS, {dialogue.auth}")
    return bad(
        dialogue.outcome(),
        _("STARTTLS or the login after it fails."),
        _("Look for “TLS” in the server's mail log."),
    )


@RULES.now(
    "auth-on-submission-only",
    _("Port 25 offers no login."),
    f"{POSTCONF}#smtpd_sasl_auth_enable",
)
def auth_on_submission_only(scene: Scene) -> Finding:
    value = scene.postfix.service_parameter("smtp/inet", "smtpd_sasl_auth_enable")
    dialogue = scene.relay
    if value == "no" and dialogue.is_open and not dialogue.mechanisms:
        return good("smtpd_sasl_auth_enable = no")
    return bad(
        f"smtpd_sasl_auth_enable = {value}",
        _("smtpd_sasl_auth_enable in main.cf holds for every service."),
        "sudo postconf -e smtpd_sasl_auth_enable=no; "
        "sudo postconf -P submission/inet/smtpd_sasl_auth_enable=yes; sudo postfix reload",
    )


@RULES.now(
    "submission-not-for-everybody",
    _("The security group lets nobody outside the VPC reach port 587."),
    "https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html",
)
def submission_not_for_everybody(scene: Scene) -> Finding:
    vpc = scene.settings.vpc_cidr
    outside = [r.source for r in scene.cloud.rules() if r.opens(587) and not inside(r.source, vpc)]
    if not outside:
        return good(_("no such rule"))
    return bad(
        ", ".join(outside),
        _("Whoever is there can try to log in."),
        _("Delete the rule; step.only_from_vpc() does."),
    )


@RULES.now(
    "trusts-loopback-only", _("mynetworks holds nothing but loopback."), f"{POSTCONF}#mynetworks"
)
def trusts_loopback_only(scene: Scene) -> Finding:
    networks = scene.postfix.mynetworks
    if all(one.startswith(("127.", "[::1]")) for one in networks):
        return good(f"mynetworks = {' '.join(networks)}")
    return bad(
        f"mynetworks = {' '.join(networks)}",
        _("Each address in it relays without a login."),
        "sudo postconf -e mynetworks=127.0.0.0/8; sudo postfix reload",
    )


@RULES.now(
    "guesses-limited",
    _("Logins from one address are limited in number."),
    f"{POSTCONF}#smtpd_client_auth_rate_limit",
)
def guesses_limited(scene: Scene) -> Finding:
    service = find_submission(scene.postfix.services())
    name = "smtpd_client_auth_rate_limit"
    limit = scene.postfix.service_parameter(service.key if service else "", name)
    if limit.isdigit() and int(limit) > 0:
        return good(f"smtpd_client_auth_rate_limit = {limit}")
    return bad(
        "smtpd_client_auth_rate_limit = 0",
        _("0 means: as many as the line allows."),
        "sudo postconf -P submission/inet/smtpd_client_auth_rate_limit=20; sudo postfix reload",
    )


@RULES.now(
    "sender-bound-to-login",
    _("A login may send under its own address only."),
    f"{POSTCONF}#reject_sender_login_mismatch",
)
def sender_bound_to_login(scene: Scene) -> Finding:
    dialogue = scene.submission_as(f"somebody-else@{scene.settings.domain}")
    if dialogue.is_logged_in and dialogue.refusal and dialogue.refusal.code == 553:
        return good(str(dialogue.refusal))
    return bad(
        dialogue.outcome(),
        _("Whoever has a login may use any sender address."),
        _("Set smtpd_sender_login_maps, and reject_sender_login_mismatch for the service."),
    )
