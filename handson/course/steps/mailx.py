"""Did everything happen that the test is about, and does the server trust logins only now?"""

from __future__ import annotations

import re
from collections.abc import Callable

from handson.course.checks import Finding, Rules, bad, good, not_logged
from handson.course.step import Step
from handson.diagnosis.chain import LOG, Link, up_to
from handson.hosts import snapshot
from handson.hosts.host import Host
from handson.hosts.restore import remove_new
from handson.i18n import _
from handson.mail.log_refusals import Refusal
from handson.mail.observation import Observation
from handson.mail.postfix import RELOAD, read_parameters, trusts
from handson.mail.smtp import HELO
from handson.ui.view import View

RULES = Rules("relay", "anonymous", "submission", "mailrc", "program", "survey")
RECIPIENTS = "smtpd_recipient_restrictions"
RESTRICTIONS = "https://www.postfix.org/SMTPD_ACCESS_README.html"
NO_LOGIN = re.compile(r"(Client host|Recipient address|Sender address) rejected: Access denied")
# The login that the notebook makes and revokes.
SECOND = "second-user"
RUN_ABOVE = _("Run the cells above in their order.")


class Mailx(Step):
    """Send from the client: refused without login, relayed with it, trusted by login alone."""

    slug = "06_mailx_test"
    title = _("Test with mailx")
    purpose = _(
        "Send from the client: refused without login, relayed with it, trusted by login alone."
    )
    rules = RULES
    snapshots = ("server",)
    installs = ("client",)

    def undo(self) -> list[View]:
        """Trust the client's address again; remove the mail program and its settings."""
        server, client = self.hosts.server, self.hosts.client
        shown: list[View] = []
        now = self.observe().postfix.explicit()
        for name, value in _changes(server, now).items():
            if value is None:
                shown.append(server.run("sudo postconf -X {name}", name=name))
            else:
                shown.append(server.run("sudo postconf -e {setting}", setting=f"{name} = {value}"))
        if shown:
            shown.append(server.run(RELOAD))
        if f"{SECOND}@{self.settings.domain}" in self.observe().sasl.users():
            # A run that was stopped may not have come to its end.
            delete = "sudo saslpasswd2 -d -f {sasldb} -u {domain} {second}"
            shown.append(server.run(delete, second=SECOND))
        snapshot.forget(server, "06_mailx_test")
        files = client.probe("cd && ls .mailrc dead.letter 2>/dev/null")[1].split()
        record = f"{snapshot.FOLDER}/{snapshot.START}/mailrc"
        was_there = snapshot.has(client, snapshot.START, "mailrc")
        if was_there and client.probe("sudo -n cmp -s {r} ~/.mailrc", r=record)[0] != 0:
            shown.append(client.run("sudo cp -a {record} ~/.mailrc", record=record))
        if gone := tuple(f for f in files if not (was_there and f == ".mailrc")):
            shown.append(client.run("cd; rm -f {files}", files=gone))
        return [*shown, *remove_new(client, client.system.mail_packages)]


@RULES.now(
    "mailrc-private",
    _("Only its owner can read ~/.mailrc, which holds the password."),
    "https://man7.org/linux/man-pages/man1/chmod.1.html",
)
def mailrc_private(observed: Observation) -> Finding:
    found = observed.mailrc
    # The password may as well be in ~/.netrc, and then ~/.mailrc is no secret.
    file, mode = found.source or "~/.mailrc", found.secret_mode or found.mode
    if mode and mode.endswith("00"):
        return good(f"{file} {mode.lstrip('0')}")
    if not mode:
        return bad(f"stat: {file}: –", _("The file is not there."), RUN_ABOVE)
    if file.startswith("/etc/"):
        return bad(
            f"stat: {file} {mode}",
            _("The password is in a file of the whole system, which others can read."),
            _("Move the settings into ~/.mailrc; chmod 0600 ~/.mailrc"),
        )
    return bad(f"stat: {file} {mode}", _("Its mode lets others read it."), f"chmod 0600 {file}")


@RULES.now(
    "mail-program-logs-in",
    _("The server accepts the login in the mail program's settings."),
    "https://www.postfix.org/SASL_README.html",
    up_to(Link.MAIL_PROGRAM),
)
def mail_program_logs_in(observed: Observation) -> Finding:
    program = observed.program
    # While a port refuses clients without a login, only a login can be accepted there.
    other = observed.relay if observed.mailrc.port == 25 else observed.anonymous
    if program.is_accepted and not other.is_accepted:
        user = f"{observed.mailrc.source}: {observed.mailrc.user}, " if observed.mailrc.user else ""
        return good(f"{user}{program.outcome()}")
    return bad(f"{program.command}\n{program.answer}".strip(), "", RUN_ABOVE)


@RULES.happened(
    "refused-without-login",
    _("A message without a login was refused on port 587."),
    RESTRICTIONS,
    LOG,
)
def refused_without_login(observed: Observation) -> Finding:
    # Which of the lists refuses is the server's choice.
    return _refusal(
        observed,
        # At the greeting nobody has sent a message yet; 05_master_cf shows that on purpose.
        lambda r: (
            r.stage != "CONNECT" and bool(NO_LOGIN.search(r.reason)) and r.logged_in is not True
        ),
    )


@RULES.happened(
    "refused-wrong-password",
    _("A login with a wrong password was refused."),
    "https://www.rfc-editor.org/rfc/rfc4954",
    LOG,
)
def refused_wrong_password(observed: Observation) -> Finding:
    return _refusal(observed, lambda r: r.stage == "AUTH")


@RULES.happened(
    "relayed-with-login",
    _("A message was relayed to another domain after a login."),
    "https://www.postfix.org/SASL_README.html",
    (*LOG, *up_to(Link.MAIL_PROGRAM)),
)
def relayed_with_login(observed: Observation) -> Finding:
    for message in reversed(observed.messages):
        if message.sasl_username and message.deliveries:
            last = message.deliveries[-1]
            return good(f"{message.queue_id} {message.sasl_username} status={last.status}")
    return not_logged(
        observed,
        Mailx.slug,
        "sasl_username=",
        _("No message was sent with a login yet."),
        RUN_ABOVE,
    )


@RULES.happened(
    "relay-denied-after-login",
    _("With the tutorial's own restrictions a login was not enough: relay access denied."),
    RESTRICTIONS,
    LOG,
)
def relay_denied_after_login(observed: Observation) -> Finding:
    return _refusal(
        observed, lambda r: "Relay access denied" in r.reason and r.logged_in is not False
    )


@RULES.now(
    "client-not-trusted",
    _("mynetworks no longer names the client."),
    "https://www.postfix.org/postconf.5.html#mynetworks",
    ("client-trusted",),
)
def client_not_trusted(observed: Observation) -> Finding:
    networks = observed.survey.mynetworks
    if observed.relay.is_accepted:
        return bad(
            f"25: {observed.relay.rcpt}; mynetworks = {' '.join(networks)}",
            _("Port 25 relays for the client without a login."),
            "sudo postconf -e mynetworks=127.0.0.0/8; sudo postfix reload",
        )
    if not trusts(networks, observed.settings.client_ip):
        return good(f"mynetworks = {' '.join(networks)}")
    return bad(
        f"mynetworks = {' '.join(networks)}",
        _("While its address is trusted, its login does not matter."),
        "sudo postconf -e mynetworks=127.0.0.0/8; sudo postfix reload",
    )


@RULES.now(
    "relays-with-login",
    _("With a login, port 587 relays to another domain."),
    RESTRICTIONS,
    up_to(Link.RESTRICTIONS),
)
def relays_with_login(observed: Observation) -> Finding:
    dialogue = observed.submission
    if dialogue.is_logged_in and dialogue.is_accepted:
        return good(str(dialogue.rcpt))
    return bad(dialogue.outcome(), "", "")


@RULES.now(
    "port-25-refuses-client",
    _("Without a login, port 25 no longer relays for the client."),
    RESTRICTIONS,
    (*up_to(Link.GREETS, 25), "client-trusted"),
)
def port_25_refuses_client(observed: Observation) -> Finding:
    dialogue = observed.relay
    if dialogue.is_open and not dialogue.is_accepted and dialogue.refusal:
        return good(str(dialogue.refusal))
    if not dialogue.is_accepted:
        return bad(dialogue.outcome(), "", "")
    networks = " ".join(observed.survey.mynetworks)
    return bad(
        f"{dialogue.rcpt}; mynetworks = {networks}",
        _("Port 25 relays for the client's address alone."),
        "sudo postconf -e mynetworks=127.0.0.0/8; sudo postfix reload",
    )


def _refusal(observed: Observation, fits: Callable[[Refusal], bool]) -> Finding:
    for refusal in reversed(observed.refusals):
        # What the course's own dialogues caused, those of checks too, does not count.
        if fits(refusal) and not refusal.helo.endswith(HELO):
            return good(f"{refusal.code} {refusal.dsn} {refusal.reason}".strip())
    return not_logged(observed, Mailx.slug, "reject:", _("It has not been tried yet."), RUN_ABOVE)


def _changes(server: Host, now: dict[str, str]) -> dict[str, str | None]:
    """Return what the step changes in main.cf as it was before; None where it was not set."""
    then = _recorded(server, "06_mailx_test")
    found: dict[str, str | None] = {}
    if then and then.get(RECIPIENTS) != now.get(RECIPIENTS):
        found[RECIPIENTS] = then.get(RECIPIENTS)
    # Done by hand before the notebook was opened, it is in that record already.
    for record in (then, _recorded(server, snapshot.START)):
        if record and record.get("mynetworks") != now.get("mynetworks"):
            found["mynetworks"] = record.get("mynetworks")
            break
    return found


def _recorded(server: Host, name: str) -> dict[str, str]:
    """Return the parameters that main.cf set when that record was taken."""
    folder = f"{snapshot.FOLDER}/{name}/etc/postfix"
    # Without a main.cf postconf ends only after a second.
    command = "sudo -n test -e {folder}/main.cf && sudo -n postconf -c {folder} -n 2>/dev/null"
    status, output = server.probe(command, folder=folder)
    return read_parameters(output) if status == 0 else {}
